package vql_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"satchel/vql"
)

type common struct {
	Flag bool `vql:"flag"`
}

type allArgs struct {
	common
	Text    string      `vql:"text"`
	Texts   []string    `vql:"texts"`
	Int     int64       `vql:"int"`
	Byte    int8        `vql:"byte"`
	Uint    uint64      `vql:"uint"`
	Short   uint16      `vql:"short"`
	Float   float64     `vql:"float"`
	Time    time.Time   `vql:"time"`
	Any     any         `vql:"any"`
	Anys    []any       `vql:"anys"`
	Path    vql.Path    `vql:"path"`
	Paths   []vql.Path  `vql:"paths"`
	Dict    *vql.Dict   `vql:"dict"`
	Dicts   []*vql.Dict `vql:"dicts"`
	Lazy    vql.Lazy    `vql:"lazy"`
	Query   vql.Query   `vql:"query"`
	Lambda  vql.Lambda  `vql:"lambda"`
	Untaged string
	Left    string `vql:"-"`
}

// show prints the arguments that are set.
func show(ctx context.Context, s *vql.Scope, a allArgs) (any, error) {
	d := vql.NewDict()
	set := func(name string, v any, isSet bool) {
		if isSet {
			d.Set(name, v)
		}
	}
	set("flag", a.Flag, a.Flag)
	set("text", a.Text, a.Text != "")
	set("texts", a.Texts, a.Texts != nil)
	set("int", a.Int, a.Int != 0)
	set("byte", a.Byte, a.Byte != 0)
	set("uint", a.Uint, a.Uint != 0)
	set("short", a.Short, a.Short != 0)
	set("float", a.Float, a.Float != 0)
	set("time", a.Time, !a.Time.IsZero())
	set("any", a.Any, a.Any != nil)
	set("anys", a.Anys, a.Anys != nil)
	set("path", a.Path.Components(), a.Path.Components() != nil)
	set("paths", a.Paths, a.Paths != nil)
	set("dict", a.Dict, a.Dict != nil)
	set("dicts", a.Dicts, a.Dicts != nil)
	set("lazy", a.Lazy.Reduce(ctx), a.Lazy.IsSet())
	if a.Query.IsSet() {
		var rows []any
		for v := range a.Query.Values(ctx, s, vql.NewDict().Set("Extra", "e")) {
			rows = append(rows, v)
		}
		d.Set("query", rows)
		d.Set("rows", a.Query.List(ctx, s))
	}
	set("lambda", a.Lambda.Call(ctx, s, 5), a.Lambda.IsSet())
	set("untaged", a.Untaged, a.Untaged != "")
	return d, nil
}

func TestArguments(t *testing.T) {
	t.Parallel()
	type free struct {
		Args *vql.Dict `vql:",rest"`
	}
	set := newSet(t, vql.NewFunction("show", show),
		vql.NewFunction("dict", func(_ context.Context, _ *vql.Scope, a free) (any, error) {
			if a.Args == nil {
				return vql.NewDict(), nil
			}
			return a.Args, nil
		}, vql.FreeArgs()))
	for _, c := range []struct{ args, want string }{
		{"", "{}"},
		{"text='x'", `{"text":"x"}`},
		{"text=5", `{"text":"5"}`},
		{"text=2.5", `{"text":"2.5"}`},
		{"text=TRUE", `{"text":"true"}`},
		{"text=NULL", `{}`},
		{"text=('a',)", `{"text":"a"}`},
		{"text=('a','b')", `{"text":"[\"a\",\"b\"]"}`},
		{"text={ SELECT Label FROM counter(end=1, label='L') }", `{"text":"L"}`},
		{"texts='x'", `{"texts":["x"]}`},
		{"texts=('x', 1, NULL)", `{"texts":["x","1",""]}`},
		{"texts={ SELECT N FROM counter(end=3) }", `{"texts":["0","1","2"]}`},
		{"texts={ SELECT * FROM counter(end=1, label='L') }", `{"texts":["{\"N\":0,\"Label\":\"L\"}"]}`},
		{"texts=NULL", `{}`},
		{"texts=Kept", `{"texts":["0","1"]}`},
		{"texts=Kept.N", `{"texts":["0","1"]}`},
		{"int=5", `{"int":5}`},
		{"int='0x10'", `{"int":16}`},
		{"int=5.0", `{"int":5}`},
		{"int=TRUE", `{"int":1}`},
		{"int=NULL", `{}`},
		{"int={ SELECT N + 7 AS M FROM counter(end=1) }", `{"int":7}`},
		{"byte=-128", `{"byte":-128}`},
		{"uint=18446744073709551615.0", `! argument uint: must be a whole number, not 1.8446744073709552e+19`},
		{"uint='18446744073709551615'", `{"uint":18446744073709551615}`},
		{"uint=-1", `! argument uint: -1 is out of range`},
		{"byte=128", `! argument byte: 128 is out of range`},
		{"short=65536", `! argument short: 65536 is out of range`},
		{"int=1.5", `! argument int: must be a whole number, not 1.5`},
		{"int='x'", `! argument int: must be an integer, not a string`},
		{"int=(1,2)", `! argument int: must be an integer, not a list`},
		{"int=dict()", `! argument int: must be an integer, not a dict`},
		{"float=1", `{"float":1}`},
		{"float='2.5'", `{"float":2.5}`},
		{"float=dict()", `! argument float: must be a number, not a dict`},
		{"flag=1", `{"flag":true}`},
		{"flag='text'", `{"flag":true}`},
		{"flag=NULL", `{}`},
		{"time=1700000000", `{"time":"2023-11-14T22:13:20Z"}`},
		{"time='2023-11-14'", `{"time":"2023-11-14T00:00:00Z"}`},
		{"time='soon'", `! argument time: "soon" is not a time`},
		{"any=5", `{"any":5}`},
		{"any={ SELECT N FROM counter(end=2) }", `{"any":[{"N":0},{"N":1}]}`},
		{"any=Kept", `{"any":[{"N":0},{"N":1}]}`},
		{"any=NULL", `{}`},
		{"anys=5", `{"anys":[5]}`},
		{"anys=(1,'a')", `{"anys":[1,"a"]}`},
		{"anys=dict(a=1)", `{"anys":[{"a":1}]}`},
		{"path='/a/b'", `{"path":["a","b"]}`},
		{"path=5", `{"path":["5"]}`},
		{"path=dict()", `! argument path: must be a path, not a dict`},
		{"paths=('/a','/b')", `{"paths":["/a","/b"]}`},
		{"paths='/a'", `{"paths":["/a"]}`},
		{"dict=dict(a=1)", `{"dict":{"a":1}}`},
		{"dict={ SELECT * FROM counter(end=1, label='L') }", `{"dict":{"N":0,"Label":"L"}}`},
		{"dict=5", `! argument dict: must be a dict, not an integer`},
		{"dicts=(dict(a=1), dict(b=2))", `{"dicts":[{"a":1},{"b":2}]}`},
		{"dicts={ SELECT N FROM counter(end=2) }", `{"dicts":[{"N":0},{"N":1}]}`},
		{"lazy=1 + 1", `{"lazy":2}`},
		{"lazy={ SELECT N FROM counter(end=1) }", `{"lazy":[{"N":0}]}`},
		{"query={ SELECT N, Extra FROM counter(end=1) }", `{"query":[{"N":0,"Extra":"e"}],"rows":[{"N":0,"Extra":null}]}`},
		{"query=Kept", `{"query":[{"N":0},{"N":1}],"rows":[{"N":0},{"N":1}]}`},
		{"query=(1, dict(a=2))", `{"query":[{"_value":1},{"a":2}],"rows":[{"_value":1},{"a":2}]}`},
		{"query=NULL", `{}`},
		{"lambda='x=>x * 2'", `{"lambda":10}`},
		{"lambda='x,y=>x'", `{"lambda":null}`},
		{"lambda='nonsense'", `! argument lambda: parse lambda: 1:9: unexpected token "<EOF>" (expected "=>")`},
		{"untaged='x'", `{"untaged":"x"}`},
		{"hidden='x'", `! unknown argument hidden`},
		{"flagg=1", `! unknown argument flagg, did you mean flag?`},
		{"zzzzzzzzzzzz=1", `! unknown argument zzzzzzzzzzzz: there are flag, text`},
	} {
		rows, stats, err := run(t, set, vql.Options{}, vql.Request{Text: "LET Kept <= SELECT N FROM counter(end=2) SELECT show(" + c.args + ") AS X FROM counter(end=1)"})
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		got := strings.TrimSuffix(strings.TrimPrefix(rows[0], `{"X":`), "}")
		for _, e := range stats.Errors {
			if e.Kind == vql.KindArgument {
				got = "! " + e.Err.Error()
			}
		}
		if got != c.want && !(strings.HasPrefix(c.want, "! unknown") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: got %s, want %s", c.args, got, c.want)
		}
	}
}

type requiredArgs struct {
	Name string    `vql:"name,required"`
	List []string  `vql:"list,required"`
	Rest *vql.Dict `vql:",rest"`
}

func TestRequiredAndFreeArguments(t *testing.T) {
	t.Parallel()
	set := newSet(t, vql.NewPlugin("need", func(_ context.Context, _ *vql.Scope, a requiredArgs, emit func(*countRow) bool) error {
		emit(&countRow{Text: fmt.Sprint(a.Name, a.List, a.Rest)})
		return nil
	}, vql.FreeArgs()), vql.NewFunction("nothing", func(context.Context, *vql.Scope, struct{}) (any, error) { return 1, nil }))
	for _, c := range []struct{ text, want string }{
		{"SELECT Label FROM need(name='n', list='l')", `{"Label":"n[l] null"}`},
		{"SELECT Label FROM need(name='n', list='l', b=1 + 1, a='x')", `{"Label":"n[l] {\"b\":2,\"a\":\"x\"}"}`},
		{"SELECT Label FROM need(list='l')", "need: argument name is required"},
		{"SELECT Label FROM need(name='n', list=NULL)", "need: argument list: is required, not NULL"},
		{"SELECT Label FROM need(name=NULL, list='l')", `{"Label":"[l] null"}`},
		{"SELECT nothing(a=1) FROM counter(end=1)", "nothing: unknown argument a: there are none"},
	} {
		rows, stats, err := run(t, set, vql.Options{}, vql.Request{Text: c.text})
		got := strings.Join(rows, "")
		if e := stats.Err(); e != nil {
			got = e.Error()
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, want %s (%v)", c.text, got, c.want, err)
		}
	}
}

type badArgs struct {
	C chan int `vql:"c"`
}

func TestSet(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	if err := set.Add(vql.NewPlugin("counter", count), vql.NewPlugin("other", count)); err == nil || err.Error() != "add plugin counter: the name is taken" {
		t.Errorf("a name twice: %v", err)
	}
	if got := fmt.Sprint(set.Plugins(), set.Functions(), set.Accessors()); got != "[counter other] [] []" {
		t.Error(got)
	}
	if err := set.Check(); err != nil {
		t.Error(err)
	}
	err := set.Add(vql.NewFunction("bad", func(context.Context, *vql.Scope, badArgs) (any, error) { return nil, nil }),
		vql.NewPlugin("text", func(context.Context, *vql.Scope, string, func(*int) bool) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	want := "plugin text: arguments must be a struct, not string\nplugin text: rows must be structs, not int\nfunction bad: argument c: type chan int is not supported"
	if err := set.Check(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, stats, err := run(t, set, vql.Options{}, vql.Request{Text: "SELECT bad() FROM counter(end=1)"}); err != nil || stats.Err() == nil {
		t.Errorf("%v, %v", err, stats.Err())
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"glob", "globs", "hash", "pslist", "read_file"}
	for name, want := range map[string]string{"glbo": "glob", "Glob": "glob", "gloob": "glob", "hsah": "hash", "plist": "pslist", "readfile": "read_file", "zzz": "", "": "", "glob": "globs"} {
		if got := vql.Nearest(name, known); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
