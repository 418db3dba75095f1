package vql_test

import (
	"context"
	"testing"

	"satchel/vql"
)

type countArgs struct {
	End int64 `vql:"end,required"`
}

type countRow struct {
	N    int64
	Text string `vql:"Label"`
}

func counter() vql.Plugin {
	return vql.NewPlugin("counter", func(ctx context.Context, s *vql.Scope, a countArgs, emit func(*countRow) bool) error {
		for i := int64(0); i < a.End; i++ {
			if !emit(&countRow{N: i, Text: "x"}) {
				return nil
			}
		}
		return nil
	})
}

func TestRunStructRows(t *testing.T) {
	t.Parallel()
	set := vql.NewSet()
	if err := set.Add(counter()); err != nil {
		t.Fatal(err)
	}
	var got []byte
	_, err := vql.NewRunner(set, vql.Options{}).Run(t.Context(),
		vql.Request{Text: "SELECT *, N + 1 AS M FROM counter(end=3) WHERE N > 0"},
		func(r vql.Row) error {
			got = append(vql.AppendJSON(got, r), '\n')
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"N":1,"Label":"x","M":2}` + "\n" + `{"N":2,"Label":"x","M":3}` + "\n"
	if string(got) != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}
