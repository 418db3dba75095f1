package crashtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// readings watches a folder and notes when each of its files was closed by
// whoever read it: a witness that the reader knows nothing of.
type readings struct {
	fd    int
	ended chan struct{}
	first map[string]time.Time // by name
	err   error
	stop  func() map[string]time.Time // ends the watching, after the reader has died
}

func watchReadings(t *testing.T, folder string) *readings {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.InotifyAddWatch(fd, folder, unix.IN_CLOSE_NOWRITE); err != nil {
		t.Fatal(err)
	}
	r := &readings{fd: fd, ended: make(chan struct{}), first: map[string]time.Time{}}
	f := os.NewFile(uintptr(fd), "inotify")
	go func() {
		defer close(r.ended)
		buf := make([]byte, 64<<10)
		for {
			n, err := f.Read(buf)
			if err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					r.err = err
				}
				return
			}
			if err := r.take(buf[:n], time.Now()); err != nil {
				r.err = err
				return
			}
		}
	}()
	t.Cleanup(func() { f.Close() })
	// Every event is in the queue once the reader has died; a little later all
	// are read.
	r.stop = func() map[string]time.Time {
		if err := f.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		<-r.ended
		if r.err != nil {
			t.Fatalf("watch %s: %v", folder, r.err)
		}
		return r.first
	}
	return r
}

// take reads events: 16 bytes, the last four of them the length of the name
// that follows, padded with zeros.
func (r *readings) take(events []byte, now time.Time) error {
	for len(events) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(events[4:])
		length := int(binary.NativeEndian.Uint32(events[12:]))
		if mask&unix.IN_Q_OVERFLOW != 0 {
			return errors.New("the queue of events ran over")
		}
		name := events[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+length]
		if s := string(bytes.TrimRight(name, "\x00")); s != "" && r.first[s].IsZero() {
			r.first[s] = now
		}
		events = events[unix.SizeofInotifyEvent+length:]
	}
	return nil
}

// makeSources fills a folder with files that describe themselves.
func makeSources(t *testing.T, r *rand.Rand, small, large int) string {
	t.Helper()
	dir := t.TempDir()
	write := func(kind string, n int, size int64) {
		name := fileName(kind, n, size)
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.CopyN(f, content(name), size)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for n := range small {
		write(fmt.Sprintf("small%d", n%10), n, r.Int64N(48<<10))
	}
	for n := range large {
		write(fmt.Sprintf("large%d", n%10), n, 1<<20+r.Int64N(5<<20))
	}
	return dir
}

// linkSources gives a round the same files in a folder of its own, so that it
// sees its own readings only.
func linkSources(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	names, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files in %s, %v", len(names), from, err)
	}
	for _, name := range names {
		if err := os.Link(name, filepath.Join(dir, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWatchReadings(t *testing.T) {
	t.Parallel()
	dir := makeSources(t, rand.New(rand.NewPCG(1, 2)), 3, 0)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 3 {
		t.Fatalf("%v, %v", names, err)
	}
	watch := watchReadings(t, dir)
	before := time.Now()
	if _, err := os.ReadFile(names[0]); err != nil {
		t.Fatal(err)
	}
	seen := watch.stop()
	if at := seen[filepath.Base(names[0])]; len(seen) != 1 || at.Before(before) || at.After(time.Now()) {
		t.Errorf("saw %v, want the one file that was read", seen)
	}
}
