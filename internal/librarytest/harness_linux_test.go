package librarytest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"
	"satchel/vql/all"
)

// now is what the clock of the tests says.
func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// result is what one item gave.
type result struct {
	name    string
	rows    [][]byte // JSON objects
	reports []flow.Report
	logs    []string // warnings and errors
	errors  []string // of plugins and functions
	uploads map[string][]byte
}

// memory is a sink that keeps everything.
type memory struct {
	mu  sync.Mutex
	out *result
}

var _ flow.Sink = (*memory)(nil)

func (m *memory) WriteRows(context.Context, string, flow.RowBatch) error {
	return errors.New("rows do not come this way")
}

func (m *memory) Log(_ context.Context, l flow.LogLine) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.Level == flow.LevelWarn || l.Level == flow.LevelError {
		m.out.logs = append(m.out.logs, l.Message)
	}
	return nil
}

func (m *memory) Report(_ context.Context, r flow.Report) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out.reports = append(m.out.reports, r)
	return nil
}

func (m *memory) Upload(_ context.Context, u flow.Upload) (flow.UploadWriter, error) {
	return &upload{sink: m, name: u.Accessor + "/" + strings.Join(u.Components, "/")}, nil
}

type upload struct {
	bytes.Buffer
	sink *memory
	name string
}

func (u *upload) Commit() (flow.Stored, error) {
	u.sink.mu.Lock()
	defer u.sink.mu.Unlock()
	u.sink.out.uploads[u.name] = u.Bytes()
	return flow.Stored{SHA256: sha256.Sum256(u.Bytes()), StoredSize: int64(u.Len()), Name: "/uploads/" + u.name, ID: 1}, nil
}

func (u *upload) Abort(error) error { return nil }

// collect plans the artifact with the parameters (NAME=VALUE) and runs every
// item of the plan. Preconditions are not asked: the fixed host is no host.
func collect(t *testing.T, artifact string, args ...string) []*result {
	t.Helper()
	return collectFrom(t, artifacts.Embedded(), artifact, args...)
}

func collectFrom(t *testing.T, repository *artifacts.Repository, artifact string, args ...string) []*result {
	t.Helper()
	specs, err := repository.Specs([]string{artifact}, args)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := artifacts.NewPlan(repository, specs, artifacts.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var results []*result
	for i := range plan.Items {
		results = append(results, run(t, repository, &plan.Items[i]))
	}
	return results
}

func run(t *testing.T, repository *artifacts.Repository, item *artifacts.Item) *result {
	t.Helper()
	out := &result{name: item.Name, uploads: make(map[string][]byte)}
	sink := &memory{out: out}
	runner := vql.NewRunner(all.Set(), vql.Options{
		Clock: now, Rand: rand.NewPCG(1, 2), Artifacts: repository, Sink: sink, Report: sink.Report,
		Permissions: []string{vql.AllPermissions}, Timeout: 2 * time.Minute,
		Log: func(l flow.LogLine) { _ = sink.Log(context.Background(), l) },
	})
	request := vql.Request{Text: item.Query, Preamble: item.Preamble, Source: item.Name}
	for _, p := range item.Env {
		request.Env = append(request.Env, vql.Var{Name: p.Key, Value: p.Value})
	}
	stats, err := runner.Run(t.Context(), request, func(row vql.Row) error {
		out.rows = append(out.rows, vql.AppendJSON(nil, row))
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", item.Name, err)
	}
	for _, e := range stats.Errors {
		out.errors = append(out.errors, e.Error())
	}
	return out
}

// holds asks the first precondition of an artifact on this machine.
func holds(t *testing.T, a *artifacts.Artifact) bool {
	t.Helper()
	repository := artifacts.Embedded()
	plan, err := artifacts.NewPlan(repository, []flow.Spec{{Artifact: a.Name}}, artifacts.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	item := plan.Items[0]
	var env []vql.Var
	for _, p := range item.Env {
		env = append(env, vql.Var{Name: p.Key, Value: p.Value})
	}
	runner := vql.NewRunner(all.Set(), vql.Options{Permissions: []string{vql.AllPermissions}, Artifacts: repository})
	ok, err := runner.Holds(t.Context(), item.Condition(0), env)
	if err != nil {
		t.Fatalf("%s: %v", a.Name, err)
	}
	return ok
}

// one collects and returns the item of that name without errors.
func one(t *testing.T, name, artifact string, args ...string) *result {
	t.Helper()
	results := collect(t, artifact, args...)
	i := slices.IndexFunc(results, func(r *result) bool { return r.name == name })
	if i < 0 {
		t.Fatalf("%s gives no item %s", artifact, name)
	}
	if r := results[i]; len(r.errors) > 0 {
		t.Errorf("%s: %q", name, r.errors)
	}
	return results[i]
}

// decode reads the rows into T.
func decode[T any](t *testing.T, r *result) []T {
	t.Helper()
	list := make([]T, len(r.rows))
	for i, row := range r.rows {
		if err := json.Unmarshal(row, &list[i]); err != nil {
			t.Fatalf("%s: row %s: %v", r.name, row, err)
		}
	}
	return list
}

// text prints results for a golden file: a section for each item with its rows,
// one a line, then what was reported and logged. Paths under root are shown as
// if root were /, and times that no test can set are left out.
func text(results []*result, root string) string {
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "-- %s --\n", r.name)
		rows := make([]string, 0, len(r.rows))
		for _, row := range r.rows {
			rows = append(rows, mask(string(row))+"\n")
		}
		slices.Sort(rows) // directories have no order
		b.WriteString(strings.Join(rows, ""))
		var notes []string
		for _, p := range r.reports {
			notes = append(notes, fmt.Sprintf("# %s: %s", p.Target, p.Outcome))
		}
		for name, data := range r.uploads {
			notes = append(notes, fmt.Sprintf("# upload %s: %d bytes", name, len(data)))
		}
		for _, l := range r.logs {
			notes = append(notes, "# log: "+l)
		}
		for _, e := range r.errors {
			notes = append(notes, "# error: "+e)
		}
		slices.Sort(notes)
		for _, n := range slices.Compact(notes) {
			b.WriteString(n + "\n")
		}
	}
	return strings.ReplaceAll(b.String(), root, "")
}
