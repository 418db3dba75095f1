package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/internal/flow"
	"satchel/internal/fsx/fsxtest"
)

// attempt fills a container on a file system that may fail, and reports what
// was accepted before the last sync that succeeded, and whether Close did.
func attempt(t *testing.T, fsys *fsxtest.FS, overwrite bool) (durable sample, closed bool) {
	t.Helper()
	durable.files = map[string][]byte{}
	w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys, SyncEvery: time.Hour, Workers: 1, Overwrite: overwrite})
	if err != nil {
		return durable, false
	}
	var accepted sample
	accepted.files = map[string][]byte{}
	sync := func() {
		waitAppended(w)
		if w.pipe.failure() == nil && w.sync() == nil {
			durable.rows = append([]string(nil), accepted.rows...)
			for k, v := range accepted.files {
				durable.files[k] = v
			}
		}
	}
	for i := range 6 {
		name := fmt.Sprintf("/f%d", i)
		content := randomBytes(uint64(i), 200*i)
		if i == 4 {
			content = randomBytes(4, blockSize+5000)
		}
		if tryUpload(t, w, name, content) == nil {
			accepted.files[name] = content
		}
		row := fmt.Sprintf(`{"N":%d}`, i)
		if w.WriteRows(context.Background(), "Test.Rows/All", rowBatch(row)) == nil {
			accepted.rows = append(accepted.rows, row)
		}
		if i%2 == 1 {
			sync()
		}
	}
	_, err = w.Close(context.Background())
	if err == nil {
		durable = accepted
	}
	return durable, err == nil
}

func tryUpload(t *testing.T, w *Writer, path string, content []byte) error {
	u, err := w.Upload(t.Context(), flow.Upload{Source: "Test.Files", Accessor: "file", Path: path, Components: []string{path[1:]}, Size: int64(len(content))})
	if err != nil {
		return err
	}
	if _, err := u.Write(content); err != nil {
		return errors.Join(err, u.Abort(err))
	}
	_, err = u.Commit()
	return err
}

// holdsAll fails unless everything durable can be read.
func holdsAll(t *testing.T, what string, fsys *fsxtest.FS, durable sample) {
	t.Helper()
	zip, zipErr := fsys.ReadFile("/out/c.zip")
	spool, spoolErr := fsys.ReadFile("/out/c.zip.spool")
	if spoolErr != nil {
		spool = nil
	}
	if zipErr != nil && spoolErr != nil {
		if len(durable.rows)+len(durable.files) > 0 {
			t.Errorf("%s: both files are gone", what)
		}
		return
	}
	r, err := openBytes(zip, spool)
	if err != nil {
		if len(durable.rows)+len(durable.files) > 0 {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	defer r.Close()
	rows, files, _ := readAll(t, r)
	for i, row := range durable.rows {
		if i >= len(rows) || rows[i] != row {
			t.Errorf("%s: row %d is lost", what, i)
			break
		}
	}
	for path, b := range durable.files {
		if got, ok := files[path]; !ok || string(got) != string(b) {
			t.Errorf("%s: %s is lost (there: %v, %d of %d bytes; %v)", what, path, ok, len(got), len(b), r.Info().Problems)
		}
	}
}

func TestPowerLossAtEveryOperation(t *testing.T) {
	t.Parallel()
	total := func() int {
		fsys := fsxtest.New()
		mkdir(t, fsys)
		if _, closed := attempt(t, fsys, false); !closed {
			t.Fatal("without a fault the container is not closed")
		}
		return fsys.Total()
	}()
	if total < 10 {
		t.Fatalf("only %d operations", total)
	}
	for n := 1; n <= total; n++ {
		for _, seed := range []uint64{0, 1, 2} {
			fsys := fsxtest.New()
			mkdir(t, fsys)
			// From the n-th operation on nothing reaches the disk any more.
			fsys.Inject(func(c fsxtest.Call) *fsxtest.Fault {
				if c.Total >= n {
					return &fsxtest.Fault{Err: syscall.EIO}
				}
				return nil
			})
			durable, _ := attempt(t, fsys, false)
			var rng *rand.Rand
			if seed > 0 {
				rng = rand.New(rand.NewPCG(seed, uint64(n)))
			}
			fsys.Crash(rng)
			holdsAll(t, fmt.Sprintf("power lost at operation %d, seed %d", n, seed), fsys, durable)
		}
	}
}

func mkdir(t *testing.T, fsys *fsxtest.FS) {
	t.Helper()
	if err := fsys.WriteFile("/out/.keep", nil); err != nil {
		t.Fatal(err)
	}
}

func TestEachWriteAndSyncFails(t *testing.T) {
	t.Parallel()
	for _, op := range []fsxtest.Op{fsxtest.OpWrite, fsxtest.OpSync, fsxtest.OpSyncDir, fsxtest.OpRemove} {
		base := fsxtest.New()
		mkdir(t, base)
		attempt(t, base, false)
		for n := 1; n <= base.Count(op); n++ {
			fsys := fsxtest.New()
			mkdir(t, fsys)
			fsys.Inject(fsxtest.FailFrom(op, n, syscall.ENOSPC))
			durable, closed := attempt(t, fsys, false)
			what := fmt.Sprintf("%s %d fails", op, n)
			holdsAll(t, what, fsys, durable)
			fsys.Crash(nil)
			if !closed {
				holdsAll(t, what+", then the power", fsys, durable)
			}
		}
	}
}

func TestFailedCloseSaysWhereTheEvidenceIs(t *testing.T) {
	t.Parallel()
	fsys := fsxtest.New()
	mkdir(t, fsys)
	w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys, SyncEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := tryUpload(t, w, "/a", []byte("content")); err != nil {
		t.Fatal(err)
	}
	fsys.Inject(fsxtest.FailFrom(fsxtest.OpWrite, 1, syscall.ENOSPC))
	_, err = w.Close(context.Background())
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "c.zip.spool") {
		t.Errorf("Close says %v", err)
	}
}

func TestLittleSpaceStopsTaking(t *testing.T) {
	t.Parallel()
	fsys := fsxtest.New()
	mkdir(t, fsys)
	fsys.Limit(16 << 20)
	w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys, SyncEvery: 5 * time.Millisecond, MinFreeBytes: 1 << 20, Method: Store})
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for i := 0; err == nil && i < 100_000; i++ {
		if err = tryUpload(t, w, fmt.Sprintf("/f%d", i), randomBytes(uint64(i), 20_000)); err == nil {
			taken++
			time.Sleep(time.Millisecond)
		}
	}
	if !errors.Is(err, ErrNoSpace) || taken == 0 {
		t.Fatalf("after %d files: %v", taken, err)
	}
	if err := w.Report(context.Background(), flow.Report{Source: "Test.Files", Outcome: flow.Partial}); err != nil {
		t.Errorf("a report is refused: %v", err)
	}
	sum, err := w.Close(context.Background())
	if err != nil || sum.Uploads != int64(taken) {
		t.Errorf("closed with %+v, %v; %d were taken", sum, err, taken)
	}
}

func TestSizeLimitStopsTaking(t *testing.T) {
	t.Parallel()
	fsys := fsxtest.New()
	mkdir(t, fsys)
	w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys, MaxBytes: 2 << 20, Method: Store})
	if err != nil {
		t.Fatal(err)
	}
	u, err := w.Upload(t.Context(), flow.Upload{Accessor: "file", Path: "/x", Components: []string{"x"}, Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(u, strings.NewReader(strings.Repeat("x", 20<<20)))
	if !errors.Is(err, ErrMaxSize) {
		t.Fatalf("20 MB into 2 MB: %v", err)
	}
	if err := u.Abort(err); err != nil {
		t.Fatal(err)
	}
	sum, err := w.Close(context.Background())
	if err != nil || sum.Partial != 1 || sum.Bytes > 2<<20 {
		t.Errorf("closed with %+v, %v", sum, err)
	}
}

func TestSizeLimitHoldsForRowsThatRepeat(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]func(i int) string{
		"counter": func(i int) string {
			return fmt.Sprintf(`{"N":%d,"Path":"/usr/lib/name-%d","Note":"the same words in every row"}`, i, i)
		},
		"same":  func(int) string { return `{"A":"always the same row, over and over again"}` },
		"short": func(i int) string { return fmt.Sprintf(`{"N":%d}`, i) },
	} {
		fsys := fsxtest.New()
		mkdir(t, fsys)
		const limit = 1 << 20
		w, err := Create("/out/c.zip", testHeader(), Options{FS: fsys, MaxBytes: limit})
		if err != nil {
			t.Fatal(err)
		}
		var rows int64
		for i := 0; err == nil && rows < 3_000_000; {
			var b flow.RowBatch
			for ; b.Rows < 2000; b.Rows++ {
				b.JSONL = append(append(b.JSONL, row(i)...), '\n')
				i++
			}
			if err = w.WriteRows(context.Background(), "Test.Rows/All", b); err == nil {
				rows += int64(b.Rows)
			}
		}
		if err != nil && !errors.Is(err, ErrMaxSize) {
			t.Fatalf("%s: %v", name, err)
		}
		sum, err := w.Close(context.Background())
		if err != nil || sum.Bytes > limit || sum.Rows != rows {
			t.Errorf("%s: %d rows give %d bytes, %v", name, sum.Rows, sum.Bytes, err)
		}
		t.Logf("%s: %d rows in %d bytes", name, sum.Rows, sum.Bytes)
	}
}

func TestNoSpaceToBegin(t *testing.T) {
	t.Parallel()
	fsys := fsxtest.New()
	mkdir(t, fsys)
	fsys.Limit(10 << 20)
	if _, err := Create("/out/c.zip", testHeader(), Options{FS: fsys, MinFreeBytes: 1 << 40}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("begun below the floor: %v", err)
	}
	if _, err := fsys.Stat("/out/c.zip"); err == nil {
		t.Error("a file was left behind")
	}
}
