package container

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCutWhileClosing cuts a container within the members that Close writes:
// the spool is still there, so nothing is missing, and it says that it was cut.
func TestCutWhileClosing(t *testing.T) {
	t.Parallel()
	w, err := Create(filepath.Join(t.TempDir(), "c.zip"), testHeader(), Options{SyncEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s := fill(t, w, 0)
	waitAppended(w)
	zip, spool := crashed(t, w)
	if _, err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(zip); n < len(whole); n += crashStep() {
		r, err := openBytes(whole[:n], spool)
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		rows, files, partial := readAll(t, r)
		holdsOnly(t, s, rows, files, partial)
		info := r.Info()
		if len(rows) != len(s.rows) || len(files) != len(s.files) || info.Complete || info.Logs != 1 {
			t.Errorf("cut at %d: %d rows, %d files, complete %v, %d logs", n, len(rows), len(files), info.Complete, info.Logs)
		}
		if restored := r.rebuilt.restored; !restored && info.Status == "" {
			t.Errorf("cut at %d: it does not say that it was cut", n)
		}
		r.Close()
	}
}
