package filesystem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"

	"satchel/internal/flow"
	"satchel/vql"
)

// sink keeps what it is given.
type sink struct {
	mu      sync.Mutex
	uploads []*stored
	reports []flow.Report
	refuse  error
	drop    bool // keep no bytes
}

type stored struct {
	flow.Upload
	sink    *sink
	data    bytes.Buffer
	n       int64
	aborted error
	done    bool
	onWrite func()
	fail    error
}

func (s *sink) WriteRows(context.Context, string, flow.RowBatch) error { return nil }
func (s *sink) Log(context.Context, flow.LogLine) error                { return nil }

func (s *sink) Report(_ context.Context, r flow.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, r)
	return nil
}

func (s *sink) Upload(_ context.Context, u flow.Upload) (flow.UploadWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	w := &stored{Upload: u, sink: s}
	s.uploads = append(s.uploads, w)
	return w, nil
}

func (w *stored) Write(p []byte) (int, error) {
	if w.onWrite != nil {
		w.onWrite()
	}
	if w.fail != nil {
		return 0, w.fail
	}
	w.n += int64(len(p))
	if !w.sink.drop {
		w.data.Write(p)
	}
	return len(p), nil
}

func (w *stored) Commit() (flow.Stored, error) {
	w.done = true
	return flow.Stored{
		SHA256: sha256.Sum256(w.data.Bytes()), StoredSize: w.n, ID: 1,
		Name: "/uploads/" + w.Accessor + "/" + strings.Join(w.Components, "/"), Components: append([]string{"uploads", w.Accessor}, w.Components...),
	}, nil
}

func (w *stored) Abort(cause error) error {
	w.aborted = cause
	return nil
}

// outcomes lists the reports as "target outcome", sorted.
func (s *sink) outcomes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.reports {
		out = append(out, r.Target+" "+string(r.Outcome))
	}
	sort.Strings(out)
	return out
}

// query runs a query and returns its rows as JSON, one a line, and the errors.
type query struct {
	sink   *sink
	limits vql.Limits
	extra  []vql.Registration
	env    []vql.Var
	logs   []string
	mu     sync.Mutex
}

func (q *query) run(t *testing.T, text string) ([]string, error) {
	t.Helper()
	set := vql.NewSet()
	if err := set.Add(append(List(), q.extra...)...); err != nil {
		t.Fatal(err)
	}
	o := vql.Options{Permissions: []string{vql.AllPermissions}, Limits: q.limits, Env: q.env, Log: func(l flow.LogLine) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.logs = append(q.logs, fmt.Sprint(l.Level, " ", l.Message))
	}}
	if q.sink != nil {
		o.Sink = q.sink
	}
	var rows []string
	stats, err := vql.NewRunner(set, o).Run(t.Context(), vql.Request{Text: text, Source: "Test"}, func(r vql.Row) error {
		rows = append(rows, string(vql.AppendJSON(nil, r)))
		return nil
	})
	if err == nil {
		err = stats.Err()
	}
	return rows, err
}

func (q *query) must(t *testing.T, text string) []string {
	t.Helper()
	rows, err := q.run(t, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return rows
}

// lenFunction counts bytes; the one of the core is not in this set.
func lenFunction() vql.Function {
	type args struct {
		List string `vql:"list"`
	}
	return vql.NewFunction("len", func(_ context.Context, _ *vql.Scope, a args) (any, error) { return int64(len(a.List)), nil })
}

// joinFunction joins texts; the one of the core is not in this set.
func joinFunction() vql.Function {
	type args struct {
		Array []string `vql:"array"`
		Sep   string   `vql:"sep"`
	}
	return vql.NewFunction("join", func(_ context.Context, _ *vql.Scope, a args) (any, error) { return strings.Join(a.Array, a.Sep), nil })
}
