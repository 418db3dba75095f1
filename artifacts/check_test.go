package artifacts

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []Problem
	}{
		"good":   {minimal, nil},
		"syntax": {"a: [\n", []Problem{{Kind: KindSyntax, Line: 1, Message: "sequence end token ']' not found"}}},
		"fields and values, in order of lines": {"name: A\nfoo: 1\nauthor: [x]\nexport: ''\n", []Problem{
			{Kind: KindField, Name: "foo", Line: 2, Message: `unknown field "foo" in the definition`},
			{Kind: KindValue, Name: "author", Line: 3, Message: "author must be text, not a list"},
		}},
		"permission": {minimal + "required_permissions: [EXECV]\n", []Problem{
			{Kind: KindValue, Name: "EXECV", Line: 4, Message: `unknown permission "EXECV" (did you mean EXECVE?)`, Warning: true}}},
		"parameters": {minimal + "parameters:\n- {name: A, type: integr}\n- {name: B, type: int, default: x}\n- {name: C, validating_regex: '('}\n- {name: D, type: choices, choices: [a], default: b}\n", []Problem{
			{Kind: KindParameter, Name: "A", Line: 5, Message: `the parameter A has the unknown type "integr" and is taken as text (did you mean integer?)`, Warning: true},
			{Kind: KindParameter, Name: "B", Line: 6, Message: `the default of B: "x" is not a whole number`, Warning: true},
			{Kind: KindParameter, Name: "C", Line: 7, Message: "the validating_regex of C cannot be used here: error parsing regexp: missing closing ): `(`", Warning: true},
			{Kind: KindParameter, Name: "D", Line: 8, Message: `the default of D: "b" is not one of a (did you mean a?)`, Warning: true},
		}},
		"last is a let": {"name: A\nsources:\n- name: S\n  query: |\n    LET X = 1\n    LET Y = 2\n", []Problem{
			{Kind: KindQuery, Name: "S", Line: 6, Message: "the last statement of the source is a LET, so it gives no rows", Warning: true}}},
		"nothing in it": {"name: A\n", []Problem{
			{Kind: KindSource, Line: 1, Message: "the definition has neither sources nor an export", Warning: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, Check([]byte(c.text))); d != "" {
				t.Error(d)
			}
		})
	}
}

// The output of `collect artifacts verify` has these names.
func TestProblemJSON(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(Problem{Kind: KindQuery, Name: "n", Line: 3, Message: "m", Warning: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(data), `{"kind":"query","name":"n","line":3,"message":"m"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Each part that is taken away from a whole definition is either optional or
// missed by name; nothing panics, nothing hangs.
func TestCheckOfDamagedText(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(whole, "\n")
	for i := range lines {
		text := strings.Join(lines[:i], "") + strings.Join(lines[i+1:], "")
		for _, p := range Check([]byte(text)) {
			if p.Message == "" || p.Kind == "" || p.Line < 0 || p.Line > len(lines) {
				t.Errorf("without line %d: %+v", i+1, p)
			}
		}
	}
	for i := range whole {
		if i%3 != 0 {
			continue
		}
		a, err := Parse([]byte(whole[:i]), "")
		if (a == nil) == (err == nil) {
			t.Fatalf("cut at %d: %v, %v", i, a, err)
		}
	}
}
