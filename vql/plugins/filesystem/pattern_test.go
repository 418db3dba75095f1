package filesystem

import (
	"errors"
	"path"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"

	"satchel/vql"
)

func TestExpandBraces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"/a", []string{"/a"}},
		{"/{a,b}", []string{"/a", "/b"}},
		{"/{a,b}/{c,d}", []string{"/a/c", "/a/d", "/b/c", "/b/d"}},
		{"/{a,b{c,d}}/x", []string{"/a/x", "/bc/x", "/bd/x"}},
		{"/{usr,opt/x}/y", []string{"/usr/y", "/opt/x/y"}},
		{"/{a,}", []string{"/a", "/"}},
		{"/{guid}/{a,b}", []string{"/{guid}/a", "/{guid}/b"}},
		{"/{a,b", []string{"/{a,b"}},
		{"/a,b}", []string{"/a,b}"}},
		{"{{a,b},c}", []string{"a", "b", "c"}},
	} {
		got, err := expandBraces(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q: %s", c.in, d)
		}
	}
	if _, err := expandBraces(strings.Repeat("{a,b}", 20)); !errors.Is(err, ErrPattern) {
		t.Errorf("a million alternatives: error %v", err)
	}
	if _, err := expandBraces(strings.Repeat("x", maxPatternBytes+1)); !errors.Is(err, ErrPattern) {
		t.Errorf("a long expression: error %v", err)
	}
}

func TestPartMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		fold, want    bool
	}{
		{"abc", "abc", false, true},
		{"abc", "ABC", false, false},
		{"abc", "ABC", true, true},
		{"*", "", false, true},
		{"*", ".hidden", false, true},
		{"a*c", "abbc", false, true},
		{"a*c", "abcd", false, false},
		{"*a*b*c", "xaybzc", false, true},
		{"?", "é", false, true},
		{"?", "\xff", false, true},
		{"??", "\xff\xfe", false, true},
		{"?", "ab", false, false},
		{"[a-c]x", "bx", false, true},
		{"[!a-c]x", "bx", false, false},
		{"[^a-c]x", "dx", false, true},
		{"[]]", "]", false, true},
		{"[!]]", "a", false, true},
		{"[a-]", "-", false, true},
		{"[", "[", false, true},
		{"[ab", "[ab", false, true},
		{"[\xff]", "\xff", false, true},
		{"[\xff]", "\xfe", false, false},
		{"[\uFFFD]", "\xff", false, false},
		{"*.EXE", "cmd.exe", true, true},
		{"[A-C]", "b", true, true},
		{"ä*", "Äpfel", true, true},
		{`back\slash`, `back\slash`, false, true},
		{"**x", "aax", false, true},
	} {
		p, err := parsePart(c.pattern, c.fold)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		if got := p.matches(c.name); got != c.want {
			t.Errorf("%q matches %q (fold %v) = %v", c.pattern, c.name, c.fold, got)
		}
	}
}

// TestPartAgreesWithPath holds the matcher to the standard library's on the
// language that both have.
func TestPartAgreesWithPath(t *testing.T) {
	t.Parallel()
	const letters = "ab*?"
	pick := func(bytes []byte, from string) string {
		var b strings.Builder
		for _, c := range bytes[:min(len(bytes), 12)] {
			b.WriteByte(from[int(c)%len(from)])
		}
		return b.String()
	}
	agree := func(p, n []byte) bool {
		pattern, name := strings.ReplaceAll(pick(p, letters), "**", "*"), pick(n, "ab")
		if pattern == "" {
			return true
		}
		want, err := path.Match(pattern, name)
		one, err2 := parsePart(pattern, false)
		return err == nil && err2 == nil && one.matches(name) == want
	}
	if err := quick.Check(agree, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

func TestPartDepth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"**": defaultDepth, "**1": 1, "**7": 7} {
		p, err := parsePart(text, false)
		if err != nil || p.kind != recursive || p.depth != want {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
	for _, text := range []string{"**0", "**1001"} {
		if _, err := parsePart(text, false); !errors.Is(err, ErrPattern) {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("/a/**/{b,c}*/[x-z]?", "b", false)
	f.Add("[!\xff-é]", "é", true)
	f.Add("{,{,{,}}}", "", false)
	f.Fuzz(func(t *testing.T, text, name string, fold bool) {
		all, err := expandBraces(text)
		if err != nil {
			return
		}
		if len(all) > 64 {
			all = all[:64]
		}
		for i, one := range all {
			p, err := compile(i, vql.ParsePath(vql.Posix, one).Components(), fold)
			if err != nil || len(p.parts) == 0 {
				continue
			}
			states := enter(nil, p, 0)
			hit, goes := probe(states, name)
			hits, down := advance(states, name, nil)
			if hit != (len(hits) > 0) || goes != (len(down) > 0) {
				t.Fatalf("%q and %q: probe says %v %v, advance %d and %d", one, name, hit, goes, len(hits), len(down))
			}
			if len(matches(states, name, nil)) != len(hits) {
				t.Fatalf("%q and %q: matches and advance differ", one, name)
			}
		}
	})
}
