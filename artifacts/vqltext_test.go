package artifacts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string
		lets string
	}{
		"one":                {"SELECT 1 FROM scope()", []string{"SELECT 1 FROM scope()"}, ""},
		"nothing":            {" -- only a comment", nil, ""},
		"let and select":     {"LET A = 1 SELECT A FROM scope()", []string{"LET A = 1", "SELECT A FROM scope()"}, "A"},
		"stored query":       {"LET A = SELECT 1 FROM x() LET B <= SELECT 2 FROM y() SELECT * FROM A", []string{"LET A = SELECT 1 FROM x()", "LET B <= SELECT 2 FROM y()", "SELECT * FROM A"}, "A B"},
		"function":           {"LET F(a, b) = a + b\nSELECT F(a=1) FROM scope()", []string{"LET F(a, b) = a + b", "SELECT F(a=1) FROM scope()"}, "F"},
		"lower case":         {"let a = select 1 from x() select * from a", []string{"let a = select 1 from x()", "select * from a"}, "a"},
		"backticks":          {"LET `a b` = 1 SELECT 1 FROM scope()", []string{"LET `a b` = 1", "SELECT 1 FROM scope()"}, "a b"},
		"explain":            {"LET A = 1 EXPLAIN SELECT A FROM scope()", []string{"LET A = 1", "EXPLAIN SELECT A FROM scope()"}, "A"},
		"keywords in string": {`SELECT "LET x" AS A, 'it''s' AS B FROM scope()`, []string{`SELECT "LET x" AS A, 'it''s' AS B FROM scope()`}, ""},
		"escape in string":   {`SELECT "a\" LET x" AS A FROM scope()`, []string{`SELECT "a\" LET x" AS A FROM scope()`}, ""},
		"long string":        {"SELECT '''it's LET x = 'y' ''' AS A FROM scope()", []string{"SELECT '''it's LET x = 'y' ''' AS A FROM scope()"}, ""},
		"in brackets":        {"SELECT * FROM foreach(row={ SELECT 1 FROM x() }, query={ LET y = 1 SELECT 2 FROM y() })", []string{"SELECT * FROM foreach(row={ SELECT 1 FROM x() }, query={ LET y = 1 SELECT 2 FROM y() })"}, ""},
		"comments":           {"/* LET A = 1 */ -- SELECT 2\n// LET B\nSELECT 1 FROM scope()", []string{"SELECT 1 FROM scope()"}, ""},
		"comparison":         {"LET A = 1 <= 2 SELECT A FROM scope()", []string{"LET A = 1 <= 2", "SELECT A FROM scope()"}, "A"},
		"name begins by LET": {"LET LETTER = 1 SELECT SELECTED FROM scope()", []string{"LET LETTER = 1", "SELECT SELECTED FROM scope()"}, "LETTER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := split(c.text)
			if err != nil {
				t.Fatal(err.message)
			}
			var got, lets []string
			for _, s := range list {
				got = append(got, s.text)
				if s.let != "" {
					lets = append(lets, s.let)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if l := strings.Join(lets, " "); l != c.lets {
				t.Errorf("names %q, want %q", l, c.lets)
			}
		})
	}
}

func TestSplitRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]lexError{
		"SELECT 'a":                  {7, "a string is not closed"},
		"SELECT '''a''":              {7, "a ''' string is not closed"},
		"SELECT `a":                  {7, "a name in backticks is not closed"},
		"SELECT 1 /* ":               {9, "a comment is not closed"},
		"SELECT (1":                  {9, "a '(' is not closed"},
		"SELECT (1]":                 {9, `a "]" too many`},
		"1 + 1":                      {0, "a statement begins with SELECT, LET or EXPLAIN"},
		"SELECT 1 } FROM scope()":    {9, `a "}" too many`},
		"SELECT '\\":                 {7, "a string is not closed"},
		"UPDATE x SELECT 1 FROM y()": {0, "a statement begins with SELECT, LET or EXPLAIN"},
	} {
		list, err := split(text)
		if err == nil {
			t.Errorf("%q was split into %d", text, len(list))
			continue
		}
		if *err != want {
			t.Errorf("%q: %v, want %v", text, *err, want)
		}
	}
}

// Statements put side by side come apart again, whatever stands in them.
func TestSplitJoins(t *testing.T) {
	t.Parallel()
	pieces := []string{"LET A = 1", "LET B <= SELECT * FROM foreach(row={ SELECT 1 FROM x() })", "LET C(x) = '''LET''' + \"SELECT\"",
		"SELECT `LET` FROM dict(a=1)", "EXPLAIN SELECT a.b[1] FROM x() WHERE y =~ 'z' LIMIT 5", "LET D = dict(a=[1, {SELECT 2 FROM y()}])"}
	spaces := []string{"\n", " ", "\n-- LET x = 'no\n", " /* SELECT */ ", "\r\n", "\t// it's\n"}
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var want []string
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			p := rapid.SampledFrom(pieces).Draw(t, "piece")
			want = append(want, p)
			text.WriteString(p + rapid.SampledFrom(spaces).Draw(t, "space"))
		}
		list, err := split(text.String())
		if err != nil {
			t.Fatal(err.message)
		}
		var got []string
		for _, s := range list {
			// A comment behind a statement belongs to its text.
			got = append(got, strings.TrimSpace(cutComment(s.text)))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%q: %s", text.String(), d)
		}
	})
}

func cutComment(s string) string {
	for _, mark := range []string{"\n-- LET", " /* SELECT", "\t// it's"} {
		s, _, _ = strings.Cut(s, mark)
	}
	return s
}

func TestCalls(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                             nil,
		"SELECT * FROM Artifact.A.B()": {"A.B"},
		"SELECT * FROM Artifact.A.B(x=1, y={SELECT * FROM Artifact.C()})": {"A.B", "C"},
		"SELECT * FROM Artifact.A() LET x = SELECT * FROM Artifact.A()":   {"A"},
		"SELECT * FROM Artifact . A . B ()":                               {"A.B"},
		"SELECT Artifact.Name FROM x()":                                   nil,
		"SELECT 'Artifact.A()' FROM x() -- Artifact.B()":                  nil,
		"SELECT * FROM MyArtifact.A()":                                    nil,
		"SELECT * FROM Artifact.`A`.B()":                                  {"A.B"},
		"SELECT Artifact":                                                 nil,
		"SELECT Artifact.":                                                nil,
		"SELECT Artifact.A":                                               nil,
	} {
		if d := cmp.Diff(want, Calls(text)); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestUsed(t *testing.T) {
	t.Parallel()
	first := "LET A = 1 LET B = A + 1 LET C = D LET D = 2 LET E = F LET F = E SELECT 1 FROM scope()"
	for later, want := range map[string]string{
		"SELECT 1 FROM scope()": "",
		"SELECT A FROM scope()": "LET A = 1",
		"SELECT B FROM scope()": "LET A = 1,LET B = A + 1",
		"SELECT C FROM scope()": "LET C = D,LET D = 2",
		"SELECT E FROM scope()": "LET E = F,LET F = E",
		"SELECT 'B' FROM x()":   "",
	} {
		list, err := split(first)
		if err != nil {
			t.Fatal(err.message)
		}
		next, err := split(later)
		if err != nil {
			t.Fatal(err.message)
		}
		var lets []statement
		for _, s := range list {
			if s.let != "" {
				lets = append(lets, s)
			}
		}
		if got := strings.Join(used(lets, next), ","); got != want {
			t.Errorf("%q uses %q, want %q", later, got, want)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"SELECT 1 FROM scope()", "LET A = '''x''' SELECT `b` FROM c({})", "/* */ -- \n //", "'", "SELECT (", "Artifact.A.B("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		Calls(text)
		list, err := split(text)
		if err != nil {
			if err.at < 0 || err.at > len(text) {
				t.Fatalf("the error is at %d of %d", err.at, len(text))
			}
			return
		}
		at := -1
		for _, s := range list {
			if s.at <= at || !strings.HasPrefix(text[s.at:], s.text) {
				t.Fatalf("statement %q at %d after %d", s.text, s.at, at)
			}
			at = s.at
		}
	})
}
