package spool

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"satchel/internal/frame"
	"satchel/internal/fsx/fsxtest"
)

// TestWriters appends from many goroutines, some of which sync each record, while others read, scan and acknowledge.
func TestWriters(t *testing.T) {
	t.Parallel()
	for _, writers := range []int{8, 64} {
		for _, form := range []Form{FormFile, FormSegment} {
			t.Run(fmt.Sprintf("%d writers form %d", writers, form), func(t *testing.T) {
				t.Parallel()
				o := Options{SegmentBytes: 20_000, BufferBytes: 2000, SyncBytes: 30_000, SyncEvery: 5 * time.Millisecond}
				path := filepath.Join(t.TempDir(), "spool")
				var l *Log
				if form == FormFile {
					l = mustFile(t, path, o)
				} else {
					l = mustDir(t, path, o)
				}
				const each = 40
				var wg sync.WaitGroup
				var mu sync.Mutex
				want := map[uint64]string{}
				for w := range writers {
					wg.Go(func() {
						for i := range each {
							b := fmt.Appendf(nil, "writer %d record %d %s", w, i, body(w*each+i, 300))
							seq, off, err := l.AppendAt(t.Context(), frame.Kind(1+w), b)
							if err != nil {
								t.Error(err)
								return
							}
							mu.Lock()
							want[seq] = string(b)
							mu.Unlock()
							if w%4 == 0 {
								if err := l.Sync(); err != nil || l.Durable() < seq {
									t.Error("Sync:", err, l.Durable(), seq)
								}
							}
							if form == FormFile && i%8 == 0 {
								if f, err := l.ReadAt(off); err != nil || string(f.Body) != string(b) {
									t.Error("ReadAt:", err)
								}
							}
						}
					})
				}
				ctx, cancel := context.WithCancel(t.Context())
				var readers sync.WaitGroup
				for range 3 {
					readers.Go(func() { follow(t, ctx, l, writers*each, form == FormSegment) })
				}
				wg.Wait()
				readers.Wait()
				cancel()
				if len(want) != writers*each || l.LastSeq() != uint64(writers*each) {
					t.Errorf("%d records, last %d", len(want), l.LastSeq())
				}
				if form == FormFile {
					s, err := l.Scan()
					if err != nil {
						t.Fatal(err)
					}
					for _, r := range scanned(t, s) {
						if want[r.Seq] != r.Body {
							t.Errorf("record %d: %q, want %q", r.Seq, r.Body, want[r.Seq])
						}
						delete(want, r.Seq)
					}
					if len(want) > 0 || len(s.Damage()) > 0 {
						t.Errorf("not found: %v; damage %v", want, s.Damage())
					}
				}
				mustClose(t, l)
			})
		}
	}
}

// follow reads n records from the start, and acknowledges them if ack.
func follow(t *testing.T, ctx context.Context, l *Log, n int, ack bool) {
	seen := uint64(0)
	for f, err := range l.From(ctx, 1) {
		if err != nil {
			// Another reader may have acknowledged what this one has not seen.
			gap, ok := err.(*GapError)
			if !ok || !gap.Deleted || gap.First != seen+1 {
				t.Error("From:", err)
				return
			}
			seen = gap.Last
			continue
		}
		if f.Seq != seen+1 {
			t.Errorf("record %d behind %d", f.Seq, seen)
			return
		}
		seen = f.Seq
		if ack && seen%50 == 0 {
			if err := l.Ack(seen); err != nil {
				t.Error("Ack:", err)
			}
		}
		if seen == uint64(n) {
			return
		}
	}
}

// TestSyncIsShared: while one sync runs, any number of others gather behind it and share the next one.
func TestSyncIsShared(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	l := mustFile(t, file, options(m))
	add(t, l, 1, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	first := m.Count(fsxtest.OpSync) + 1
	m.Inject(func(c fsxtest.Call) *fsxtest.Fault {
		if c.Op == fsxtest.OpSync && c.N == first {
			close(entered)
			<-release
		}
		return nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Sync(); err != nil {
			t.Error(err)
		}
	})
	<-entered
	// The disk is busy: appending goes on, and is not durable.
	const others = 50
	for range others {
		add(t, l, 1, make([]byte, 100))
	}
	if l.Durable() != 0 {
		t.Errorf("durable %d", l.Durable())
	}
	for range others {
		wg.Go(func() {
			if err := l.Sync(); err != nil || l.Durable() != others+1 {
				t.Error(err, l.Durable())
			}
		})
	}
	close(release)
	wg.Wait()
	if n := m.Count(fsxtest.OpSync) - first + 1; n > 3 {
		t.Errorf("%d syncs for %d callers", n, others+1)
	}
	mustClose(t, l)
}

// TestCloseBesideAll closes a log in the middle of everything.
func TestCloseBesideAll(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		m := newDisk(t)
		o := options(m)
		o.SegmentBytes, o.SyncEvery = 500, time.Millisecond
		l := mustDir(t, dir, o)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var want []record
		for w := range 4 {
			wg.Go(func() {
				for {
					b := body(w, 100)
					mu.Lock() // so that want is in order
					seq, err := l.Append(t.Context(), 1, b)
					if err == nil {
						want = append(want, record{seq, 1, string(b)})
					}
					mu.Unlock()
					if err != nil {
						return
					}
					_ = l.Sync()
					_ = l.Head()
				}
			})
		}
		wg.Go(func() {
			for range l.From(t.Context(), 1) {
			}
		})
		time.Sleep(time.Duration(i) * 200 * time.Microsecond)
		mustClose(t, l)
		wg.Wait()
		m.Crash(nil)
		same(t, "what was accepted before Close", want, readDir(t, m, 1).records)
	}
}
