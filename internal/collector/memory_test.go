package collector

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a sink that keeps everything.
type memory struct {
	mu      sync.Mutex
	batches map[string][]flow.RowBatch
	uploads []*memoryUpload
	logs    []flow.LogLine
	reports []flow.Report
	rowsErr error // answered by WriteRows
}

var _ flow.Sink = (*memory)(nil)

func (m *memory) WriteRows(_ context.Context, source string, b flow.RowBatch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rowsErr != nil {
		return m.rowsErr
	}
	b.JSONL = bytes.Clone(b.JSONL)
	if m.batches == nil {
		m.batches = map[string][]flow.RowBatch{}
	}
	m.batches[source] = append(m.batches[source], b)
	return nil
}

func (m *memory) Log(_ context.Context, l flow.LogLine) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logs = append(m.logs, l)
	return nil
}

func (m *memory) Report(_ context.Context, r flow.Report) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports = append(m.reports, r)
	return nil
}

func (m *memory) Upload(_ context.Context, u flow.Upload) (flow.UploadWriter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &memoryUpload{upload: u, sink: m}
	m.uploads = append(m.uploads, w)
	return w, nil
}

// rows returns the rows of a source as lines.
func (m *memory) rows(source string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []byte
	for _, b := range m.batches[source] {
		out = append(out, b.JSONL...)
	}
	return string(out)
}

// outcome returns the one report of a source and target.
func (m *memory) outcome(t *testing.T, source, target string) flow.Report {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []flow.Report
	for _, r := range m.reports {
		if r.Source == source && r.Target == target {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s %q has %d reports: %v", source, target, len(found), found)
	}
	return found[0]
}

type memoryUpload struct {
	upload flow.Upload
	sink   *memory
	data   bytes.Buffer
	ended  int
	cause  error
}

func (u *memoryUpload) Write(p []byte) (int, error) { return u.data.Write(p) }

func (u *memoryUpload) Commit() (flow.Stored, error) {
	u.sink.mu.Lock()
	defer u.sink.mu.Unlock()
	u.ended++
	return flow.Stored{SHA256: sha256.Sum256(u.data.Bytes()), StoredSize: int64(u.data.Len()), ID: 1}, nil
}

func (u *memoryUpload) Abort(cause error) error {
	u.sink.mu.Lock()
	defer u.sink.mu.Unlock()
	u.ended++
	u.cause = cause
	if cause == nil {
		return errors.New("aborted without a cause")
	}
	return nil
}

// script is an engine whose items are functions.
type script map[string]func(ctx context.Context, to flow.Sink, row func(n int) error) (vql.Stats, error)

func (s script) Holds(ctx context.Context, it *artifacts.Item, n int) (bool, error) {
	switch it.Preconditions[n] {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	case "panic":
		panic("in a precondition")
	case "hang":
		<-ctx.Done()
		return false, ctx.Err()
	}
	return false, fmt.Errorf("no such plugin: %s", it.Preconditions[n])
}

func (s script) Run(ctx context.Context, it *artifacts.Item, to flow.Sink, rows func(vql.Row) error) (vql.Stats, error) {
	columns := vql.NewColumns("N")
	return s[it.Name](ctx, to, func(n int) error { return rows(vql.NewRow(columns, int64(n))) })
}

func plan(items ...artifacts.Item) *artifacts.Plan {
	for i := range items {
		if items[i].Artifact == "" {
			items[i].Artifact = items[i].Name
		}
	}
	return &artifacts.Plan{Items: items}
}

func item(name string, preconditions ...string) artifacts.Item {
	return artifacts.Item{Name: name, Preconditions: preconditions}
}
