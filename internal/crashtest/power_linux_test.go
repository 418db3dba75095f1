package crashtest

import (
	"context"
	"math/rand/v2"
	"path/filepath"
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
		slowest := watchMachine(t, filepath.Join(l.dir, "probe"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var seen witness
		ended, seed := make(chan error, 1), r.Uint64()
		go func() { ended <- load(ctx, w, seed, &seen) }()

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
			t.Logf("lived %v, the machine was late by %v: %d facts, rows %v, %d files, complete %v", lives, late, len(seen.all()), found.rows, len(found.files), found.complete)
		}
	})
}
