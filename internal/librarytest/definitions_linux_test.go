package librarytest

import (
	"testing"

	"satchel/artifacts"

	"github.com/google/go-cmp/cmp"
)

// repository makes one of the texts over the library.
func repository(t *testing.T, texts ...string) *artifacts.Repository {
	t.Helper()
	var data [][]byte
	for _, s := range texts {
		data = append(data, []byte(s))
	}
	r, err := artifacts.Embedded().WithDefinitions("test", data...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each type of a parameter becomes in the query what the guide says.
func TestParameterTypes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ declaration, arg, want string }{
		"text":             {"{name: P, default: a b}", "", `"a b"`},
		"text that counts": {"{name: P, default: 0x10}", "", `"0x10"`},
		"int":              {"{name: P, type: int, default: 5}", "", `5`},
		"int given":        {"{name: P, type: int, default: 5}", "P=-7", `-7`},
		"int in hex":       {"{name: P, type: int64, default: 0x10}", "", `16`},
		"int large":        {"{name: P, type: integer, default: 9223372036854775807}", "", `9223372036854775807`},
		"int empty":        {"{name: P, type: int}", "", `0`},
		"float":            {"{name: P, type: float, default: 0.25}", "", `0.25`},
		"bool Y":           {"{name: P, type: bool, default: Y}", "", `true`},
		"bool N":           {"{name: P, type: bool, default: Y}", "P=N", `false`},
		"bool empty":       {"{name: P, type: bool}", "", `false`},
		"bool 1":           {"{name: P, type: bool}", "P=1", `true`},
		"time":             {"{name: P, type: timestamp, default: '2026-01-02T03:04:05Z'}", "", `"2026-01-02T03:04:05Z"`},
		"time of a day":    {"{name: P, type: timestamp}", "P=2026-01-02", `"2026-01-02T00:00:00Z"`},
		"time in seconds":  {"{name: P, type: timestamp}", "P=1767323045", `"2026-01-02T03:04:05Z"`},
		"time empty":       {"{name: P, type: timestamp}", "", `null`},
		"regex":            {`{name: P, type: regex, default: '\d+'}`, "", `"\\d+"`},
		"choices":          {"{name: P, type: choices, choices: [a, b], default: b}", "", `"b"`},
		"csv":              {`{name: P, type: csv, default: "A,B\n1,x\n2,y z\n"}`, "", `[{"A":1,"B":"x"},{"A":2,"B":"y z"}]`},
		"csv of one cell":  {`{name: P, type: csv, default: "Glob\n/a\n"}`, "P=/b/{c,d}", `[{"Glob":"/b/{c,d}"}]`},
		"csv empty":        {"{name: P, type: csv}", "", `[]`},
		"json":             {`{name: P, type: json, default: '{"a": [1, "b"]}'}`, "", `{"a":[1,"b"]}`},
		"json array":       {`{name: P, type: json_array, default: '["a", 1]'}`, "", `["a",1]`},
		"multichoice":      {`{name: P, type: multichoice, choices: [a, b, c], default: '["a"]'}`, "P=c,a", `["c","a"]`},
		"artifactset":      {`{name: P, type: artifactset, default: "Artifact\nA.B\n"}`, "P=C.D", `[{"Artifact":"C.D"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := repository(t, "name: Test.Types\nparameters: ["+c.declaration+"]\nsources: [{query: SELECT P FROM scope()}]\n")
			var args []string
			if c.arg != "" {
				args = append(args, c.arg)
			}
			got := collectFrom(t, r, "Test.Types", args...)[0]
			if len(got.errors) > 0 || len(got.rows) != 1 {
				t.Fatalf("rows %s, errors %q", got.rows, got.errors)
			}
			if want := `{"P":` + c.want + `}`; string(got.rows[0]) != want {
				t.Errorf("the row is %s, want %s", got.rows[0], want)
			}
		})
	}
}

// Calls of other artifacts, exports, and what sources see of each other.
func TestArtifactsTogether(t *testing.T) {
	t.Parallel()
	const base = `
name: Test.Base
parameters:
- {name: N, type: int, default: 2}
- {name: Loud, type: bool, default: N}
export: |
  LET Twice(x) = x * 2
sources:
- name: A
  query: SELECT Twice(x=N) AS Value, Loud FROM scope()
- name: B
  query: SELECT 'b' AS Value FROM scope()
`
	const caller = `
name: Test.Caller
imports: [Test.Base]
sources:
- name: Call
  query: |
    LET Ten = 10
    SELECT Value, Loud FROM Artifact.Test.Base(source='A', N=Ten, Loud=TRUE)
- name: All
  query: SELECT Value FROM Artifact.Test.Base()
- name: Shared
  query: SELECT Twice(x=Ten) AS Value FROM scope()
`
	var got []string
	for _, r := range collectFrom(t, repository(t, base, caller), "Test.Caller") {
		for _, row := range r.rows {
			got = append(got, r.name+" "+string(row))
		}
		for _, e := range r.errors {
			t.Errorf("%s: %s", r.name, e)
		}
	}
	want := []string{
		`Test.Caller/Call {"Value":20,"Loud":true}`,
		`Test.Caller/All {"Value":4}`,
		`Test.Caller/All {"Value":"b"}`,
		`Test.Caller/Shared {"Value":20}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
