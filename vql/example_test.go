package vql_test

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"satchel/vql"
)

type wordArgs struct {
	Text string   `vql:"text,required"`
	Stop []string `vql:"stop"`
}

type wordRow struct {
	Word   string
	Length int `vql:"Len"`
}

// words is a plugin: it takes a struct of arguments and emits structs.
func words() vql.Plugin {
	return vql.NewPlugin("words", func(_ context.Context, _ *vql.Scope, a wordArgs, emit func(*wordRow) bool) error {
		for word := range strings.FieldsSeq(a.Text) {
			if !emit(&wordRow{Word: word, Length: len(word)}) {
				return nil // nobody wants more
			}
		}
		return nil
	}, vql.Doc("Splits a text into words."))
}

func ExampleNewPlugin() {
	set := vql.NewSet()
	if err := set.Add(words()); err != nil {
		panic(err)
	}
	runner := vql.NewRunner(set, vql.Options{})
	stats, err := runner.Run(context.Background(), vql.Request{Text: "SELECT * FROM words(text='a short text') WHERE Len > 1"}, func(r vql.Row) error {
		fmt.Println(r)
		return nil
	})
	fmt.Println(stats.Rows, err)
	// Output:
	// {"Word":"short","Len":5}
	// {"Word":"text","Len":4}
	// 2 <nil>
}

type repeatArgs struct {
	Text  string `vql:"text,required"`
	Times int64  `vql:"times"`
}

func ExampleNewFunction() {
	repeat := vql.NewFunction("repeat", func(_ context.Context, _ *vql.Scope, a repeatArgs) (any, error) {
		if a.Times < 0 || a.Times > 1000 {
			return nil, fmt.Errorf("times is %d, not from 0 to 1000", a.Times)
		}
		return strings.Repeat(a.Text, int(a.Times)), nil
	})
	set := vql.NewSet()
	if err := set.Add(repeat, words()); err != nil {
		panic(err)
	}
	stats, err := vql.NewRunner(set, vql.Options{}).Run(context.Background(),
		vql.Request{Text: "SELECT repeat(text=Word, times=2) AS R, repeat(text='x', times=-1) AS X, repeat(text='x', tmes=1) AS Y FROM words(text='ab')"},
		func(r vql.Row) error {
			fmt.Println(r)
			return nil
		})
	fmt.Println(err)
	fmt.Println(stats.Err())
	// Output:
	// {"R":"abab","X":null,"Y":null}
	// <nil>
	// repeat: times is -1, not from 0 to 1000
	// repeat: unknown argument tmes, did you mean times?
}

type averageArgs struct {
	Item float64 `vql:"item,required"`
}

type average struct{ sum, n float64 }

func ExampleNewAggregate() {
	avg := vql.NewAggregate("avg", func(_ context.Context, _ *vql.Scope, a averageArgs, state *average) (any, error) {
		state.sum += a.Item
		state.n++
		return state.sum / state.n, nil
	})
	set := vql.NewSet()
	if err := set.Add(avg, words()); err != nil {
		panic(err)
	}
	_, err := vql.NewRunner(set, vql.Options{}).Run(context.Background(),
		vql.Request{Text: "SELECT Len > 3 AS Long, avg(item=Len) AS Average FROM words(text='a tale of two cities') GROUP BY Long"},
		func(r vql.Row) error {
			fmt.Println(r)
			return nil
		})
	fmt.Println(err)
	// Output:
	// {"Long":false,"Average":2}
	// {"Long":true,"Average":5}
	// <nil>
}

// memory is an accessor for files that are in a map.
type memory map[string]string

func (m memory) Parse(text string) (vql.Path, error) { return vql.ParsePath(vql.Posix, text), nil }

func (m memory) Open(_ context.Context, p vql.Path) (vql.File, error) {
	content, found := m[p.String()]
	if !found {
		return nil, fmt.Errorf("%s: no such file", p)
	}
	return memoryFile{strings.NewReader(content), vql.Info{Path: p, Size: int64(len(content))}}, nil
}

func (m memory) Lstat(ctx context.Context, p vql.Path) (vql.Info, error) {
	f, err := m.Open(ctx, p)
	if err != nil {
		return vql.Info{}, err
	}
	return f.Stat()
}

func (m memory) ReadDir(context.Context, vql.Path) iter.Seq2[vql.Info, error] {
	return func(func(vql.Info, error) bool) {}
}

type memoryFile struct {
	*strings.Reader
	info vql.Info
}

func (f memoryFile) Close() error { return nil }

func (f memoryFile) Stat() (vql.Info, error) { return f.info, nil }

type sizeArgs struct {
	Filename vql.Path `vql:"filename,required"`
	Accessor string   `vql:"accessor"`
}

func ExampleNewAccessor() {
	set := vql.NewSet()
	err := set.Add(
		vql.NewAccessor("memory", func(context.Context, *vql.Scope) (vql.Accessor, error) {
			return memory{"/a/b": "content"}, nil
		}),
		vql.NewFunction("size", func(ctx context.Context, s *vql.Scope, a sizeArgs) (any, error) {
			accessor, err := s.Accessor(ctx, a.Accessor)
			if err != nil {
				return nil, err
			}
			info, err := accessor.Lstat(ctx, a.Filename)
			return info.Size, err
		}), words())
	if err != nil {
		panic(err)
	}
	stats, err := vql.NewRunner(set, vql.Options{DefaultAccessor: "memory"}).Run(context.Background(),
		vql.Request{Text: "SELECT size(filename='a/b') AS A, size(filename='/a/c', accessor='memory') AS B, size(filename='/x', accessor='memry') AS C FROM words(text='one')"},
		func(r vql.Row) error {
			fmt.Println(r)
			return nil
		})
	fmt.Println(err)
	fmt.Println(stats.Err())
	// Output:
	// {"A":7,"B":null,"C":null}
	// <nil>
	// size: /a/c: no such file
	// size: argument filename: there is no accessor memry, did you mean memory?
}
