package crashtest

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"
)

// watchMachine syncs a small file all the time and returns a function that ends
// this and tells by how much the slowest round was late, from the moment at which
// it should have begun. The promise of a second holds on a machine that keeps up;
// this is by how much this one does not: a few milliseconds where nothing else
// runs.
func watchMachine(t *testing.T, name string) (slowest func() time.Duration) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	const every = 20 * time.Millisecond
	var mu sync.Mutex
	var most time.Duration
	due := time.Now().Add(every)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(every):
			}
			_, err := f.WriteString("probe")
			err = errors.Join(err, f.Sync())
			mu.Lock()
			most = max(most, time.Since(due))
			due = time.Now().Add(every)
			mu.Unlock()
			if err != nil {
				return // the disk is gone: that was the last round
			}
		}
	}()
	t.Cleanup(func() { f.Close() })
	return func() time.Duration {
		mu.Lock()
		most = max(most, time.Since(due))
		mu.Unlock()
		close(stop)
		<-stopped
		if err := f.Close(); err != nil {
			t.Logf("close the probe: %v", err)
		}
		return most
	}
}
