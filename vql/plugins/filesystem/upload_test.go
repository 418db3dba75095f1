package filesystem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/internal/flow"
	"satchel/vql"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	root := tree(t, "dir/file")
	q := &query{sink: &sink{}, env: []vql.Var{{Name: "F", Value: root + "/dir/file"}}}
	rows := q.must(t, "SELECT upload(file=F) AS U FROM scope()")
	var got struct {
		U struct {
			Path, StoredName, Accessor, Error string
			Sha256                            string `json:"sha256"`
			Size, StoredSize                  int64
			UploadID                          uint64 `json:"UploadId"`
			Components                        []string
		}
	}
	if len(rows) != 1 {
		t.Fatalf("rows %q", rows)
	}
	if err := json.Unmarshal([]byte(rows[0]), &got); err != nil {
		t.Fatal(err)
	}
	u := got.U
	if u.Path != root+"/dir/file" || u.Size != 8 || u.StoredSize != 8 || u.UploadID != 1 || u.Accessor != "auto" || u.Error != "" || len(u.Sha256) != 64 ||
		u.StoredName != "/uploads/auto"+root+"/dir/file" || u.Components[0] != "uploads" {
		t.Errorf("row %s", rows[0])
	}
	up := q.sink.uploads[0]
	if up.Source != "Test" || up.Accessor != "auto" || up.Size != 8 || up.Modified.IsZero() || up.Changed.IsZero() || !up.done {
		t.Errorf("announced %+v", up.Upload)
	}
	if got := q.sink.outcomes(); got != nil {
		t.Errorf("reports %q", got)
	}
}

func TestUploadArguments(t *testing.T) {
	t.Parallel()
	root := tree(t, "file")
	q := &query{sink: &sink{}, env: []vql.Var{{Name: "F", Value: root + "/file"}}}
	q.must(t, "SELECT upload(file=F, name='other/name', accessor='file', mtime='2021-02-03T04:05:06Z', btime=1600000000) FROM scope()")
	up := q.sink.uploads[0]
	if d := cmp.Diff([]string{"other", "name"}, up.Components); d != "" {
		t.Error(d)
	}
	if up.Accessor != "file" || !up.Modified.Equal(time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC)) || up.Born.Unix() != 1600000000 {
		t.Errorf("announced %+v", up.Upload)
	}
	rows := q.must(t, "SELECT upload(file='/no/such/file') AS U FROM scope()")
	if !strings.Contains(rows[0], `"Error":"`) || strings.Contains(rows[0], "sha256") {
		t.Errorf("rows %q", rows)
	}
	if d := cmp.Diff([]string{"/no/such/file missing"}, q.sink.outcomes()); d != "" {
		t.Error(d)
	}
	if _, err := (&query{}).run(t, "SELECT upload(file='/etc/hostname') FROM scope()"); err == nil || !strings.Contains(err.Error(), ErrNoSink.Error()) {
		t.Errorf("without a sink: error %v", err)
	}
}

func TestUploadLimits(t *testing.T) {
	t.Parallel()
	root := tree(t, "1234567", "123", "12345")
	run := func(l vql.Limits) *sink {
		q := &query{sink: &sink{}, limits: l, env: []vql.Var{{Name: "Root", Value: root}}}
		q.must(t, "SELECT upload(file=OSPath) FROM glob(globs=['*45', '123', '*7'], root=Root) ORDER BY Size")
		return q.sink
	}
	s := run(vql.Limits{MaxFileBytes: 5})
	if len(s.uploads) != 2 || !strings.Contains(strings.Join(s.outcomes(), ";"), "1234567 over_limit") {
		t.Errorf("%d uploads, %q", len(s.uploads), s.outcomes())
	}
	s = run(vql.Limits{MaxUploadBytes: 9})
	whole := 0
	for _, u := range s.uploads {
		if u.done {
			whole++
		} else if flow.OutcomeOf(u.aborted, "") != flow.OverLimit {
			t.Errorf("aborted by %v", u.aborted)
		}
	}
	if whole != 2 || len(s.uploads) != 3 {
		t.Errorf("%d whole of %d", whole, len(s.uploads))
	}
}

func TestUploadStorageFails(t *testing.T) {
	t.Parallel()
	q := &query{sink: &sink{refuse: errors.New("disk full")}}
	if _, err := q.run(t, "SELECT upload(file='/etc/passwd') FROM scope()"); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v", err)
	}
	// a sink that names an outcome speaks of the file, not of itself
	q = &query{sink: &sink{refuse: &flow.OutcomeError{Outcome: flow.OverLimit, Err: errors.New("enough")}}}
	rows := q.must(t, "SELECT upload(file='/etc/passwd').Error AS E FROM scope()")
	if d := cmp.Diff([]string{"/etc/passwd over_limit"}, q.sink.outcomes()); d != "" || !strings.Contains(rows[0], "enough") {
		t.Error(d, rows)
	}
}

// mem is an accessor of files that do as they are told.
type mem struct{ files map[string]*memFile }

func (m mem) Parse(text string) (vql.Path, error) { return vql.ParsePath(vql.Posix, text), nil }
func (m mem) Open(_ context.Context, p vql.Path) (vql.File, error) {
	if f := m.files[p.Base()]; f != nil {
		g := *f
		return &g, nil
	}
	return nil, os.ErrNotExist
}
func (m mem) Lstat(_ context.Context, p vql.Path) (vql.Info, error) {
	if f := m.files[p.Base()]; f != nil {
		return vql.Info{Path: p, Size: int64(len(f.data))}, nil
	}
	return vql.Info{}, os.ErrNotExist
}
func (m mem) ReadDir(context.Context, vql.Path) iter.Seq2[vql.Info, error] {
	return func(yield func(vql.Info, error) bool) {
		for name, f := range m.files {
			if !yield(vql.Info{Path: vql.NewPath(vql.Posix, name), Size: int64(len(f.data))}, nil) {
				return
			}
		}
	}
}

type memFile struct {
	data   []byte
	size   int64 // that it claims
	ranges []flow.Range
	piece  int // most that one call reads
	err    error
	at     int64
}

func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *memFile) ReadAt(p []byte, at int64) (int, error) {
	if f.piece > 0 {
		p = p[:min(len(p), f.piece)]
	}
	if at >= int64(len(f.data)) {
		if f.err != nil {
			return 0, f.err
		}
		return 0, io.EOF
	}
	return copy(p, f.data[at:]), nil
}
func (f *memFile) Close() error                  { return nil }
func (f *memFile) Stat() (vql.Info, error)       { return vql.Info{Size: f.size}, nil }
func (f *memFile) Ranges() ([]flow.Range, error) { return f.ranges, nil }

func TestUploadFromAccessor(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad sector")
	files := map[string]*memFile{
		"plain":   {data: []byte("0123456789"), size: 10, piece: 3},
		"unknown": {data: []byte("0123456789"), size: -1, piece: 3},
		"grown":   {data: []byte("0123456789"), size: 4},
		"shrunk":  {data: []byte("0123"), size: 10},
		"broken":  {data: []byte("0123"), size: 10, err: bad},
		"sparse":  {data: []byte("ab00cd00ef"), size: 12, ranges: []flow.Range{{Offset: 0, Length: 2}, {Offset: 2, Length: 2, Sparse: true}, {Offset: 4, Length: 2}, {Offset: 6, Length: 2, Sparse: true}, {Offset: 8, Length: 2}, {Offset: 10, Length: 2, Sparse: true}}},
		"short":   {data: []byte("ab00c"), size: 12, ranges: []flow.Range{{Offset: 0, Length: 2}, {Offset: 2, Length: 2, Sparse: true}, {Offset: 4, Length: 8}}},
	}
	q := &query{sink: &sink{}, extra: []vql.Registration{vql.NewAccessor("mem", func(context.Context, *vql.Scope) (vql.Accessor, error) { return mem{files}, nil })}}
	q.must(t, "SELECT upload(file=OSPath, accessor='mem') FROM glob(globs='*', accessor='mem')")
	type result struct {
		Data    string
		Size    int64
		Done    bool
		Outcome flow.Outcome
	}
	got := map[string]result{}
	for _, u := range q.sink.uploads {
		r := result{Data: u.data.String(), Size: u.Size, Done: u.done}
		if u.aborted != nil {
			r.Outcome = outcomeOf(u.aborted)
		}
		got[u.Components[0]] = r
	}
	want := map[string]result{
		"plain": {"0123456789", 10, true, ""}, "unknown": {"0123456789", -1, true, ""}, "grown": {"0123", 4, true, ""},
		"shrunk": {"0123", 10, false, flow.Changed}, "broken": {"0123", 10, false, flow.Failed},
		"sparse": {"abcdef", 12, true, ""}, "short": {"abc", 12, false, flow.Changed},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUploadSparseFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "sparse")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	const hole = 1 << 20
	content := make([]byte, 3*hole+500)
	for _, at := range []int{hole, 3 * hole} {
		piece := bytes.Repeat([]byte{byte(at>>20 + 'a')}, 500)
		copy(content[at:], piece)
		if _, err := f.WriteAt(piece, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	q := &query{sink: &sink{}, env: []vql.Var{{Name: "F", Value: name}}}
	q.must(t, "SELECT upload(file=F) FROM scope()")
	u := q.sink.uploads[0]
	if u.Ranges == nil {
		t.Skip("this file system tells nothing of holes")
	}
	whole, stored, end := make([]byte, 0, len(content)), u.data.Bytes(), int64(0)
	for _, r := range u.Ranges {
		if r.Offset != end || r.Length <= 0 {
			t.Fatalf("ranges %+v", u.Ranges)
		}
		end += r.Length
		if r.Sparse {
			whole = append(whole, make([]byte, r.Length)...)
			continue
		}
		whole, stored = append(whole, stored[:r.Length]...), stored[r.Length:]
	}
	if end != u.Size || len(stored) != 0 || !bytes.Equal(whole, content) || u.n >= u.Size {
		t.Errorf("size %d, stored %d, ranges %+v", u.Size, u.n, u.Ranges)
	}
}

func TestSparseRanges(t *testing.T) {
	t.Parallel()
	runs := func(list ...int64) func(int64) (int64, int64, bool, error) {
		return func(at int64) (int64, int64, bool, error) {
			for i := 0; i+1 < len(list); i += 2 {
				if at < list[i+1] {
					return max(at, list[i]), list[i+1], true, nil
				}
			}
			return 0, 0, false, nil
		}
	}
	for _, c := range []struct {
		size int64
		data []int64
		want []flow.Range
	}{
		{0, nil, nil},
		{10, []int64{0, 10}, nil},
		{10, []int64{0, 4, 4, 20}, nil},
		{10, nil, []flow.Range{{Offset: 0, Length: 10, Sparse: true}}},
		{10, []int64{2, 4}, []flow.Range{{Offset: 0, Length: 2, Sparse: true}, {Offset: 2, Length: 2}, {Offset: 4, Length: 6, Sparse: true}}},
		{10, []int64{8, 20}, []flow.Range{{Offset: 0, Length: 8, Sparse: true}, {Offset: 8, Length: 2}}},
		{10, []int64{15, 20}, []flow.Range{{Offset: 0, Length: 10, Sparse: true}}},
	} {
		got, err := sparseRanges(c.size, runs(c.data...))
		if err != nil {
			t.Errorf("%v: %v", c.data, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%v: %s", c.data, d)
		}
	}
	// a file with more runs than are told apart: the rest is data
	got, err := sparseRanges(1<<40, func(at int64) (int64, int64, bool, error) { return at + 1, at + 2, true, nil })
	if err != nil || len(got) > maxRanges+2 {
		t.Fatalf("%d ranges, %v", len(got), err)
	}
	end := int64(0)
	for _, r := range got {
		if r.Offset != end {
			t.Fatalf("gap at %d", end)
		}
		end += r.Length
	}
	if end != 1<<40 {
		t.Errorf("ranges end at %d", end)
	}
	if _, err := sparseRanges(10, func(int64) (int64, int64, bool, error) { return 3, 3, true, nil }); err == nil {
		t.Error("a file system that makes no progress gives no error")
	}
}

// TestUploadChanges writes to files while they are read.
func TestUploadChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		change  func(name string) error
		outcome string
		stored  int
	}{
		{"grows", func(name string) error { return appendTo(name, "more") }, "", 600_000},
		{"shrinks", func(name string) error { return os.Truncate(name, 300_000) }, "changed", -1},
		{"rewritten", func(name string) error { return os.Chtimes(name, time.Time{}, time.Unix(1, 0)) }, "changed", 600_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 600_000), 0o600); err != nil {
				t.Fatal(err)
			}
			q := &query{sink: &sink{}, env: []vql.Var{{Name: "F", Value: name}}}
			hook := &changing{sink: q.sink, do: func() error { return c.change(name) }}
			rows := q.mustWith(t, hook, "SELECT upload(file=F) AS U FROM scope()")
			if hook.err != nil {
				t.Fatal(hook.err)
			}
			want := []string(nil)
			if c.outcome != "" {
				want = []string{name + " " + c.outcome}
			}
			if d := cmp.Diff(want, q.sink.outcomes()); d != "" {
				t.Error(d)
			}
			u := q.sink.uploads[0]
			if u.done != (c.stored >= 0) || c.stored >= 0 && u.data.Len() != c.stored {
				t.Errorf("done %v, %d bytes", u.done, u.data.Len())
			}
			if c.name == "grows" && !strings.Contains(rows[0], "grew from 600000 to 600004") {
				t.Errorf("row %s", rows[0])
			}
		})
	}
}

// changing does something at the first byte of each upload.
type changing struct {
	*sink
	do  func() error
	err error
}

func (c *changing) Upload(ctx context.Context, u flow.Upload) (flow.UploadWriter, error) {
	w, err := c.sink.Upload(ctx, u)
	if err == nil {
		once := false
		w.(*stored).onWrite = func() {
			if !once {
				once, c.err = true, c.do()
			}
		}
	}
	return w, err
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (q *query) mustWith(t *testing.T, s flow.Sink, text string) []string {
	t.Helper()
	set := vql.NewSet()
	if err := set.Add(List()...); err != nil {
		t.Fatal(err)
	}
	var rows []string
	stats, err := vql.NewRunner(set, vql.Options{Permissions: []string{"*"}, Env: q.env, Sink: s}).Run(t.Context(), vql.Request{Text: text}, func(r vql.Row) error {
		rows = append(rows, string(vql.AppendJSON(nil, r)))
		return nil
	})
	if err := errors.Join(err, stats.Err()); err != nil {
		t.Fatal(err)
	}
	return rows
}

func BenchmarkUpload(b *testing.B) {
	root := b.TempDir()
	const files = 5000
	for i := range files {
		_ = os.WriteFile(filepath.Join(root, fmt.Sprint("f", i)), make([]byte, 1024+i%7000), 0o600)
	}
	set := vql.NewSet()
	_ = set.Add(List()...)
	for b.Loop() {
		s := &sink{drop: true}
		n := 0
		_, err := vql.NewRunner(set, vql.Options{Permissions: []string{"*"}, Sink: s, Env: []vql.Var{{Name: "Root", Value: root}}}).Run(b.Context(),
			vql.Request{Text: "SELECT OSPath, Size, upload(file=OSPath) AS U FROM glob(globs='*', root=Root)"}, func(vql.Row) error { n++; return nil })
		if err != nil || n != files || len(s.uploads) != files {
			b.Fatal(err, n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/files, "us/file")
}
