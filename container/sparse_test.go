package container

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"satchel/internal/flow"
)

func TestSparseUpload(t *testing.T) {
	t.Parallel()
	ranges := []flow.Range{{Offset: 0, Length: 4096, Sparse: true}, {Offset: 4096, Length: 5}, {Offset: 4101, Length: 95, Sparse: true}, {Offset: 4196, Length: 4}, {Offset: 4200, Length: 100, Sparse: true}}
	logical := make([]byte, 4300)
	copy(logical[4096:], "hello")
	copy(logical[4196:], "wrld")
	for _, tt := range []struct {
		name     string
		data     string
		complete bool
		want     []byte
	}{
		{"whole", "hellowrld", true, logical},
		{"short in the second run", "hellowr", false, logical[:4198]},
		{"short before the second run", "hello", false, logical[:4196]},
		{"short in the first run", "hel", false, logical[:4099]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "c.zip")
			w, err := Create(path, testHeader(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			u, err := w.Upload(t.Context(), flow.Upload{Accessor: "file", Path: "/s", Components: []string{"s"}, Size: 4300, Ranges: ranges})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(u, tt.data); err != nil {
				t.Fatal(err)
			}
			if _, err := u.Commit(); (err == nil) != tt.complete {
				t.Errorf("Commit: %v", err)
			}
			uploadFile(t, w, "/after", []byte("after"))
			if _, err := w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			r, err := OpenFile(path, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, files, partial := readAll(t, r)
			got := files["/s"]
			if !tt.complete {
				got = partial["/s"]
			}
			if !bytes.Equal(got, tt.want) {
				t.Errorf("%d bytes come back, want %d", len(got), len(tt.want))
			}
			if string(files["/after"]) != "after" {
				t.Error("the next upload is damaged")
			}
		})
	}
}

func TestSparseIndexIsChecked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, idx string
		ok        bool
	}{
		{"good", `{"ranges":[{"original_offset":10,"file_length":3,"length":3}]}`, true},
		{"lines", "{\"original_offset\":10,\"file_length\":3,\"length\":3}\n{\"original_offset\":20,\"length\":3}\n", true},
		{"beyond the stored bytes", `{"ranges":[{"file_length":30,"length":30}]}`, false},
		{"negative", `{"ranges":[{"original_offset":-1,"length":3}]}`, false},
		{"overlap", `{"ranges":[{"length":30},{"original_offset":10,"length":3}]}`, false},
		{"huge", `{"ranges":[{"original_offset":9000000000000000000,"length":9000000000000000000}]}`, false},
		{"no JSON", `x`, false},
	} {
		if _, err := parseSparseIndex([]byte(tt.idx), 10); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// recorder keeps what a sink was given.
type recorder struct {
	Rows    map[string]string
	Uploads map[string]string
	Partial map[string]string
	Logs    []flow.LogLine
	Reports []flow.Report
}

func newRecorder() *recorder {
	return &recorder{Rows: map[string]string{}, Uploads: map[string]string{}, Partial: map[string]string{}}
}

func (r *recorder) WriteRows(_ context.Context, source string, b flow.RowBatch) error {
	r.Rows[source] += string(b.JSONL)
	return nil
}

func (r *recorder) Upload(_ context.Context, u flow.Upload) (flow.UploadWriter, error) {
	return &recordedUpload{r: r, key: u.Accessor + "|" + u.Path}, nil
}

func (r *recorder) Log(_ context.Context, l flow.LogLine) error {
	r.Logs = append(r.Logs, l)
	return nil
}

func (r *recorder) Report(_ context.Context, rep flow.Report) error {
	r.Reports = append(r.Reports, rep)
	return nil
}

type recordedUpload struct {
	bytes.Buffer
	r   *recorder
	key string
}

func (u *recordedUpload) Commit() (flow.Stored, error) {
	u.r.Uploads[u.key] = u.String()
	return flow.Stored{}, nil
}

func (u *recordedUpload) Abort(error) error {
	u.r.Partial[u.key] = u.String()
	return nil
}

func TestReplayGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		path := filepath.Join(dir, filepath.Base(t.Name())+string(rune('a'+n%26))+".zip")
		w, err := Create(path, testHeader(), Options{Overwrite: true, StallAfter: 1})
		if err != nil {
			rt.Fatal(err)
		}
		want := newRecorder()
		for range rapid.IntRange(0, 12).Draw(rt, "steps") {
			step(rt, w, want)
		}
		if _, err := w.Close(context.Background()); err != nil {
			rt.Fatal(err)
		}
		r, err := OpenFile(path, ReadOptions{})
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		got := newRecorder()
		if err := r.Replay(context.Background(), got); err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatalf("replay differs (-want +got):\n%s", d)
		}
	})
}

// step does the same to a container and a recorder.
func step(rt *rapid.T, w *Writer, want *recorder) {
	ctx := context.Background()
	switch rapid.SampledFrom([]string{"rows", "upload", "upload", "log", "report"}).Draw(rt, "what") {
	case "rows":
		source := rapid.SampledFrom([]string{"A", "A/B", "C.D/é %"}).Draw(rt, "source")
		b := rowBatch(rapid.SliceOfN(rapid.SampledFrom([]string{`{}`, `{"A":1}`, `{"B":"ü\n"}`}), 1, 5).Draw(rt, "rows")...)
		if err := w.WriteRows(ctx, source, b); err != nil {
			rt.Fatal(err)
		}
		want.Rows[source] += string(b.JSONL)
	case "upload":
		name := string(rapid.SliceOfN(rapid.Byte(), 1, 12).Draw(rt, "name"))
		size := rapid.SampledFrom([]int{0, 1, 100, blockSize - 1, blockSize, blockSize + 1, 2*blockSize + 7}).Draw(rt, "size")
		key := "file|" + name
		if _, twice := want.Uploads[key]; twice {
			return
		}
		u, err := w.Upload(ctx, flow.Upload{Accessor: "file", Path: name, Components: []string{"d", name}, Size: int64(size)})
		if err != nil {
			rt.Fatal(err)
		}
		content := randomBytes(uint64(size), size)
		if _, err := u.Write(content); err != nil {
			rt.Fatal(err)
		}
		if rapid.IntRange(0, 5).Draw(rt, "abort") == 0 {
			if err := u.Abort(errors.New("gone")); err != nil {
				rt.Fatal(err)
			}
			want.Partial[key] = string(content)
			return
		}
		if _, err := u.Commit(); err != nil {
			rt.Fatal(err)
		}
		want.Uploads[key] = string(content)
	case "log":
		l := flow.LogLine{Time: timeOf(rt), Level: flow.LevelWarn, Source: "A", Message: rapid.SampledFrom([]string{"x", "two\nlines", ""}).Draw(rt, "message")}
		if err := w.Log(ctx, l); err != nil {
			rt.Fatal(err)
		}
		want.Logs = append(want.Logs, l)
	case "report":
		r := flow.Report{Time: timeOf(rt), Source: "A", Target: "/x", Outcome: flow.Missing, Rows: 3}
		if err := w.Report(ctx, r); err != nil {
			rt.Fatal(err)
		}
		want.Reports = append(want.Reports, r)
	}
}

func timeOf(rt *rapid.T) time.Time {
	return time.Unix(rapid.Int64Range(1, 4e9).Draw(rt, "second"), rapid.Int64Range(0, 999_999_999).Draw(rt, "nano")).UTC()
}
