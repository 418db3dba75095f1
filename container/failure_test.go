package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/frame"
	"satchel/internal/fsx/fsxtest"
)

// within fails if f has not returned after a time in which only what hangs
// does not.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

func begin(t testing.TB, w *Writer, path string) flow.UploadWriter {
	t.Helper()
	u, err := w.Upload(t.Context(), flow.Upload{Source: "Test.Files", Accessor: "file", Path: path, Components: strings.Split(strings.Trim(path, "/"), "/"), Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestFailedSyncFreesTheAppender(t *testing.T) {
	t.Parallel()
	for range 8 { // which way a select goes is chance
		fsys := fsxtest.New()
		mkdir(t, fsys)
		w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys, SyncEvery: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		u := begin(t, w, "/large")
		fsys.Inject(fsxtest.FailFrom(fsxtest.OpSync, 1, syscall.EIO))
		content := randomBytes(1, blockSize+10)
		_, err = u.Write(content)
		for i := 0; err == nil; i++ {
			_, err = u.Write(content[:blockSize])
		}
		within(t, "Abort", func() { err = errors.Join(err, u.Abort(err)) })
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("Write says %v", err)
		}
		within(t, "Close", func() { _, err = w.Close(context.Background()) })
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("Close says %v", err)
		}
	}
}

func TestFailureWakesEverybody(t *testing.T) {
	t.Parallel()
	for _, op := range []fsxtest.Op{fsxtest.OpWrite, fsxtest.OpSync} {
		fsys := fsxtest.New()
		mkdir(t, fsys)
		w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys, SyncEvery: 5 * time.Millisecond, StallAfter: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		head := begin(t, w, "/head") // nobody gives it more: all others wait behind it
		if _, err := head.Write(randomBytes(1, blockSize+1)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make(chan error, 64)
		for g := range 12 { // more large ones than slots, more small bytes than the budget
			wg.Go(func() {
				for i := 0; ; i++ {
					n := 200_000
					if g < 6 {
						n = 10 * blockSize
					}
					if err := tryUpload(t, w, fmt.Sprintf("/d%d-%d", g, i), randomBytes(2, n)); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Go(func() { // waits for the first of its name
			_, err := w.Upload(context.Background(), flow.Upload{Accessor: "file", Path: "/head", Components: []string{"head"}})
			_, again := w.Upload(context.Background(), flow.Upload{Accessor: "file", Path: "/head", Components: []string{"head"}})
			errs <- errors.Join(err, again)
		})
		time.Sleep(50 * time.Millisecond)
		fsys.Inject(fsxtest.FailFrom(op, 1, syscall.EIO))
		if op == fsxtest.OpWrite { // no write comes while the head stalls
			w.kick()
			if err := w.WriteRows(t.Context(), "Test.Rows/All", rowBatch(`{}`)); err != nil {
				t.Log(err)
			}
		}
		within(t, fmt.Sprintf("somebody, when %s fails,", op), func() { wg.Wait() })
		close(errs)
		for err := range errs {
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("%s fails: a caller is told %v", op, err)
			}
		}
		within(t, "Close", func() { _, err = w.Close(context.Background()) })
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("Close says %v", err)
		}
	}
}

func TestCancelledUploadKeepsWhatItGave(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{StallAfter: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	head := begin(t, w, "/head")
	if _, err := head.Write(randomBytes(1, blockSize+1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	u, err := w.Upload(ctx, flow.Upload{Accessor: "file", Path: "/x", Components: []string{"x"}, Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("the time is over")
	time.AfterFunc(30*time.Millisecond, func() { cancel(why) })
	content := randomBytes(2, 40*blockSize)
	var n int
	within(t, "Write", func() { n, err = u.Write(content) }) // it waits behind the head
	if !errors.Is(err, why) || n == 0 || n == len(content) {
		t.Fatalf("Write gives %d, %v", n, err)
	}
	if err := head.Abort(nil); err != nil {
		t.Fatal(err)
	}
	if err := u.Abort(why); err != nil {
		t.Errorf("Abort behind a cancelled context: %v", err)
	}
	if n, err := u.Write([]byte("x")); n != 0 || !errors.Is(err, ErrClosed) {
		t.Errorf("Write behind Abort gives %d, %v", n, err)
	}
	if _, err := u.Commit(); !errors.Is(err, ErrClosed) {
		t.Errorf("Commit behind Abort gives %v", err)
	}
	if _, err := w.Close(ctx); err != nil {
		t.Fatalf("Close with a cancelled context: %v", err)
	}
	r, err := OpenFile(path, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, _, partial := readAll(t, r)
	if string(partial["/x"]) != string(content[:n]) {
		t.Errorf("%d of the %d bytes that were taken are there", len(partial["/x"]), n)
	}
}

func TestWaitingForAFileThatIsAborted(t *testing.T) {
	t.Parallel()
	w, err := Create(filepath.Join(t.TempDir(), "c.zip"), testHeader(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := begin(t, w, "/a")
	got := make(chan error, 1)
	go func() { got <- tryUpload(t, w, "/a", []byte("second")) }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.Upload(ctx, flow.Upload{Accessor: "file", Path: "/a", Components: []string{"a"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting gives %v", err)
	}
	if err := first.Abort(errors.New("gone")); err != nil {
		t.Fatal(err)
	}
	within(t, "the second", func() { err = <-got })
	if err != nil {
		t.Errorf("the second gives %v", err)
	}
	if sum, err := w.Close(context.Background()); err != nil || sum.Uploads != 2 || sum.Partial != 1 {
		t.Errorf("closed with %+v, %v", sum, err)
	}
}

func TestCloseDuringWrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{StallAfter: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			content := randomBytes(uint64(g), (1+g)*blockSize)
			for i := 0; ; i++ {
				if err := tryUpload(t, w, fmt.Sprintf("/d%d-%d", g, i), content); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("a caller is told %v", err)
					}
					return
				}
				if err := w.WriteRows(context.Background(), "Test.Rows/All", rowBatch(`{}`)); err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("a caller is told %v", err)
				}
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	within(t, "Close", func() { _, err = w.Close(context.Background()) })
	if err != nil {
		t.Fatal(err)
	}
	within(t, "a caller", wg.Wait)
	res, err := Verify(t.Context(), path, ReadOptions{})
	if err != nil || !res.OK {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestSparseFileOfVeryManyRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	up := flow.Upload{Accessor: "file", Path: "/s", Components: []string{"s"}}
	const far = 1 << 40
	for i := range int64(entry.MaxRanges / 2) {
		up.Ranges = append(up.Ranges, flow.Range{Offset: far + 2*i, Length: 1}, flow.Range{Offset: far + 2*i + 1, Length: 1, Sparse: true})
	}
	up.Size = far + entry.MaxRanges
	u, err := w.Upload(t.Context(), up)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(make([]byte, entry.MaxRanges/2)); err != nil {
		t.Fatal(err)
	}
	within(t, "Commit", func() { _, err = u.Commit() })
	if err != nil {
		t.Fatal(err)
	}
	if len(sparseIndex(up.Ranges, entry.MaxRanges/2)) < smallBudget {
		t.Error("the index fits the budget: the test does not show what it should")
	}
	if _, err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestIndexesHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	sparse := func(name string) {
		u, err := w.Upload(t.Context(), flow.Upload{Accessor: "file", Path: "/" + name, Components: []string{name}, Size: 6, Ranges: []flow.Range{{Length: 3, Sparse: true}, {Offset: 3, Length: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(u, "abc"); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	sparse("before")
	uploadFile(t, w, "/before.idx", []byte("a file"))
	uploadFile(t, w, "/behind.idx", []byte("another"))
	sparse("behind")
	if _, err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	zipContents(t, path) // no name is there twice
	r, err := OpenFile(path, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, files, _ := readAll(t, r)
	for name, want := range map[string]string{"/before": "\x00\x00\x00abc", "/behind": "\x00\x00\x00abc", "/before.idx": "a file", "/behind.idx": "another"} {
		if string(files[name]) != want {
			t.Errorf("%s is %q", name, files[name])
		}
	}
}

func TestRefusesWhatCouldNotBeKept(t *testing.T) {
	t.Parallel()
	w, err := Create(filepath.Join(t.TempDir(), "c.zip"), testHeader(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range map[string]flow.Upload{
		"names without end":   {Path: strings.Repeat("x", maxRecord+1)},
		"negative length":     {Ranges: []flow.Range{{Length: -1}}},
		"negative offset":     {Ranges: []flow.Range{{Offset: -1, Length: 1}}},
		"runs that overlap":   {Ranges: []flow.Range{{Length: 5}, {Offset: 4, Length: 1}}},
		"a run over the edge": {Ranges: []flow.Range{{Offset: 1 << 62, Length: 1<<62 + 1<<62 - 1}}},
		"too many runs":       {Ranges: make([]flow.Range, entry.MaxRanges+1)},
	} {
		if _, err := w.Upload(t.Context(), u); err == nil {
			t.Errorf("an upload with %s is taken", name)
		}
	}
	for name, b := range map[string]struct {
		source string
		rows   flow.RowBatch
	}{
		"no source":         {"", rowBatch(`{}`)},
		"a dot":             {".", rowBatch(`{}`)},
		"an endless source": {strings.Repeat("x", 2000), rowBatch(`{}`)},
		"no newline":        {"A", flow.RowBatch{JSONL: []byte(`{}`)}},
		"another number":    {"A", flow.RowBatch{JSONL: []byte("{}\n"), Rows: 2}},
	} {
		if err := w.WriteRows(t.Context(), b.source, b.rows); err == nil {
			t.Errorf("rows with %s are taken", name)
		}
	}
	u := begin(t, w, "/long")
	if err := u.Abort(errors.New(strings.Repeat("why ", 8<<20))); err != nil {
		t.Fatal(err)
	}
	over, err := w.Upload(t.Context(), flow.Upload{Accessor: "file", Path: "/over", Components: []string{"over"}, Ranges: []flow.Range{{Length: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(over, "abc"); err != nil {
		t.Fatal(err)
	}
	if _, err := over.Commit(); err == nil {
		t.Error("more bytes than the runs have are taken as whole")
	}
	if sum, err := w.Close(context.Background()); err != nil || sum.Rows != 0 || sum.Uploads != 2 || sum.Partial != 2 {
		t.Errorf("closed with %+v, %v", sum, err)
	}
}

func TestNothingIsSavedBehindTheRecordOfItsUpload(t *testing.T) {
	t.Parallel()
	w, err := Create(filepath.Join(t.TempDir(), "c.zip"), testHeader(), Options{SyncEvery: 20 * time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 1500 {
				if err := tryUpload(t, w, fmt.Sprintf("/d%d-%d", g, i), randomBytes(uint64(i), 3000)); err != nil {
					t.Errorf("upload: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := w.sync(); err != nil {
		t.Fatal(err)
	}
	ended := map[uint64]bool{}
	chunks := 0
	err = eachFrame(w.spool, func(f frame.Frame, _ int64) error {
		switch f.Kind {
		case entry.KindUpload:
			u, err := entry.DecodeUpload(f.Body)
			ended[u.ID] = true
			return err
		case entry.KindChunk:
			c, err := entry.DecodeChunk(f.Body)
			if chunks++; ended[c.UploadID] {
				t.Errorf("a piece of upload %d is saved behind its record", c.UploadID)
			}
			return err
		}
		return nil
	})
	if err != nil || chunks == 0 {
		t.Errorf("%d pieces were saved, %v", chunks, err)
	}
	if _, err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestCreateLeavesNothingWhenItFails(t *testing.T) {
	t.Parallel()
	for _, op := range []fsxtest.Op{fsxtest.OpWrite, fsxtest.OpSync, fsxtest.OpSyncDir} {
		fsys := fsxtest.New()
		mkdir(t, fsys)
		fsys.Inject(fsxtest.FailFrom(op, 1, syscall.EIO))
		if w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys}); err == nil {
			t.Errorf("%s fails and Create does not", op)
			w.Close(context.Background())
		}
		fsys.Inject(nil)
		w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys})
		if err != nil {
			t.Errorf("%s failed, and Create again gives %v", op, err)
			continue
		}
		if _, err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestWholeContainerThatIsNotTidiedUp(t *testing.T) {
	t.Parallel()
	fsys := fsxtest.New()
	mkdir(t, fsys)
	w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	fsys.Inject(fsxtest.FailFrom(fsxtest.OpRemove, 1, syscall.EACCES))
	sum, err := w.Close(context.Background())
	if !errors.Is(err, syscall.EACCES) || sum.SHA256 == "" || strings.Contains(err.Error(), "recover") {
		t.Errorf("Close gives %+v, %v", sum, err)
	}
}
