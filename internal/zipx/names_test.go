package zipx

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestEscape fixes the escaped forms.
func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                        "%",
		"plain.txt":               "plain.txt",
		"C:":                      "C%3A",
		`\\.\C:`:                  "%5C%5C.%5CC%3A",
		".hidden":                 "%2Ehidden",
		"trailing.":               "trailing%2E",
		" a b ":                   "%20a b%20",
		".":                       "%2E",
		"..":                      "%2E%2E",
		"...":                     "%2E.%2E",
		"100% done%.txt":          "100%25 done%25.txt",
		`q"uo'te<>|?*&`:           "q%22uo'te%3C%3E%7C%3F%2A&",
		"bad\xff\xfename":         "bad%FF%FEname",
		"\ufffd":                  "\ufffd",
		"a\ufffd.":                "a\ufffd%2E",
		"new\nline\x00\x1f\x7f":   "new\nline%00\x1f\x7f",
		"naïve 文件 😀":              "naïve 文件 😀",
		"é\xe9":                   "é%E9",
		"Linux.Sys/Users.json":    "Linux.Sys%2FUsers.json",
		"\u0085\u202e":            "\u0085\u202e",
		"\xed\xa0\x80 surrogate":  "%ED%A0%80 surrogate",
		strings.Repeat("x", 4000): strings.Repeat("x", 4000),
	} {
		got := EscapeComponent(in)
		if got != want {
			t.Errorf("%.50q: %.50q, want %.50q", in, got, want)
		}
		back, err := UnescapeComponent(got)
		if back != in {
			t.Errorf("%.50q comes back as %.50q", in, back)
		}
		if bad := in == "" || in == "." || in == ".." || strings.Contains(in, "\x00"); bad != errors.Is(err, ErrName) || !bad && err != nil {
			t.Errorf("%.50q: %v", in, err)
		}
	}
}

// TestUnescape covers what other writers may have made.
func TestUnescape(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, reason string }{
		{"a%2fb", "a/b", ""},
		{"%41", "A", ""},
		{"%", "", "empty"},
		{"%4", "4", "malformed"},
		{"a%", "a", "malformed"},
		{"a%4", "a4", "malformed"},
		{"%zz", "\x00", "NUL"},
		{"%4zq", "@q", "malformed"},
		{"%00", "\x00", "NUL"},
		{"", "", "empty"},
		{".", ".", "leaves"},
		{"..", "..", "leaves"},
		{"%2e%2E", "..", "leaves"},
		{"%2E.", "..", "leaves"},
	} {
		got, err := UnescapeComponent(c.in)
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
		var bad *NameError
		switch {
		case c.reason == "" && err != nil:
			t.Errorf("%q: %v", c.in, err)
		case c.reason != "" && (!errors.As(err, &bad) || !strings.Contains(bad.Reason, c.reason) || bad.Name != c.in):
			t.Errorf("%q: %v, want %q", c.in, err, c.reason)
		}
	}
}

// velociraptorDecode is how Velociraptor reads a component: every % and the two
// characters behind it are one byte.
func velociraptorDecode(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if i+2 < len(s) {
				out = append(out, digit(s[i+1])<<4|digit(s[i+2]))
				i += 2
			}
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func digit(c byte) byte {
	if i := strings.IndexByte("0123456789ABCDEF", c); i >= 0 {
		return byte(i)
	}
	return byte(max(0, strings.IndexByte("0123456789abcdef", c)))
}

// anyComponent draws bytes of all kinds, biased to the difficult ones.
func anyComponent() *rapid.Generator[string] {
	hard := rapid.SampledFrom([]string{"%", "%2", "%25", ".", "..", " ", "/", `\`, ":", "\x00", "\n", "\x7f", "\xff", "\xc3", "\ufffd", "é", "é", "%ED", "\xed\xa0\x80", "😀", "A", "a", strings.Repeat("long", 1000)})
	return rapid.OneOf(
		rapid.Map(rapid.SliceOfN(hard, 0, 8), func(p []string) string { return strings.Join(p, "") }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.String(),
	)
}

// TestEscapeProperty: everything comes back, for us and for Velociraptor, and is
// safe in an archive.
func TestEscapeProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyComponent().Draw(t, "a"), anyComponent().Draw(t, "b")
		x, y := EscapeComponent(a), EscapeComponent(b)
		if (a == b) != (x == y) {
			t.Fatalf("%q and %q give %q and %q", a, b, x, y)
		}
		if back, _ := UnescapeComponent(x); back != a {
			t.Fatalf("%q becomes %q becomes %q", a, x, back)
		}
		if back := velociraptorDecode(x); back != a {
			t.Fatalf("Velociraptor reads %q as %q, not %q", x, back, a)
		}
		if x == "" || strings.ContainsAny(x, "/\\:*?\"<>|\x00") || strings.Trim(x, ". ") != x || strings.ToValidUTF8(x, "!") != x {
			t.Fatalf("%q is stored as %q", a, x)
		}
	})
}

// TestPathProperty: paths come back, and two paths never give one name.
func TestPathProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(anyComponent(), 1, 6).Draw(t, "a")
		b := rapid.SliceOfN(anyComponent(), 1, 6).Draw(t, "b")
		x, y := EscapePath(a), EscapePath(b)
		if cmp.Equal(a, b) != (x == y) {
			t.Fatalf("%q and %q give %q and %q", a, b, x, y)
		}
		for _, name := range []string{x, x + "/"} {
			back, err := SplitMember(name)
			if !cmp.Equal(back, a) {
				t.Fatalf("%q becomes %q becomes %q", a, name, back)
			}
			var bad *NameError
			if err != nil && (!errors.As(err, &bad) || bad.Name != name) {
				t.Fatal(err)
			}
		}
	})
}

// TestSplitMember refuses what leads out of a directory.
func TestSplitMember(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want []string
		bad  bool
	}{
		{"uploads/auto/C%3A/x", []string{"uploads", "auto", "C:", "x"}, false},
		{"dir/", []string{"dir"}, false},
		{"/abs", []string{"", "abs"}, true},
		{"a//b", []string{"a", "", "b"}, true},
		{"a/../b", []string{"a", "..", "b"}, true},
		{"a/%2E%2E/b", []string{"a", "..", "b"}, true},
		{"a/./b", []string{"a", ".", "b"}, true},
		{"a/b%00", []string{"a", "b\x00"}, true},
		{"", []string{""}, true},
		{"/", []string{""}, true},
		{`a\..\b`, []string{`a\..\b`}, false},
	} {
		got, err := SplitMember(c.in)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q: %s", c.in, diff)
		}
		if c.bad != errors.Is(err, ErrName) || !c.bad && err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
	}
}

// TestMemberName shortens what is too long, always the same way, and so that the
// stored components decode from the name.
func TestMemberName(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		component := rapid.OneOf(anyComponent(), rapid.Map(rapid.IntRange(300, 1100), func(n int) string { return strings.Repeat("é", n) }))
		in := rapid.SliceOfN(component, 1, 40).Draw(t, "components")
		name, stored, shortened := MemberName(in)
		if again, _, _ := MemberName(in); again != name {
			t.Fatal("not the same twice")
		}
		if shortened == cmp.Equal(stored, in) {
			t.Fatalf("shortened is %v", shortened)
		}
		back, _ := SplitMember(name)
		if !cmp.Equal(back, stored) {
			t.Fatalf("%q is stored as %q, which is %q", stored, name, back)
		}
		for c := range strings.SplitSeq(name, "/") {
			if len(c) > MaxComponent {
				t.Fatalf("component of %d bytes", len(c))
			}
		}
		if len(in) > 3 && len(name) > MaxMemberName {
			t.Fatalf("name of %d bytes", len(name))
		}
	})
	long := strings.Repeat("x", 2000)
	a, _, _ := MemberName([]string{"uploads", long + "1"})
	b, stored, shortened := MemberName([]string{"uploads", long + "2"})
	if a == b || !shortened || len(stored[1]) != MaxComponent || !strings.HasPrefix(stored[1], strings.Repeat("x", 1000)+"xxxxxxx~") {
		t.Errorf("%.30s, %.30s, %d", a, b, len(stored[1]))
	}
	deep := make([]string, 3000)
	for i := range deep {
		deep[i] = "some directory"
	}
	name, stored, _ := MemberName(deep)
	if len(stored) != 4 || len(stored[2]) != 17 || len(name) > 100 {
		t.Errorf("%d components, name %q", len(stored), name)
	}
}

// TestCollide: names that differ by case only, for any way of ignoring it.
func TestCollide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"README", "readme", true},
		{"a/B", "A/b", true},
		{"a", "b", false},
		{"straße", "STRASSE", false},
		{"Σίσυφος", "ΣΊΣΥΦΟΣ", true},
		{"\u212a", "k", true},
		{"%2F", "%2f", true},
		{"é", "e\u0301", false},
	} {
		if got := Collide(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %v", c.a, c.b, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := EscapeComponent(anyComponent().Draw(t, "name"))
		for _, b := range []string{strings.ToLower(a), strings.ToTitle(strings.ToLower(a))} {
			if strings.EqualFold(a, b) && !Collide(a, b) {
				t.Fatalf("%q and %q", a, b)
			}
		}
		if lower := strings.ToLower(a); !Collide(lower, a) {
			t.Fatalf("%q and %q", a, lower)
		}
	})
}

// TestNameSet: no two claimed names collide, and the outcome is the same again.
func TestNameSet(t *testing.T) {
	t.Parallel()
	names := []string{"up/Readme.txt", "up/README.TXT", "up/readme.txt", "up/README.TXT", "up/.x", "up/.X", "dir/", "Dir/", "up/a.b/C", "up/a.b/c"}
	var first []string
	for range 2 {
		var s NameSet
		var claimed []string
		for _, n := range names {
			got, changed := s.Claim(n)
			if changed == (got == n) {
				t.Errorf("%q: %q, %v", n, got, changed)
			}
			claimed = append(claimed, got)
		}
		if s.Len() != len(names) {
			t.Errorf("%d names", s.Len())
		}
		for i, a := range claimed {
			for _, b := range claimed[:i] {
				if Collide(a, b) {
					t.Errorf("%q and %q", a, b)
				}
			}
		}
		if first != nil && !cmp.Equal(first, claimed) {
			t.Error(cmp.Diff(first, claimed))
		}
		first = claimed
	}
	want := []string{"up/Readme.txt", "up/README~" + shortHash("up/README.TXT") + ".TXT", "up/readme~" + shortHash("up/readme.txt") + ".txt"}
	if diff := cmp.Diff(want, first[:3]); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct{ in, prefix, suffix string }{
		{"a/b", "a/b~", ""}, {"a/.b", "a/.b~", ""}, {"a.c/b", "a.c/b~", ""}, {"a/b/", "a/b~", "/"}, {"b.tar.gz", "b.tar~", ".gz"},
	} {
		got := Disambiguate(c.in, 0)
		if !strings.HasPrefix(got, c.prefix) || !strings.HasSuffix(got, c.suffix) || len(got) != len(c.in)+17 {
			t.Errorf("%q: %q", c.in, got)
		}
	}
}
