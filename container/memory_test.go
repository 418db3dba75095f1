package container

import (
	"context"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"satchel/internal/flow"
)

// heapMax measures the heap in use beyond what it was at first.
type heapMax struct{ base, max uint64 }

func newHeapMax() *heapMax {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return &heapMax{base: m.HeapInuse}
}

func (h *heapMax) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapInuse > h.base {
		h.max = max(h.max, m.HeapInuse-h.base)
	}
}

// TestMemoryDoesNotGrowWithTheEvidence is not parallel: it looks at the heap of
// the whole process.
func TestMemoryDoesNotGrowWithTheEvidence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.zip")
	const limit = 80 << 20 // of which garbage is about a half
	heap := newHeapMax()
	w, err := Create(path, testHeader(), Options{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	u := begin(t, w, "/large")
	piece := randomBytes(1, 1<<20)
	pieces, batches := 200, 250
	if testing.Short() {
		pieces, batches = 40, 50
	}
	for range pieces {
		if _, err := u.Write(piece); err != nil {
			t.Fatal(err)
		}
		heap.look()
	}
	if _, err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	rows := flow.RowBatch{JSONL: []byte(strings.Repeat(`{"Path":"/usr/share/doc/some/path","Size":12345,"Mode":"-rw-r--r--"}`+"\n", 2000)), Rows: 2000}
	for range batches {
		if err := w.WriteRows(t.Context(), "Test.Rows/All", rows); err != nil {
			t.Fatal(err)
		}
		heap.look()
	}
	stop := make(chan struct{})
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for {
			select {
			case <-stop:
				return
			default:
				heap.look()
				runtime.Gosched()
			}
		}
	}()
	sum, err := w.Close(context.Background())
	close(stop)
	<-looked
	if err != nil || sum.Rows != int64(2000*batches) || sum.UploadBytes != int64(pieces)<<20 {
		t.Fatalf("closed with %+v, %v", sum, err)
	}
	if heap.max > limit {
		t.Errorf("writing took %d MiB of heap", heap.max>>20)
	}
	t.Logf("writing took %d MiB of heap", heap.max>>20)
	heap = newHeapMax()
	r, err := OpenFile(path, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var n lineCounter
	rc, err := r.Rows(t.Context(), "Test.Rows/All")
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := io.Copy(&n, rc); err != nil || int(n) != 2000*batches || r.Info().Rows != int64(2000*batches) {
		t.Errorf("%d rows come back, %v", n, err)
	}
	heap.look()
	if res, err := Verify(t.Context(), path, ReadOptions{}); err != nil || !res.OK {
		t.Errorf("%+v, %v", res, err)
	}
	heap.look()
	if heap.max > limit {
		t.Errorf("reading took %d MiB of heap", heap.max>>20)
	}
}

func TestQuoteThatIsNeverClosed(t *testing.T) {
	t.Parallel()
	endless := io.MultiReader(strings.NewReader("A,B\n1,\""), io.LimitReader(zeros{}, maxLine+1<<20))
	if n, err := countCSV(endless); err == nil || n != 0 {
		t.Errorf("%d records, %v", n, err)
	}
	rc := csvToJSONL(t.Context(), io.NopCloser(strings.NewReader("A,B\n1,\"two\nlines\",3\n")))
	b, err := io.ReadAll(rc)
	if want := `{"A":"1","B":"two\nlines","_column3":"3"}` + "\n"; err != nil || string(b) != want {
		t.Errorf("%q, %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rc = csvToJSONL(ctx, io.NopCloser(strings.NewReader("A\n1\n")))
	if _, err := io.ReadAll(rc); err == nil {
		t.Error("a cancelled reading ends well")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}
