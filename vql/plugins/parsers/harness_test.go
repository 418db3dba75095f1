package parsers

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"satchel/internal/flow"
	"satchel/vql"
	"satchel/vql/plugins/filesystem"
)

// query runs queries over texts, which the accessor data gives to plugins.
type query struct {
	env  []vql.Var
	mu   sync.Mutex
	logs []string
}

func (q *query) run(t testing.TB, text string) ([]string, error) {
	t.Helper()
	set := vql.NewSet()
	if err := set.Add(append(List(), filesystem.List()...)...); err != nil {
		t.Fatal(err)
	}
	var rows []string
	stats, err := vql.NewRunner(set, vql.Options{Permissions: []string{"*"}, Env: q.env, Log: func(l flow.LogLine) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.logs = append(q.logs, fmt.Sprint(l.Level, " ", l.Message))
	}}).Run(context.Background(), vql.Request{Text: text}, func(r vql.Row) error {
		rows = append(rows, string(vql.AppendJSON(nil, r)))
		return nil
	})
	if err == nil {
		err = stats.Err()
	}
	return rows, err
}

func (q *query) must(t testing.TB, text string) []string {
	t.Helper()
	rows, err := q.run(t, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return rows
}

// over runs a query in which T is the text.
func over(t testing.TB, in, text string) []string {
	t.Helper()
	q := &query{env: []vql.Var{{Name: "T", Value: in}}}
	return q.must(t, text)
}

// more puts a comma before arguments that are not the first.
func more(args string) string {
	if args == "" {
		return ""
	}
	return ", " + args
}
