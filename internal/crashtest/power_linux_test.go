package crashtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"satchel/container"
)

// TestPowerLoss cuts the file system off under a container that is being
// written. Here, other than after a kill, only what was synced in the right
// order survives.
func TestPowerLoss(t *testing.T) {
	everyRound(t, rounds(t, 2, 8, 60), func(t *testing.T, r *rand.Rand) {
		l := newLoopFS(t, 1<<30)
		path := filepath.Join(l.dir, "x.zip")
		w, err := container.Create(path, header(writerFlow), container.Options{})
		if err != nil {
			t.Fatal(err)
		}
		slowest := watchSync(t, filepath.Join(l.dir, "probe"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var seen witness
		ended := make(chan error, 1)
		go func() { ended <- load(ctx, w, r.Uint64(), &seen) }()

		lives := between(r, 200*time.Millisecond, 5*time.Second)
		closing := r.IntN(4) == 0
		time.Sleep(lives)
		closed := make(chan error, 1)
		if closing { // so that the end falls into the closing
			cancel()
			if err := <-ended; err != nil {
				t.Fatalf("load: %v", err)
			}
			go func() {
				_, err := w.Close(context.WithoutCancel(ctx))
				closed <- err
			}()
			time.Sleep(between(r, 0, 150*time.Millisecond))
		}
		dead := time.Now()
		if err := l.cut(); err != nil {
			t.Fatal(err)
		}
		late := slowest()
		if closing {
			<-closed // with or without an error: the cut may have come too late
		} else {
			time.Sleep(1500 * time.Millisecond) // the writer runs into the failure
			cancel()
			if err := <-ended; err == nil {
				t.Error("the writer took everything although its disk was gone")
			}
			if _, err := w.Close(context.WithoutCancel(ctx)); err == nil {
				t.Error("closing a container whose disk is gone gave no error")
			}
		}
		if err := l.powerOn(); err != nil {
			t.Fatal(err)
		}
		if found := examine(t, path, seen.all(), dead, promise+late); found != nil {
			t.Logf("lived %v, a sync took up to %v: %d facts, rows %v, %d files, complete %v", lives, late, len(seen.all()), found.rows, len(found.files), found.complete)
		}
	})
}

// watchSync syncs a small file all the time and returns a function that ends
// this and tells how long the slowest took. The promise of a second holds on a
// disk that keeps up; this is by how much this one does not.
func watchSync(t *testing.T, name string) (slowest func() time.Duration) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var most time.Duration
	var begun time.Time
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			mu.Lock()
			begun = time.Now()
			mu.Unlock()
			_, err := f.WriteString("probe")
			err = errors.Join(err, f.Sync())
			mu.Lock()
			most = max(most, time.Since(begun))
			begun = time.Time{}
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { f.Close() })
	return func() time.Duration {
		mu.Lock()
		if !begun.IsZero() {
			most = max(most, time.Since(begun))
		}
		mu.Unlock()
		close(stop)
		<-stopped
		if err := f.Close(); err != nil {
			t.Logf("close the probe: %v", err)
		}
		return most
	}
}
