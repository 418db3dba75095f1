package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"satchel/vql"
	"satchel/vql/plugins/core"
)

// The tests here run the queries of the evaluator's own test file, read from
// the module cache, and compare with its golden files.

// evaluatorDir returns the folder of the evaluator's source.
func evaluatorDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "www.velocidex.com/golang/vfilter").Output()
	if err != nil {
		t.Fatalf("find the evaluator's source: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// evaluatorTable reads a table of names and queries out of the test file.
func evaluatorTable(t *testing.T, file, variable string) (names, queries []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 || spec.Names[0].Name != variable {
			return true
		}
		table, ok := spec.Values[0].(*ast.CompositeLit)
		if !ok {
			return false
		}
		for _, e := range table.Elts {
			if row, ok := e.(*ast.CompositeLit); ok && len(row.Elts) == 2 {
				names, queries = append(names, literal(row.Elts[0])), append(queries, literal(row.Elts[1]))
			}
		}
		return false
	})
	if len(queries) < 50 {
		t.Fatalf("%d queries in %s, want more", len(queries), variable)
	}
	return names, queries
}

func literal(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(t.Value)
		return text
	case *ast.BinaryExpr:
		return literal(t.X) + literal(t.Y)
	}
	return ""
}

// golden reads a golden file into texts by the number in front of their keys.
func golden(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vql.ParseJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	all, ok := v.(*vql.Dict)
	if !ok {
		t.Fatalf("%s holds %T", file, v)
	}
	out := make(map[string]string)
	for key, value := range all.All() {
		number, _, _ := strings.Cut(key, " ")
		text := string(vql.AppendValue(nil, value))
		if text == "null" {
			text = "[]"
		}
		out[number] = text
	}
	return out
}

// runStatements runs a query and returns the rows of each statement as JSON.
func runStatements(t *testing.T, query string) []string {
	t.Helper()
	var out [][]byte
	runner := vql.NewRunner(conformanceSet(t), vql.Options{Env: conformanceEnv()})
	_, err := runner.Run(t.Context(), vql.Request{Text: query, OnStatement: func(vql.Statement) {
		out = append(out, nil)
	}}, func(r vql.Row) error {
		last := &out[len(out)-1]
		*last = vql.AppendJSON(append(*last, ','), r)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	texts := make([]string, len(out))
	for i, rows := range out {
		texts[i] = "[" + strings.TrimPrefix(string(rows), ",") + "]"
	}
	return texts
}

func conformanceEnv() []vql.Var {
	env := vql.NewDict()
	return []vql.Var{
		{Name: "const_foo", Value: 1},
		{Name: "three_int64", Value: int64(3)},
		{Name: "my_list_obj", Value: vql.NewDict().Set("my_list", []any{1, 2, 3, vql.NewDict().Set("Foo", "Bar")})},
		{Name: "env_var", Value: "EnvironmentData"},
		{Name: "foo", Value: vql.NewDict().Set("bar", vql.NewDict().Set("baz", 5)).Set("bar2", 7)},
		{Name: "ArrayValue", Value: [3]int{1, 2, 3}},
		{Name: "RootEnv", Value: env},
	}
}

type testRow struct {
	Foo int64 `vql:"foo"`
	Bar int64 `vql:"bar"`
}

type groupRow struct {
	testRow
	Baz string `vql:"baz"`
}

type fromTo struct {
	Start float64 `vql:"start"`
	End   float64 `vql:"end"`
	Step  float64 `vql:"step"`
}

type valueRow struct {
	Value float64 `vql:"value"`
}

type fooArgs struct {
	Return vql.Lazy  `vql:"return"`
	Rest   *vql.Dict `vql:",rest"`
}

type panicArgs struct {
	Column any `vql:"column"`
	Value  any `vql:"value"`
}

type echoArgs struct {
	Args *vql.Dict `vql:",rest"`
}

func conformanceSet(t *testing.T) *vql.Set {
	t.Helper()
	list := slices.DeleteFunc(core.List(), func(r vql.Registration) bool {
		_, isPlugin := r.(vql.Plugin)
		return isPlugin && r.Name() == "range"
	})
	list = append(list,
		vql.NewPlugin("test", func(_ context.Context, _ *vql.Scope, _ struct{}, emit func(*testRow) bool) error {
			for i := range int64(3) {
				if !emit(&testRow{i * 2, i}) {
					break
				}
			}
			return nil
		}),
		vql.NewPlugin("groupbytest", func(_ context.Context, _ *vql.Scope, _ struct{}, emit func(*groupRow) bool) error {
			for i, baz := range []string{"a", "b", "c", "d"} {
				emit(&groupRow{testRow{int64(i) + 1, []int64{5, 5, 2, 2}[i]}, baz})
			}
			return nil
		}),
		vql.NewPlugin("range", func(_ context.Context, _ *vql.Scope, a fromTo, emit func(*valueRow) bool) error {
			for i := a.Start; i <= a.End && emit(&valueRow{i}); i++ {
				continue
			}
			return nil
		}),
		vql.NewValuesPlugin("dict", func(_ context.Context, _ *vql.Scope, a echoArgs, emit func(any) bool) error {
			emit(a.Args)
			return nil
		}, vql.FreeArgs()),
		vql.NewFunction("func_foo", func(ctx context.Context, _ *vql.Scope, a fooArgs) (any, error) {
			if a.Return.IsSet() {
				return a.Return.Reduce(ctx), nil
			}
			return 1, nil
		}, vql.FreeArgs()),
		vql.NewFunction("panic", func(_ context.Context, s *vql.Scope, a panicArgs) (any, error) {
			if s.Equal(a.Column, a.Value) {
				return nil, fmt.Errorf("got %v", a.Value)
			}
			return a.Value, nil
		}),
		vql.NewFunction("set_env", func(_ context.Context, s *vql.Scope, a panicArgs) (any, error) {
			env, _ := s.Resolve("RootEnv")
			d, ok := env.(*vql.Dict)
			if !ok {
				return nil, errors.New("no RootEnv")
			}
			d.Set(s.Text(a.Column), a.Value)
			return true, nil
		}),
	)
	set := vql.NewSet()
	if err := set.Add(list...); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestConformance(t *testing.T) {
	t.Parallel()
	dir := evaluatorDir(t)
	file := filepath.Join(dir, "vfilter_test.go")
	checkTable(t, file, "vqlTests", golden(t, filepath.Join(dir, "fixtures", "vql_queries.golden")), false)
	checkTable(t, file, "multiVQLTest", golden(t, filepath.Join(dir, "fixtures", "multi_vql_queries.golden")), true)
}

// differences are where the results differ, and why. The keys are the table's
// number of the query, and of the statement.
func differences() map[string]string {
	return map[string]string{
		"vqlTests 022":         "the variable that set_env sets is not one of the scope here",
		"multiVQLTest 075/000": "EXPLAIN tells what would run and does not run it",
		"multiVQLTest 086/000": "a time is compared with a text as two times",
		"multiVQLTest 087/000": "the variable is a Go struct that is not here",
	}
}

func checkTable(t *testing.T, file, variable string, want map[string]string, several bool) {
	t.Helper()
	names, queries := evaluatorTable(t, file, variable)
	known := differences()
	for i, query := range queries {
		if strings.Contains(query, "objectwithmethods") || strings.Contains(query, "ObjectWithMethods") {
			continue // Go values with methods are no part of this package
		}
		for j, got := range runStatements(t, query) {
			key := fmt.Sprintf("%03d", i)
			if several {
				key = fmt.Sprintf("%03d/%03d", i, j)
			}
			expected, found := want[key]
			if !found {
				t.Errorf("%s %s: no golden rows", variable, key)
				continue
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("%s %s: not JSON: %s", variable, key, got)
			}
			reason, differs := known[variable+" "+key]
			switch {
			case (got == expected) == differs && differs:
				t.Errorf("%s %s: no longer differs (%s)", variable, key, reason)
			case got != expected && !differs:
				t.Errorf("%s %s: %s\n%s\ngot  %s\nwant %s", variable, key, names[i], query, got, expected)
			}
		}
	}
}
