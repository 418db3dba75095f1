package artifacts

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"satchel/internal/flow"

	"github.com/google/go-cmp/cmp"
)

const (
	baseArtifact = `
name: Test.Base
imports: [Test.Deeper]
export: LET Base = 1
`
	deeperArtifact = `
name: Test.Deeper
imports: [Test.Base]
export: LET Deeper = 1
`
	multiArtifact = `
name: Test.Multi
precondition: SELECT OS FROM info()
imports: [Test.Base]
export: LET Own = 1
required_permissions: [EXECVE]
resources: {timeout: 60, max_rows: 5, max_upload_bytes: 10, ops_per_second: 2, cpu_limit: 3}
tools: [{name: Hammer}]
parameters:
- {name: Count, type: int, default: 5}
- {name: Text, default: hello}
- {name: Flag, type: bool, default: Y}
column_types: [{name: A, type: timestamp}]
sources:
- name: One
  query: |
    LET Helper = Count + 1
    LET Unused = 1
    SELECT Helper FROM scope()
- name: Two
  query: SELECT Helper FROM Artifact.Test.Called()
- query: SELECT 1 FROM scope()
`
	calledArtifact = `
name: Test.Called
sources:
- query: SELECT * FROM Artifact.Test.Missing()
`
	eventArtifact = `
name: Test.Event
type: CLIENT_EVENT
sources: [{query: SELECT * FROM clock()}]
`
	setArtifact = `
name: Test.Set
precondition: SELECT 'set' FROM scope()
parameters:
- name: Members
  type: artifactset
  default: |
    Artifact
    Test.Multi
    Test.Simple
    Test.Inner
`
	innerArtifact = `
name: Test.Inner
precondition: SELECT 'inner' FROM scope()
parameters:
- {name: Members, type: artifactset, default: "Artifact\nTest.Called\nTest.Set\nTest.Simple\n"}
sources:
- query: SELECT * FROM Members
`
	simpleArtifact = `
name: Test.Simple
aliases: [Test.Easy]
parameters: [{name: Text, default: a}, {name: Only, type: choices, choices: [x, y], default: x}]
sources: [{query: SELECT Text FROM scope()}]
`
)

func testRepository(t *testing.T) *Repository {
	t.Helper()
	return layered(t, baseArtifact, deeperArtifact, multiArtifact, calledArtifact, eventArtifact, setArtifact, innerArtifact, simpleArtifact)
}

func plan(t *testing.T, specs ...flow.Spec) *Plan {
	t.Helper()
	p, err := NewPlan(testRepository(t), specs, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanOfOneArtifact(t *testing.T) {
	t.Parallel()
	p := plan(t, flow.Spec{Artifact: "Test.Multi", Parameters: []flow.Param{{Key: "Count", Value: "7"}}})
	conversions := []string{"LET `Count` <= int(int=`Count`)", "LET `Flag` <= `Flag` =~ '^(Y|TRUE|YES|OK)$'"}
	exports := []string{"LET Deeper = 1", "LET Base = 1", "LET Own = 1"}
	with := func(name, query string, lets ...string) Item {
		i := Item{
			Artifact: "Test.Multi", Name: "Test.Multi", Query: query, Preconditions: []string{"SELECT OS FROM info()"},
			Conversions: conversions, Preamble: append(append(append([]string{}, conversions...), exports...), lets...),
			Env:     []flow.Param{{Key: "Count", Value: "7"}, {Key: "Text", Value: "hello"}, {Key: "Flag", Value: "Y"}},
			Timeout: time.Minute, MaxRows: 5, MaxUploadBytes: 10, OpsPerSecond: 2, CPULimitPercent: 3,
			Volatility: volatileConfig, Permissions: []string{"EXECVE"}, Tools: []Tool{{Name: "Hammer"}},
			ColumnTypes: []ColumnType{{Name: "A", Type: "timestamp"}}, Definition: hashOf(t, "Test.Multi"),
		}
		if name != "" {
			i.Source, i.Name = name, "Test.Multi/"+name
		}
		return i
	}
	want := []Item{
		with("One", "LET Helper = Count + 1\nLET Unused = 1\nSELECT Helper FROM scope()\n"),
		with("Two", "SELECT Helper FROM Artifact.Test.Called()", "LET Helper = Count + 1"),
		with("", "SELECT 1 FROM scope()"),
	}
	if d := cmp.Diff(want, p.Items); d != "" {
		t.Error(d)
	}
	notes := []string{"Test.Multi wants the tool Hammer, which is not carried"}
	if len(p.Notes) != 2 || p.Notes[1] != notes[0] || !strings.Contains(p.Notes[0], "Test.Called calls Test.Missing") {
		t.Errorf("notes %q", p.Notes)
	}
	if got := p.Items[0].Condition(0); got != strings.Join(conversions, "\n")+"\nSELECT OS FROM info()" {
		t.Errorf("the condition is %q", got)
	}
	if got := p.Items[1].Text(); !strings.HasSuffix(got, "\nLET Own = 1\nLET Helper = Count + 1\nSELECT Helper FROM Artifact.Test.Called()") {
		t.Errorf("the text is %q", got)
	}
	if d := cmp.Diff([]string{"Test.Multi/One", "Test.Multi/Two", "Test.Multi"}, p.Names()); d != "" {
		t.Error(d)
	}
}

func hashOf(t *testing.T, name string) string {
	t.Helper()
	a, err := testRepository(t).Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return a.Hash()
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	given := func(artifact string, kv ...string) []flow.Spec {
		s := flow.Spec{Artifact: artifact}
		for i := 0; i < len(kv); i += 2 {
			s.Parameters = append(s.Parameters, flow.Param{Key: kv[i], Value: kv[i+1]})
		}
		return []flow.Spec{s}
	}
	for name, c := range map[string]struct {
		specs []flow.Spec
		is    error
		want  string
	}{
		"nothing":           {nil, ErrNotFound, "nothing to collect"},
		"unknown artifact":  {given("Test.Simpel"), ErrNotFound, `no such artifact: "Test.Simpel" (did you mean Test.Simple?)`},
		"unknown parameter": {given("Test.Simple", "Txt", "1"), ErrParameter, "Test.Simple: parameter Txt: the artifact has no such parameter (did you mean Text?)"},
		"bad value":         {given("Test.Multi", "Count", "many"), ErrParameter, `Test.Multi: parameter Count: "many" is not a whole number`},
		"bad choice":        {given("Test.Simple", "Only", "z"), ErrParameter, `"z" is not one of x, y`},
		"event":             {given("Test.Event"), ErrType, "Test.Event is CLIENT_EVENT"},
		"no sources":        {given("Test.Base"), ErrType, "Test.Base has no sources"},
		"unknown to a set":  {given("Test.Set", "Txet", "1"), ErrParameter, "Test.Set: parameter Txet: neither the set nor a member of it has such a parameter (did you mean Text?)"},
		"unknown member":    {given("Test.Set", "Members", "Artifact\nTest.Nope\n"), ErrNotFound, `member of Test.Set: no such artifact: "Test.Nope"`},
		"two values": {append(given("Test.Simple", "Text", "1"), given("Test.Easy", "Text", "2")...), ErrParameter,
			"Test.Simple: parameter Text: given twice with different values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := NewPlan(testRepository(t), c.specs, PlanOptions{})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
	// All of it is told at once.
	_, err := NewPlan(testRepository(t), append(given("Nope"), given("Test.Multi", "Count", "x", "Bad", "1")...), PlanOptions{})
	if n := strings.Count(err.Error(), "\n"); n != 2 {
		t.Errorf("want three lines, got %q", err)
	}
	if _, err := NewPlan(testRepository(t), given("Test.Event"), PlanOptions{Types: []Type{ClientEvent}}); err != nil {
		t.Errorf("events when events are asked for: %v", err)
	}
}

func TestPlanOfASet(t *testing.T) {
	t.Parallel()
	type row struct{ name, set, pre, text string }
	rows := func(p *Plan) []row {
		var list []row
		for _, i := range p.Items {
			text := ""
			for _, e := range i.Env {
				if e.Key == "Text" {
					text = e.Value
				}
			}
			var pre []string
			for _, c := range i.Preconditions {
				pre = append(pre, strings.Fields(c)[1])
			}
			list = append(list, row{i.Name, i.Set, strings.Join(pre, " "), text})
		}
		return list
	}
	for name, c := range map[string]struct {
		specs []flow.Spec
		want  []row
	}{
		"whole": {[]flow.Spec{{Artifact: "Test.Set"}}, []row{
			{"Test.Multi/One", "Test.Set", "'set' OS", "hello"},
			{"Test.Multi/Two", "Test.Set", "'set' OS", "hello"},
			{"Test.Multi", "Test.Set", "'set' OS", "hello"},
			{"Test.Simple", "Test.Set", "'set'", "a"},
			{"Test.Inner", "Test.Set", "'set' 'inner'", ""},
			{"Test.Called", "Test.Inner", "'set' 'inner'", ""},
		}},
		"given to the set": {[]flow.Spec{{Artifact: "Test.Set", Parameters: []flow.Param{{Key: "Members", Value: "Artifact\nTest.Simple\nTest.Called\n"}, {Key: "Text", Value: "b"}}}}, []row{
			{"Test.Simple", "Test.Set", "'set'", "b"},
			{"Test.Called", "Test.Set", "'set'", ""},
		}},
		"members by name": {[]flow.Spec{{Artifact: "Test.Set", Parameters: []flow.Param{{Key: "Members", Value: "Test.Simple,Test.Called"}}}}, []row{
			{"Test.Simple", "Test.Set", "'set'", "a"},
			{"Test.Called", "Test.Set", "'set'", ""},
		}},
		"named beside the set": {[]flow.Spec{
			{Artifact: "Test.Inner", Parameters: []flow.Param{{Key: "Members", Value: "Artifact\nTest.Simple\n"}, {Key: "Text", Value: "b"}}},
			{Artifact: "Test.Easy", Parameters: []flow.Param{{Key: "Text", Value: "c"}}}}, []row{
			{"Test.Inner", "", "'inner'", ""},
			{"Test.Simple", "", "", "c"},
		}},
		"named before the set": {[]flow.Spec{
			{Artifact: "Test.Simple", Parameters: []flow.Param{{Key: "Only", Value: "y"}}},
			{Artifact: "Test.Inner", Parameters: []flow.Param{{Key: "Members", Value: "Artifact\nTest.Simple\n"}, {Key: "Text", Value: "b"}}}}, []row{
			{"Test.Simple", "", "", "b"},
			{"Test.Inner", "", "'inner'", ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, rows(plan(t, c.specs...)), cmp.AllowUnexported(row{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPlanHash(t *testing.T) {
	t.Parallel()
	one := plan(t, flow.Spec{Artifact: "Test.Multi"})
	if again := plan(t, flow.Spec{Artifact: "Test.Multi"}); one.Hash() != again.Hash() {
		t.Error("the same request gives another hash")
	}
	given := plan(t, flow.Spec{Artifact: "Test.Multi", Parameters: []flow.Param{{Key: "Count", Value: "5"}}})
	if one.Hash() != given.Hash() {
		t.Error("a default that is given changes the hash")
	}
	other := plan(t, flow.Spec{Artifact: "Test.Multi", Parameters: []flow.Param{{Key: "Count", Value: "6"}}})
	if one.Hash() == other.Hash() {
		t.Error("another value has the same hash")
	}
	if len(one.Hash()) != 64 {
		t.Errorf("the hash is %q", one.Hash())
	}
}

func TestPlanJSON(t *testing.T) {
	t.Parallel()
	p := plan(t, flow.Spec{Artifact: "Test.Set"})
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p.Items, back.Items); d != "" {
		t.Error(d)
	}
	if back.Hash() != p.Hash() {
		t.Error("the hash changed on the way")
	}
}

func TestPlanDefinitions(t *testing.T) {
	t.Parallel()
	list, err := plan(t, flow.Spec{Artifact: "Test.Multi"}).Definitions()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range list {
		var a Artifact
		if err := json.Unmarshal(d, &a); err != nil {
			t.Fatal(err)
		}
		names = append(names, a.Name)
	}
	// Called and imported artifacts travel with those that were asked for.
	if d := cmp.Diff([]string{"Test.Multi", "Test.Base", "Test.Deeper", "Test.Called"}, names); d != "" {
		t.Error(d)
	}
	var fields map[string]any
	if err := json.Unmarshal(list[0], &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"name", "precondition", "imports", "export", "parameters", "sources", "resources", "required_permissions"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("the definition has no field %s", name)
		}
	}
}

func TestPlanOptions(t *testing.T) {
	t.Parallel()
	p, err := NewPlan(testRepository(t), []flow.Spec{{Artifact: "Test.Multi"}}, PlanOptions{ArtifactTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range p.Items {
		if i.Timeout != time.Second {
			t.Errorf("%s has the timeout %v", i.Name, i.Timeout)
		}
	}
}

func TestPlanOrder(t *testing.T) {
	t.Parallel()
	r := layered(t,
		"name: Linux.Sys.SUID\nsources: [{query: SELECT 1 FROM x()}]\n",
		"name: My.Upload\nsources: [{query: SELECT upload(file=A) FROM x()}]\n",
		"name: My.Config\nsources: [{query: SELECT 'pslist()' FROM x()}]\n",
		"name: My.Memory\nsources: [{query: SELECT * FROM pslist()}]\n",
		"name: Generic.Client.Info\nsources: [{name: B, query: SELECT 1 FROM x()}, {name: A, query: SELECT 1 FROM x()}]\n",
		"name: Linux.Mounts\nsources: [{query: SELECT 1 FROM x()}]\n",
		"name: My.Other\nsources: [{query: SELECT 1 FROM x()}]\n",
	)
	var specs []flow.Spec
	for _, n := range []string{"Linux.Sys.SUID", "My.Upload", "My.Other", "My.Config", "My.Memory", "Linux.Mounts", "Generic.Client.Info"} {
		specs = append(specs, flow.Spec{Artifact: n})
	}
	p, err := NewPlan(r, specs, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Generic.Client.Info/B", "Generic.Client.Info/A", "My.Memory", "Linux.Mounts", "My.Other", "My.Config", "My.Upload", "Linux.Sys.SUID"}
	if d := cmp.Diff(want, p.Names()); d != "" {
		t.Error(d)
	}
}

func TestSourcePreconditionsKeepSourcesApart(t *testing.T) {
	t.Parallel()
	r := layered(t, `
name: A
sources:
- {name: One, precondition: SELECT 1 FROM x(), query: "LET X = 1 SELECT X FROM y()"}
- {name: Two, query: SELECT X FROM y()}
`)
	p, err := NewPlan(r, []flow.Spec{{Artifact: "A"}}, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Items[0].Preconditions) != 1 || p.Items[1].Preconditions != nil || p.Items[1].Preamble != nil {
		t.Errorf("items %+v", p.Items)
	}
}

// A template of a notebook has sources without a query: it loads, and there is
// nothing to collect.
func TestSourceOfANotebookAlone(t *testing.T) {
	t.Parallel()
	r := layered(t, "name: A\nsources:\n- notebook: [{type: markdown, template: hello}]\n- {name: Q, query: SELECT 1 FROM x()}\n",
		"name: B\nsources:\n- notebook: [{type: markdown, template: hello}]\n")
	p, err := NewPlan(r, []flow.Spec{{Artifact: "A"}}, PlanOptions{})
	if err != nil || len(p.Items) != 1 || p.Items[0].Name != "A/Q" {
		t.Errorf("plan %+v, %v", p, err)
	}
	if _, err := NewPlan(r, []flow.Spec{{Artifact: "B"}}, PlanOptions{}); !errors.Is(err, ErrType) {
		t.Errorf("the error is %v", err)
	}
}

func TestImportOfTheUnknown(t *testing.T) {
	t.Parallel()
	r := layered(t, "name: A\nimports: [Nope.X]\nsources: [{query: SELECT 1 FROM x()}]\n")
	if _, err := r.Compile("A", nil); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "import of A") {
		t.Errorf("the error is %v", err)
	}
}

func TestSpecs(t *testing.T) {
	t.Parallel()
	r := testRepository(t)
	spec := func(artifact string, kv ...string) flow.Spec {
		s := flow.Spec{Artifact: artifact}
		for i := 0; i < len(kv); i += 2 {
			s.Parameters = append(s.Parameters, flow.Param{Key: kv[i], Value: kv[i+1]})
		}
		return s
	}
	for name, c := range map[string]struct {
		names, args []string
		want        []flow.Spec
		err         string
	}{
		"plain":             {[]string{"Test.Simple", "Test.Easy"}, nil, []flow.Spec{{Artifact: "Test.Simple"}}, ""},
		"to all that take":  {[]string{"Test.Simple", "Test.Multi", "Test.Called"}, []string{"Text=a=b"}, []flow.Spec{spec("Test.Simple", "Text", "a=b"), spec("Test.Multi", "Text", "a=b"), {Artifact: "Test.Called"}}, ""},
		"to one":            {[]string{"Test.Simple", "Test.Multi"}, []string{"Test.Multi::Text=x"}, []flow.Spec{{Artifact: "Test.Simple"}, spec("Test.Multi", "Text", "x")}, ""},
		"by alias":          {[]string{"Test.Simple"}, []string{"Test.Easy::Text=x"}, []flow.Spec{spec("Test.Simple", "Text", "x")}, ""},
		"value with colons": {[]string{"Test.Simple"}, []string{"Text=a::b"}, []flow.Spec{spec("Test.Simple", "Text", "a::b")}, ""},
		"to a set":          {[]string{"Test.Set"}, []string{"Only=y"}, []flow.Spec{spec("Test.Set", "Only", "y")}, ""},
		"to a member":       {[]string{"Test.Set"}, []string{"Test.Called::X=y", "Test.Simple::Only=y"}, []flow.Spec{{Artifact: "Test.Set"}, spec("Test.Called", "X", "y"), spec("Test.Simple", "Only", "y")}, ""},
		"unknown artifact":  {[]string{"Test.Sample"}, nil, nil, "did you mean Test.Simple?"},
		"unknown parameter": {[]string{"Test.Simple"}, []string{"Onyl=y"}, nil, "did you mean Only?"},
		"not asked for":     {[]string{"Test.Simple"}, []string{"Test.Multi::Count=1"}, nil, "not among those to collect"},
		"no equals":         {[]string{"Test.Simple"}, []string{"Text"}, nil, "is not of the form NAME=VALUE"},
		"unknown qualifier": {[]string{"Test.Simple"}, []string{"Test.Nope::A=1"}, nil, "no such artifact"},
		"empty value":       {[]string{"Test.Simple"}, []string{"Text="}, []flow.Spec{spec("Test.Simple", "Text", "")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := r.Specs(c.names, c.args)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("the error is %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	r := testRepository(t)
	set, err := r.Get("Test.Set")
	if err != nil {
		t.Fatal(err)
	}
	names, ok := set.Members()
	if d := cmp.Diff([]string{"Test.Multi", "Test.Simple", "Test.Inner"}, names); !ok || d != "" {
		t.Error(d)
	}
	one, err := r.Get("Test.Simple")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := one.Members(); ok {
		t.Error("an artifact without members is a set")
	}
}
