package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"satchel/internal/fsx/fsxtest"
)

var errIO = errors.New("input/output error")

// model is what a test knows of a log that crashes.
type model struct {
	t        *rapid.T
	disk     *fsxtest.FS
	o        Options
	open     func() (*Log, error)
	l        *Log
	accepted map[uint64]record // the last record that got this number
	safe     uint64            // highest number that a good Sync covered
	acked    uint64
	appended int
}

// append appends a record.
func (m *model) append() {
	m.appended++
	b := body(m.appended, 200)
	seq, err := m.l.Append(m.t.Context(), 3, b)
	if seq == 0 {
		m.t.Fatal("append:", err)
	}
	if seq <= m.safe {
		m.t.Fatalf("number %d is given again, %d was safe", seq, m.safe)
	}
	m.accepted[seq] = record{seq, 3, string(b)}
}

// sync syncs and notes what is safe.
func (m *model) sync() error {
	last := m.l.LastSeq()
	err := m.l.Sync()
	if err == nil {
		m.safe = max(m.safe, last)
		if m.l.Durable() < m.safe {
			m.t.Fatalf("synced to %d, durable is %d", m.safe, m.l.Durable())
		}
	}
	return err
}

// check reads everything and compares. After the log was opened again, what is gone then need not come back.
func (m *model) check(reopened bool) {
	c := stored(m.t, m.l, 0)
	if c.err != nil {
		m.t.Fatal(c.err)
	}
	found := map[uint64]bool{}
	last := uint64(0)
	for _, r := range c.records {
		if want := m.accepted[r.Seq]; r != want {
			m.t.Fatalf("invented %v, accepted was %v", r, want)
		}
		if r.Seq <= last {
			m.t.Fatalf("%d behind %d", r.Seq, last)
		}
		last = r.Seq
		found[r.Seq] = true
	}
	for seq := range m.accepted {
		if seq > m.acked && seq <= m.safe && !found[seq] {
			m.t.Fatalf("record %d was synced and is gone: found %v, gaps %v, damage %v", seq, c.records, c.gaps, c.damage)
		}
		if seq > m.safe && !found[seq] && reopened {
			delete(m.accepted, seq)
		}
	}
	for _, g := range c.gaps {
		for seq := g.First; seq <= g.Last; seq++ {
			if found[seq] {
				m.t.Fatalf("gap %v, but %d is there", g, seq)
			}
		}
		if g.Deleted && g.Last > m.acked {
			m.t.Fatalf("gap %v is said to be acknowledged, only %d are", g, m.acked)
		}
	}
}

// reopen opens the log again after what happened to the disk. What was not safe may be there or not; where it is not,
// its number may come again.
func (m *model) reopen() {
	m.disk.Inject(nil)
	l, err := m.open()
	if err != nil {
		m.t.Fatal("open again:", err)
	}
	if l.LastSeq() < m.safe {
		m.t.Fatalf("opens with %d, %d was safe", l.LastSeq(), m.safe)
	}
	m.l = l
	if err := m.l.Sync(); err != nil {
		m.t.Fatal(err)
	}
	m.check(true)
}

// seeded draws a source for the crash, or none for the worst one.
func seeded(t *rapid.T) *rand.Rand {
	seed := rapid.Uint64Range(0, 1<<32).Draw(t, "seed")
	if seed%4 == 0 {
		return nil
	}
	return rand.New(rand.NewPCG(seed, 1))
}

// TestCrash does anything in any order, with power losses, kills and single I/O errors between, and looks after each
// one whether every synced record is there and nothing else.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, form := range []Form{FormFile, FormSegment} {
		t.Run(fmt.Sprint("form", form), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) { crashes(t, rt, form) })
		})
	}
}

func crashes(t *testing.T, rt *rapid.T, form Form) {
	m := &model{t: rt, disk: newDisk(t), accepted: map[uint64]record{}}
	m.o = options(m.disk)
	m.o.Rand = randomness(rapid.Uint64().Draw(rt, "randomness"))
	m.o.SegmentBytes = rapid.SampledFrom([]int64{1, 600, 5000}).Draw(rt, "segment")
	m.o.BufferBytes = rapid.SampledFrom([]int{1, 300, 5000}).Draw(rt, "buffer")
	m.o.KeepAckedBytes = rapid.SampledFrom([]int64{0, 700}).Draw(rt, "keep")
	m.open = func() (*Log, error) {
		if form == FormFile {
			return OpenFile(file, m.o)
		}
		return OpenDir(dir, m.o)
	}
	m.reopen()
	rt.Repeat(map[string]func(*rapid.T){
		"append": func(*rapid.T) { m.append() },
		"burst": func(*rapid.T) {
			for range 5 {
				m.append()
			}
		},
		"sync": func(*rapid.T) {
			if err := m.sync(); err != nil {
				rt.Fatal(err)
			}
			m.check(false)
		},
		"power loss": func(*rapid.T) {
			m.disk.Crash(seeded(rt))
			m.reopen()
		},
		"kill": func(*rapid.T) {
			m.disk.Kill()
			m.reopen()
		},
		"close": func(*rapid.T) {
			last := m.l.LastSeq()
			if err := m.l.Close(); err != nil && !errors.Is(err, errIO) {
				rt.Fatal(err)
			}
			m.safe = max(m.safe, last)
			m.reopen()
		},
		"ack": func(*rapid.T) {
			if form == FormFile {
				return
			}
			n := rapid.Uint64Range(0, m.l.Durable()).Draw(rt, "through")
			if err := m.l.Ack(n); err != nil && !errors.Is(err, errIO) { // it may not be saved: that costs sending again
				rt.Fatal(err)
			}
			m.acked = max(m.acked, n)
			m.check(false)
		},
		"error": func(*rapid.T) {
			op := rapid.SampledFrom([]fsxtest.Op{fsxtest.OpWrite, fsxtest.OpSync, fsxtest.OpCreate, fsxtest.OpSyncDir}).Draw(rt, "op")
			m.disk.Inject(fsxtest.FailNth(op, m.disk.Count(op)+rapid.IntRange(1, 3).Draw(rt, "nth"), errIO))
			if form == FormSegment {
				return // it must not matter
			}
			// A file fails for good, so the process ends.
			for range 5 {
				m.appended++
				b := body(m.appended, 200)
				if seq, _ := m.l.Append(rt.Context(), 3, b); seq > 0 {
					m.accepted[seq] = record{seq, 3, string(b)}
				}
				_ = m.sync()
			}
			m.disk.Crash(seeded(rt))
			m.reopen()
		},
	})
}

// TestDirFaults fails every single write, sync, creation, directory sync and removal of a directory in turn: the log
// must go on as if nothing had been, and after a loss of power every record is there that was synced.
func TestDirFaults(t *testing.T) {
	t.Parallel()
	for _, op := range []fsxtest.Op{fsxtest.OpWrite, fsxtest.OpSync, fsxtest.OpCreate, fsxtest.OpSyncDir, fsxtest.OpRemove} {
		for n := 1; ; n++ {
			m := newDisk(t)
			o := options(m)
			o.SegmentBytes = 500
			l := mustDir(t, dir, o)
			before := m.Count(op)
			m.Inject(fsxtest.FailNth(op, before+n, errIO))
			var want []record
			acked := uint64(0)
			for i := range 24 {
				want = append(want, add(t, l, 1, body(i+1, 120)))
				if i%4 == 3 {
					if err := l.Sync(); err != nil {
						t.Fatalf("%s %d: %v", op, n, err)
					}
					same(t, "stored", want, stored(t, l, acked+1).records)
				}
				if i%8 == 7 {
					acked = uint64(i - 3)
					// The ack file can fail: then the acknowledgement is not saved, and Ack says so.
					if err := l.Ack(acked); err != nil && !errors.Is(err, errIO) {
						t.Fatalf("%s %d: %v", op, n, err)
					}
					want = without(want, func(r record) bool { return r.Seq <= acked })
				}
			}
			hit := m.Count(op) >= before+n
			m.Crash(nil)
			l = mustDir(t, dir, o)
			got := stored(t, l, acked+1)
			same(t, fmt.Sprintf("%s %d: after the crash", op, n), want, got.records)
			if len(got.gaps)+len(got.damage) > 0 {
				t.Fatalf("%s %d: gaps %v, damage %v", op, n, got.gaps, got.damage)
			}
			if l.LastSeq() != 24 {
				t.Fatalf("%s %d: goes on behind %d", op, n, l.LastSeq())
			}
			mustClose(t, l)
			if !hit {
				if n == 1 {
					t.Fatalf("%s was never called", op)
				}
				break
			}
		}
	}
}

// TestDirDeadDisk: on a disk where every sync fails the error is final, and nobody waits for ever.
func TestDirDeadDisk(t *testing.T) {
	t.Parallel()
	for _, op := range []fsxtest.Op{fsxtest.OpWrite, fsxtest.OpSync, fsxtest.OpCreate, fsxtest.OpSyncDir} {
		m := newDisk(t)
		l := mustDir(t, dir, options(m))
		want := addMany(t, l, 3, 100)
		m.Inject(fsxtest.FailFrom(op, 1, errIO))
		if op == fsxtest.OpCreate || op == fsxtest.OpSyncDir {
			m.Inject(func(c fsxtest.Call) *fsxtest.Fault { // a new segment is needed
				if c.Op == fsxtest.OpSync && c.Name == dir+"/"+segmentName(1) || c.Op == op {
					return &fsxtest.Fault{Err: errIO}
				}
				return nil
			})
		}
		add(t, l, 1, nil)
		for range 2 {
			if err := l.Sync(); !errors.Is(err, errIO) {
				t.Errorf("%s: Sync: %v", op, err)
			}
		}
		if _, err := l.Append(t.Context(), 1, nil); !errors.Is(err, errIO) {
			t.Errorf("%s: Append: %v", op, err)
		}
		same(t, "what was durable", want, stored(t, l, 1).records)
		var last error
		for _, err := range l.From(t.Context(), 4) {
			last = err
		}
		if !errors.Is(last, errIO) {
			t.Errorf("%s: From ends with %v", op, last)
		}
		if err := l.Close(); !errors.Is(err, errIO) {
			t.Errorf("%s: Close: %v", op, err)
		}
		m.Crash(nil)
		l = mustDir(t, dir, options(m))
		same(t, "after the crash", want, stored(t, l, 1).records)
		mustClose(t, l)
	}
}

// TestDirLostPages has a sync fail whose bytes the kernel drops, as Linux does: a log that believed the next sync would
// lose them.
func TestDirLostPages(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	l := mustDir(t, dir, options(m))
	want := addMany(t, l, 3, 100)
	m.Inject(fsxtest.FailNth(fsxtest.OpSync, m.Count(fsxtest.OpSync)+1, errIO))
	want = append(want, addMany(t, l, 3, 100)...)
	if n := len(segmentFiles(t, m, dir)); n != 2 {
		t.Errorf("%d segments, want a second one", n)
	}
	want = append(want, addMany(t, l, 3, 100)...)
	m.Crash(nil)
	c := readDir(t, m, 1)
	if !slices.Equal(c.records, want) || len(c.damage)+len(c.gaps) > 0 {
		t.Errorf("%v", c)
	}
}
