package spool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"satchel/internal/fsx/fsxtest"
)

// bubbled are options with the clock of the bubble.
func bubbled(t testing.TB) (*fsxtest.FS, Options) {
	t.Helper()
	m := newDisk(t)
	o := options(m)
	o.Now = time.Now
	return m, o
}

// tail reads From in a goroutine.
type tail struct {
	got  chan record
	end  chan error // what ended it
	stop context.CancelCauseFunc
}

func newTail(t testing.TB, l *Log, seq uint64) *tail {
	ctx, cancel := context.WithCancelCause(t.Context())
	r := &tail{got: make(chan record, 1000), end: make(chan error, 1), stop: cancel}
	go func() {
		var c contents
		for f, err := range l.From(ctx, seq) {
			n := len(c.records)
			c.take(f, err)
			if len(c.records) > n {
				r.got <- c.records[n]
			}
		}
		r.end <- c.err
	}()
	return r
}

// all takes what was read so far.
func (r *tail) all() []record {
	var out []record
	for {
		select {
		case x := <-r.got:
			out = append(out, x)
		default:
			return out
		}
	}
}

func TestFromWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, o := bubbled(t)
		o.SegmentBytes = 300
		l := mustDir(t, dir, o)
		r, second := newTail(t, l, 1), newTail(t, l, 3)
		synctest.Wait()
		idle := m.Total()
		time.Sleep(time.Hour)
		synctest.Wait()
		if m.Total() != idle || len(r.all()) > 0 {
			t.Error("works while nothing happens")
		}

		// A record nobody syncs arrives after SyncTail, durable.
		want := []record{add(t, l, 1, []byte("one")), add(t, l, 1, []byte("two"))}
		time.Sleep(defaultSyncTail - 1)
		synctest.Wait()
		if got := r.all(); len(got) > 0 {
			t.Errorf("%v before it is durable", got)
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		same(t, "after SyncTail", want, r.all())
		if l.Durable() != 2 {
			t.Errorf("durable %d", l.Durable())
		}

		// A synced one arrives at once.
		more := addMany(t, l, 10, 200)
		synctest.Wait()
		same(t, "after Sync", more, r.all())
		same(t, "from 3", more, second.all())

		// Ends.
		gone := errors.New("gone")
		second.stop(gone)
		if err := <-second.end; !errors.Is(err, gone) {
			t.Error(err)
		}
		mustClose(t, l)
		if err := <-r.end; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// TestFromBatches: a reader that waits makes one sync for all records of its delay, not one for each.
func TestFromBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, o := bubbled(t)
		l := mustDir(t, dir, o)
		r := newTail(t, l, 1)
		synctest.Wait()
		before := m.Count(fsxtest.OpSync)
		var want []record
		for range 100 {
			want = append(want, add(t, l, 1, []byte("x")))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		same(t, "tail", want, r.all())
		if n := m.Count(fsxtest.OpSync) - before; n > 6 {
			t.Errorf("%d syncs for 100 records in 100 ms, SyncTail is 20 ms", n)
		}
		mustClose(t, l)
		<-r.end
	})
}

// TestFromDeadDisk: a reader does not wait on a log that has failed.
func TestFromFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, o := bubbled(t)
		l := mustDir(t, dir, o)
		want := addMany(t, l, 2, 50)
		r := newTail(t, l, 1)
		m.Limit(l.Size())
		want = append(want, add(t, l, 1, []byte("later")))
		time.Sleep(time.Minute)
		synctest.Wait()
		same(t, "while full", want[:2], r.all())
		if n := m.Count(fsxtest.OpWrite); n > 100 {
			t.Errorf("%d writes tried in a minute", n)
		}
		m.Limit(-1)
		time.Sleep(askAgain)
		synctest.Wait()
		same(t, "with room", want[2:], r.all())
		mustClose(t, l)
		<-r.end
	})
}

// blocker counts what Blocked says.
type blocker struct{ said []string }

func (b *blocker) say(reason string) { b.said = append(b.said, reason) }

// appending appends in a goroutine and returns where the result comes.
func appending(ctx context.Context, l *Log, n int) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := l.Append(ctx, 1, make([]byte, n))
		done <- err
	}()
	return done
}

// waits tells that nothing came so far.
func waits(t *testing.T, what string, done <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		t.Fatalf("%s: does not wait: %v", what, err)
	default:
	}
}

func TestQuotaBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, o := bubbled(t)
		var b blocker
		o.MaxBytes, o.SegmentBytes, o.Blocked = 1700, 500, b.say
		o.KeepAckedFor = time.Hour
		l := mustDir(t, dir, o)
		for range 3 {
			addMany(t, l, 1, 1) // small ones to acknowledge
			add(t, l, 1, make([]byte, 350))
		}
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		first, second := appending(t.Context(), l, 350), appending(t.Context(), l, 350)
		waits(t, "first", first)
		waits(t, "second", second)
		time.Sleep(time.Hour)
		waits(t, "first after an hour", first)
		if len(b.said) != 1 || !strings.Contains(b.said[0], "1700 bytes") {
			t.Errorf("said %q", b.said)
		}

		// One that has no patience.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := <-appending(ctx, l, 350); !errors.Is(err, ErrFull) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}

		// Acknowledged segments make room, although they are to be kept for an hour.
		if err := l.Ack(4); err != nil {
			t.Fatal(err)
		}
		for _, done := range []<-chan error{first, second} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if len(b.said) != 1 {
			t.Errorf("said %q", b.said)
		}
		onDisk := int64(0)
		for _, n := range segmentFiles(t, m, dir) {
			onDisk += int64(len(read(t, m, n)))
		}
		if onDisk > o.MaxBytes || l.Size() > o.MaxBytes {
			t.Errorf("%d bytes on disk, size %d", onDisk, l.Size())
		}

		// The next time it is said again, and Close ends the waiting.
		third := appending(t.Context(), l, 900)
		waits(t, "third", third)
		if len(b.said) != 2 {
			t.Errorf("said %q", b.said)
		}
		mustClose(t, l)
		if err := <-third; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// TestQuotaDrained fills a spool, acknowledges everything, and fills it again, many times: it must never get stuck
// with a segment that is drained and still open.
func TestQuotaDrained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, o := bubbled(t)
		o.MaxBytes = 1000 // far less than a segment
		l := mustDir(t, dir, o)
		for i := range 20 {
			add(t, l, 1, make([]byte, 700))
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := l.Ack(uint64(i + 1)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Append(t.Context(), 1, make([]byte, 1000)); !errors.Is(err, ErrTooLarge) {
			t.Error(err)
		}
		mustClose(t, l)
	})
}

func TestFreeSpaceFloor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, o := bubbled(t)
		var b blocker
		o.MinFreeBytes, o.Blocked = 5000, b.say
		m.Limit(10000)
		write(t, m, "/other", make([]byte, 1000))
		l := mustDir(t, dir, o)
		done := make(chan error, 1)
		appended := 0
		go func() {
			for {
				if _, err := l.Append(t.Context(), 1, make([]byte, 300)); err != nil {
					done <- err
					return
				}
				appended++
			}
		}()
		waits(t, "at the floor", done)
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		if free, _ := m.Free(dir); free < 5000 || free > 5500 {
			t.Errorf("%d bytes free", free)
		}
		if len(b.said) != 1 || !strings.Contains(b.said[0], "5000 are to be left") {
			t.Errorf("said %q", b.said)
		}
		n := appended
		write(t, m, "/other", nil)
		time.Sleep(2 * askAgain)
		waits(t, "at the floor again", done)
		if appended != n+3 {
			t.Errorf("%d more records in 1000 bytes", appended-n)
		}
		mustClose(t, l)
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// TestDirNoSpace fills the disk under a log without limits: Append waits, and nothing accepted is lost.
func TestDirNoSpace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, o := bubbled(t)
		var b blocker
		o.Blocked, o.SegmentBytes = b.say, 1000
		l := mustDir(t, dir, o)
		want := addMany(t, l, 10, 100)
		m.Limit(l.Size() + 700)
		done := make(chan error, 1)
		go func() {
			for i := range 40 {
				seq, err := l.Append(t.Context(), 1, body(i, 200))
				if err != nil {
					done <- err
					return
				}
				want = append(want, record{seq, 1, string(body(i, 200))})
			}
			done <- nil
		}()
		waits(t, "on the full disk", done)
		if err := l.Sync(); !errors.Is(err, ErrFull) {
			t.Errorf("Sync: %v", err)
		}
		time.Sleep(10 * time.Second)
		waits(t, "on the full disk", done)
		if len(b.said) != 1 || !strings.Contains(b.said[0], "disk is full") {
			t.Errorf("said %q", b.said)
		}
		m.Limit(-1)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		mustClose(t, l)
		m.Crash(nil)
		c := readDir(t, m, 1)
		same(t, "after the crash", want, c.records)
		if len(c.damage) > 0 || len(b.said) != 1 {
			t.Errorf("damage %v, said %q", c.damage, b.said)
		}
	})
}

func TestSyncEvery(t *testing.T) {
	t.Parallel()
	for _, open := range []func(*testing.T, Options) *Log{
		func(t *testing.T, o Options) *Log { return mustFile(t, file, o) },
		func(t *testing.T, o Options) *Log { return mustDir(t, dir, o) },
	} {
		synctest.Test(t, func(t *testing.T) {
			m, o := bubbled(t)
			o.SyncEvery = time.Second
			l := open(t, o)
			time.Sleep(100 * time.Millisecond)
			add(t, l, 1, nil)
			time.Sleep(time.Second)
			synctest.Wait()
			if l.Durable() != 1 {
				t.Errorf("durable %d after a second", l.Durable())
			}
			n := m.Count(fsxtest.OpSync)
			time.Sleep(time.Minute)
			synctest.Wait()
			if m.Count(fsxtest.OpSync) != n {
				t.Error("syncs with nothing to sync")
			}
			mustClose(t, l)
		})
	}
}

// TestSyncBytes: many bytes are synced before their time, and a directory keeps no more than twice that in memory.
func TestSyncBytes(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			_, o := bubbled(t)
			o.SyncEvery, o.SyncBytes = every, 1000
			l := mustDir(t, dir, o)
			for range 50 {
				add(t, l, 1, make([]byte, 100))
				synctest.Wait()
				l.mu.Lock()
				unsync := l.unsync
				l.mu.Unlock()
				if unsync > 1000+200 {
					t.Fatalf("%d bytes not synced", unsync)
				}
			}
			if l.Durable() < 40 {
				t.Errorf("durable %d", l.Durable())
			}
			mustClose(t, l)
		})
	}
}

func TestKeepAcked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		bytes int64
		dur   time.Duration
		// how many of six segments are left after everything was acknowledged, at once, after an hour, and after
		// opening again a day later
		now, hour, day int
	}{
		{"nothing", 0, 0, 1, 1, 1},
		{"bytes", 1000, 0, 2, 2, 2},
		{"time", 0, time.Hour, 6, 1, 1},
		{"whichever comes first", 1000, time.Hour, 2, 1, 1},
		{"long enough", 1 << 30, 12 * time.Hour, 6, 6, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, o := bubbled(t)
				o.SegmentBytes, o.SyncEvery = 400, time.Second
				o.KeepAckedBytes, o.KeepAckedFor = tt.bytes, tt.dur
				l := mustDir(t, dir, o)
				for range 6 {
					add(t, l, 1, make([]byte, 300))
				}
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				if err := l.Ack(6); err != nil {
					t.Fatal(err)
				}
				left := func(when string, want int) {
					t.Helper()
					synctest.Wait()
					names := segmentFiles(t, m, dir)
					if len(names) != want {
						t.Errorf("%s: %d segments left, want %d: %v", when, len(names), want, names)
					}
					c := stored(t, l, 1)
					missing := 6 - len(c.records)
					if missing > 0 && (len(c.gaps) != 1 || c.gaps[0] != GapError{1, uint64(missing), true}) {
						t.Errorf("%s: gaps %v, %d records missing", when, c.gaps, missing)
					}
				}
				left("at once", tt.now)
				time.Sleep(time.Hour + 2*time.Second)
				left("after an hour", tt.hour)
				mustClose(t, l)
				time.Sleep(24 * time.Hour)
				l = mustDir(t, dir, o)
				time.Sleep(2 * time.Second)
				left("after a day", tt.day)
				if l.LastSeq() != 6 || l.Acked() != 6 {
					t.Errorf("last %d, acknowledged %d", l.LastSeq(), l.Acked())
				}
				mustClose(t, l)
			})
		})
	}
}
