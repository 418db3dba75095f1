package artifacts

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// whole uses every field of the schema once.
const whole = `
name: Test.Whole
aliases:
  - Test.Old
description: |
  First line.
  Second line.
author: A person
reference:
  - https://example.org/1
type: client
required_permissions: [EXECVE]
implied_permissions:
  - FILESYSTEM_READ
impersonate: admin
resources:
  timeout: 1.5
  ops_per_second: 10
  cpu_limit: 50
  iops_limit: 5
  max_rows: 1000
  max_upload_bytes: 0x100000
  max_batch_wait: 3
  max_batch_rows: 4
  max_batch_rows_buffer: 5
tools:
  - name: Tool
    url: https://example.org/tool
    github_project: a/b
    github_asset_regex: linux
    serve_locally: true
    expected_hash: aa
    version: "1.10"
parameters:
  - name: Size
    type: int
    default: 0x10
    description: A number
    friendly_name: The size
  - name: Pick
    type: choices
    choices: [one, two]
    default: one
    validating_regex: ^[a-z]+$
  - name: Which
    type: artifactset
    artifact_type: CLIENT
    sources: true
imports:
  - Test.Base
export: |
  LET Twice(x) = x * 2
sources:
  - name: First
    description: The first
    query: |
      -- a comment with SELECT in it
      LET X = SELECT 1 AS A FROM scope()
      SELECT * FROM X
    notebook:
      - type: vql_suggestion
        name: Look
        template: SELECT 1 FROM scope()
        output: out
        env:
          - key: K
            value: V
  - name: Second
    queries:
      - LET Y = 5
      - SELECT Y FROM scope()
reports:
  - name: R
    type: CLIENT
    template: text
    parameters:
      - name: P
column_types:
  - name: A
    type: timestamp
    description: When
`

func TestParseReadsEveryField(t *testing.T) {
	t.Parallel()
	a, err := Parse([]byte(whole), "whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Artifact{
		Name: "Test.Whole", Aliases: []string{"Test.Old"}, Description: "First line.\nSecond line.\n",
		Author: "A person", References: []string{"https://example.org/1"}, Type: Client,
		RequiredPermissions: []string{"EXECVE"}, ImpliedPermissions: []string{"FILESYSTEM_READ"}, Impersonate: "admin",
		Resources: Resources{TimeoutSeconds: 1.5, OpsPerSecond: 10, CPULimitPercent: 50, IOPSLimit: 5, MaxRows: 1000,
			MaxUploadBytes: 1 << 20, MaxBatchWaitSeconds: 3, MaxBatchRows: 4, MaxBatchRowsBuffer: 5},
		Tools: []Tool{{Name: "Tool", URL: "https://example.org/tool", GithubProject: "a/b", GithubAssetRegex: "linux",
			ServeLocally: true, ExpectedHash: "aa", Version: "1.10"}},
		Parameters: []Parameter{
			{Name: "Size", Type: "int", Default: "0x10", Description: "A number", FriendlyName: "The size", Line: 35},
			{Name: "Pick", Type: "choices", Choices: []string{"one", "two"}, Default: "one", ValidatingRegex: "^[a-z]+$", Line: 40},
			{Name: "Which", Type: "artifactset", ArtifactType: "CLIENT", Sources: true, Line: 45},
		},
		Imports: []string{"Test.Base"}, Export: "LET Twice(x) = x * 2\n",
		Sources: []Source{
			{Name: "First", Description: "The first", Line: 54, QueryLine: 57,
				Query: "-- a comment with SELECT in it\nLET X = SELECT 1 AS A FROM scope()\nSELECT * FROM X\n",
				Notebook: []NotebookCell{{Type: "vql_suggestion", Name: "Look", Template: "SELECT 1 FROM scope()",
					Output: "out", Env: []EnvVar{{"K", "V"}}}}},
			{Name: "Second", Queries: []string{"LET Y = 5", "SELECT Y FROM scope()"}, Line: 68, QueryLine: 70},
		},
		Reports:     []Report{{Name: "R", Type: "CLIENT", Template: "text", Parameters: []Parameter{{Name: "P", Line: 77}}}},
		ColumnTypes: []ColumnType{{Name: "A", Type: "timestamp", Description: "When"}},
		Raw:         []byte(whole), Path: "whole.yaml",
	}
	if d := cmp.Diff(want, a); d != "" {
		t.Error(d)
	}
	if got := a.Resources.Timeout(); got != 1500*time.Millisecond {
		t.Errorf("timeout %v", got)
	}
	if got := a.Sources[1].VQL(); got != "LET Y = 5\nSELECT Y FROM scope()\n" {
		t.Errorf("queries joined to %q", got)
	}
}

// minimal is a definition to which the cases below add.
const minimal = "name: A.B\nsources:\n- query: SELECT 1 FROM scope()\n"

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"empty":                {"", "f.yaml: the document is empty"},
		"comment only":         {"# nothing\n", "f.yaml: the document is empty"},
		"a list":               {"- a\n", "f.yaml:1: a definition is a mapping"},
		"a word":               {"hello\n", "f.yaml:1: a definition is a mapping"},
		"two documents":        {minimal + "---\nname: C\n", "more than one document"},
		"bad yaml":             {"name: [A\n", "f.yaml:1:"},
		"not utf-8":            {"name: A\ndescription: \"\xff\"\n", "f.yaml:2: the text is not UTF-8"},
		"nul":                  {"name: A\n\x00", "f.yaml:2: the text has a NUL byte"},
		"anchor":               {"name: &a A\n", "f.yaml:1: anchors"},
		"alias":                {"name: *a\n", "f.yaml:1: anchors"},
		"merge":                {"<<: {}\n" + minimal, "f.yaml:1: anchors"},
		"unknown field":        {minimal + "presents: x\n", `f.yaml:4: unknown field "presents" in the definition`},
		"misspelt field":       {minimal + "paramters: []\n", "did you mean parameters?"},
		"misspelt in source":   {"name: A.B\nsources:\n- querry: SELECT 1 FROM scope()\n", `f.yaml:3: unknown field "querry" in a source (did you mean query`},
		"misspelt parameter":   {minimal + "parameters:\n- name: A\n  defualt: x\n", "f.yaml:6: unknown field \"defualt\" in a parameter (did you mean default?)"},
		"field twice":          {minimal + "author: x\nauthor: y\n", "author"},
		"no name":              {"sources:\n- query: SELECT 1 FROM scope()\n", "a definition needs a name"},
		"bad name":             {"name: A..B\n", `f.yaml:1: the name "A..B"`},
		"name begins by digit": {"name: A.1B\n", `the name "A.1B"`},
		"bad alias":            {minimal + "aliases: [a b]\n", `f.yaml:4: the alias "a b"`},
		"bad import":           {minimal + "imports: ['a b']\n", `f.yaml:4: the import "a b"`},
		"bad type":             {minimal + "type: CLEINT\n", `f.yaml:4: unknown type "CLEINT"`},
		"text is a list":       {"name: [A]\n", "f.yaml:1: name must be text, not a list"},
		"list is text":         {minimal + "aliases: A\n", "f.yaml:4: aliases must be a list"},
		"list of lists":        {minimal + "aliases: [[A]]\n", "f.yaml:4: aliases must be a list of texts"},
		"mapping is text":      {minimal + "resources: 5\n", "f.yaml:4: resources must be a mapping"},
		"source is text":       {"name: A\nsources:\n- hello\n", "f.yaml:3: a source must be a mapping"},
		"negative number":      {minimal + "resources:\n  timeout: -1\n", "f.yaml:5: timeout must be a number"},
		"number is text":       {minimal + "resources:\n  max_rows: many\n", "f.yaml:5: max_rows must be a number"},
		"not a bool":           {minimal + "tools:\n- name: T\n  serve_locally: maybe\n", "f.yaml:6: serve_locally must be true or false"},
		"tool without name":    {minimal + "tools:\n- url: x\n", "a tool needs a name"},
		"two preconditions":    {"name: A\nprecondition: SELECT 1 FROM scope()\nsources:\n- precondition: SELECT 1 FROM scope()\n  query: SELECT 1 FROM scope()\n", "f.yaml:4: a precondition stands at the top and in the source"},
		"precondition no rows": {minimal + "precondition: LET X = 1\n", "f.yaml:4: the precondition has no SELECT"},
		"precondition broken":  {minimal + "precondition: SELECT ( FROM\n", "f.yaml:4: the precondition:"},
		"parameter twice":      {minimal + "parameters: [{name: P}, {name: P}]\n", "the parameter P is declared twice"},
		"parameter no name":    {minimal + "parameters: [{default: P}]\n", "a parameter needs a name"},
		"parameter bad name":   {minimal + "parameters: [{name: a-b}]\n", `the parameter "a-b"`},
		"no query":             {"name: A\nsources:\n- name: S\n", "f.yaml:3: a source needs a query"},
		"query and queries":    {"name: A\nsources:\n- query: SELECT 1 FROM scope()\n  queries: [SELECT 1 FROM scope()]\n", "not both"},
		"same source name":     {minimal + "- query: SELECT 1 FROM scope()\n", "two sources have the same name"},
		"slash in source name": {"name: A\nsources:\n- name: a/b\n  query: SELECT 1 FROM scope()\n", "the source name"},
		"only comments":        {"name: A\nsources:\n- query: |\n    -- nothing\n", "f.yaml:4: the query has no statement"},
		"select before select": {"name: A\nsources:\n- query: |\n    SELECT 1 FROM scope()\n    SELECT 2 FROM scope()\n", "f.yaml:4: only the last statement"},
		"open string":          {"name: A\nsources:\n- query: |\n    LET X = 1\n    SELECT 'a FROM scope()\n", "f.yaml:5: a string is not closed"},
		"bracket too many":     {"name: A\nsources:\n- query: |\n    LET X = 1\n    SELECT a) FROM scope()\n", `f.yaml:5: a ")" too many`},
		"bracket open":         {"name: A\nsources:\n- query: SELECT (a FROM scope()\n", "is not closed"},
		"export broken":        {minimal + "export: |\n  LET X = '\n", "the export: a string is not closed"},
		"deep flow":            {"name: " + strings.Repeat("[", 100) + "\n", "nested too deeply"},
		"deep block":           {"name:\n" + strings.Repeat("- ", 100) + "a\n", "nested too deeply"},
		"far indented":         {"name:\n" + strings.Repeat(" ", 300) + "a: b\n", "nested too deeply"},
		"too long":             {"description: " + strings.Repeat("a", MaxBytes), "more than 1048576"},
		"too many tokens":      {minimal + "aliases: [" + strings.Repeat("a,", MaxTokens) + "]", "YAML tokens"},
		"blank lines":          {minimal + strings.Repeat("\n", 300), "empty lines in a row"},
		"blank lines by CR":    {minimal + strings.Repeat("\r", 300), "empty lines in a row"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := Parse([]byte(c.text), "f.yaml")
			if a != nil || !errors.Is(err, ErrInvalid) {
				t.Fatalf("artifact %v, error %v", a, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestParseReportsAllProblems(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte("name: 1\nfoo: 1\nbar: 2\nsources: 3\n"), "f")
	var pe *ParseError
	if !errors.As(err, &pe) || len(pe.Problems) != 4 {
		t.Fatalf("want four problems, got %v", err)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 4 {
		t.Errorf("want a line for each problem, got %q", lines)
	}
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, "field%d: 1\n", i)
	}
	_, err = Parse([]byte(many.String()), "f")
	if !errors.As(err, &pe) || len(pe.Problems) != maxProblems {
		t.Errorf("the problems are not bounded: %d", len(pe.Problems))
	}
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text  string
		check func(*Artifact) bool
	}{
		"byte order mark": {"\ufeff" + minimal, func(a *Artifact) bool { return a.Name == "A.B" }},
		"document start":  {"---\n" + minimal, func(a *Artifact) bool { return a.Name == "A.B" }},
		"windows lines": {strings.ReplaceAll(minimal+"description: |\n  a\n  b\n", "\n", "\r\n"),
			func(a *Artifact) bool { return a.Description == "a\nb\n" }},
		"no type is client":     {minimal, func(a *Artifact) bool { return a.Type == Client }},
		"references":            {minimal + "references: [a]\n", func(a *Artifact) bool { return len(a.References) == 1 }},
		"bool as text":          {minimal + "parameters: [{name: P, default: Y, type: bool}]\n", func(a *Artifact) bool { return a.Parameters[0].Default == "Y" }},
		"bool stays written":    {minimal + "parameters: [{name: P, default: true}]\n", func(a *Artifact) bool { return a.Parameters[0].Default == "true" }},
		"number stays written":  {minimal + "parameters: [{name: P, default: 1.50}]\n", func(a *Artifact) bool { return a.Parameters[0].Default == "1.50" }},
		"time stays written":    {minimal + "parameters: [{name: P, default: 2026-01-02}]\n", func(a *Artifact) bool { return a.Parameters[0].Default == "2026-01-02" }},
		"null is empty":         {minimal + "author:\n", func(a *Artifact) bool { return a.Author == "" }},
		"null list":             {minimal + "tools:\n", func(a *Artifact) bool { return a.Tools == nil }},
		"folded":                {minimal + "description: >\n  a\n  b\n", func(a *Artifact) bool { return a.Description == "a b\n" }},
		"stripped":              {minimal + "description: |-\n  a\n", func(a *Artifact) bool { return a.Description == "a" }},
		"quoted":                {minimal + `description: "a\tb"` + "\n", func(a *Artifact) bool { return a.Description == "a\tb" }},
		"tagged":                {minimal + "author: !!str 12\n", func(a *Artifact) bool { return a.Author == "12" }},
		"hash in a query":       {"name: A\nsources:\n- query: |\n    SELECT '#' FROM scope() # x\n", func(a *Artifact) bool { return strings.Contains(a.Sources[0].Query, "# x") }},
		"unknown parameter typ": {minimal + "parameters: [{name: P, type: banana}]\n", func(a *Artifact) bool { return a.Parameters[0].Type == "banana" }},
		"only an export":        {"name: A\nexport: LET X = 1\n", func(a *Artifact) bool { return a.Export == "LET X = 1" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := Parse([]byte(c.text), "f")
			if err != nil {
				t.Fatal(err)
			}
			if !c.check(a) {
				t.Errorf("read wrongly: %+v", a)
			}
			if string(a.Raw) != c.text {
				t.Error("Raw is not the text that was given")
			}
		})
	}
}

func TestParseDoesNotKeepTheBuffer(t *testing.T) {
	t.Parallel()
	data := []byte(minimal)
	a, err := Parse(data, "f")
	if err != nil {
		t.Fatal(err)
	}
	hash := a.Hash()
	clear(data)
	if a.Hash() != hash || string(a.Raw) != minimal {
		t.Error("the artifact changed with the buffer it was read from")
	}
}

// Texts on which the YAML scanner would take minutes without our limits.
func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	const size = MaxBytes / 2
	many := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, text := range map[string]string{
		"empty lines in a block": "description: |\n" + many("\n"),
		"brackets":               many("["),
		"dashes":                 many("- "),
		"tags":                   many("!!str "),
		"open quote":             "description: \"" + many("a\n"),
		"documents":              many("---\n"),
		"comments":               many(" # x\n"),
		"carriage returns":       many("\r"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if _, err := Parse([]byte(text), "f"); err == nil {
				t.Error("accepted")
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(minimal))
	for _, s := range []string{"a: |\n b\n\n\n", "a: 'b\n c'\n", "- - a\n", "{a: [b, {c: d}]}", "%YAML 1.2\n---\na", "a: !!binary x", "? a\n: b\n", "\ufeffname: A", "a: >-2\n   b\n", "name: \"\\x41\"\n"} {
		f.Add([]byte(s))
	}
	for _, name := range Embedded().Names() {
		a, err := Embedded().Get(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Raw)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Parse(data, "fuzz")
		if (a == nil) == (err == nil) {
			t.Fatalf("artifact %v with error %v", a, err)
		}
		if err != nil {
			var pe *ParseError
			if !errors.As(err, &pe) || len(pe.Problems) == 0 {
				t.Fatalf("an error without problems: %v", err)
			}
			return
		}
		// What loads is planned without surprise, or refused with a reason.
		r, err := Empty().WithDefinitions("fuzz", data)
		if err != nil {
			t.Fatalf("it parses alone but not in a layer: %v", err)
		}
		for _, p := range a.Parameters {
			p.Validate(p.Normal(p.Default))
		}
		again, err := r.Get(a.Name)
		if err != nil || again.Hash() != a.Hash() {
			t.Fatalf("got another artifact than was put in: %v", err)
		}
		if c, err := r.Compile(a.Name, nil); err == nil && len(c.Sources) > len(a.Sources) {
			t.Fatal("a source was invented")
		}
	})
}
