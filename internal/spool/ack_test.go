package spool

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"satchel/internal/fsx/fsxtest"
)

func TestAck(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	o := options(m)
	o.SegmentBytes = 400
	l := mustDir(t, dir, o)
	want := addMany(t, l, 12, 200)
	want = append(want, add(t, l, 1, nil))
	if err := l.Ack(13); !errors.Is(err, ErrAhead) {
		t.Errorf("a record that is not durable: %v", err)
	}
	if err := l.Ack(99); !errors.Is(err, ErrAhead) {
		t.Errorf("a record that is not there: %v", err)
	}
	if err := l.Ack(5); err != nil {
		t.Fatal(err)
	}
	if err := l.Ack(3); err != nil || l.Acked() != 5 {
		t.Errorf("acknowledged %d after going back: %v", l.Acked(), err)
	}
	c := stored(t, l, 6)
	same(t, "what is not acknowledged", want[5:], c.records)
	if len(c.gaps) > 0 {
		t.Errorf("gaps %v", c.gaps)
	}
	c = stored(t, l, 1)
	if len(c.gaps) != 1 || !c.gaps[0].Deleted || c.gaps[0].First != 1 || c.gaps[0].Last > 5 {
		t.Errorf("gaps %v", c.gaps)
	}
	mustClose(t, l)

	l = mustDir(t, dir, o)
	if l.Acked() != 5 || l.LastSeq() != 13 {
		t.Errorf("opened again: acknowledged %d, last %d", l.Acked(), l.LastSeq())
	}
	l.o.SegmentBytes = 1 // so that it is worth while
	if err := l.Ack(13); err != nil {
		t.Fatal(err)
	}
	if n := segmentFiles(t, m, dir); len(n) != 1 || len(read(t, m, n[0])) != headerFixed+headerSum {
		t.Errorf("drained, and left are %v", n)
	}
	if l.Size() != headerFixed+headerSum {
		t.Errorf("size %d", l.Size())
	}
	if seq := add(t, l, 1, nil).Seq; seq != 14 {
		t.Errorf("goes on with %d", seq)
	}
	mustClose(t, l)
}

// TestAckNumbersSurvive drains a log and crashes: the numbers go on, even if the ack file is damaged or lost.
func TestAckNumbersSurvive(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"whole", "ack lost", "ack damaged", "ack empty", "segment lost", "segment damaged"} {
		m := newDisk(t)
		o := options(m)
		o.SegmentBytes = 1
		l := mustDir(t, dir, o)
		addMany(t, l, 12, 200)
		if err := l.Ack(12); err != nil {
			t.Fatal(err)
		}
		head := l.Head()
		if err := m.SyncDir(dir); err != nil { // the deletions, which need not be durable
			t.Fatal(err)
		}
		m.Crash(nil)
		segment := segmentFiles(t, m, dir)[0]
		damaged := 0
		switch ack := filepath.Join(dir, ackName); what {
		case "ack lost":
			if err := m.Remove(ack); err != nil {
				t.Fatal(err)
			}
		case "ack damaged":
			b := read(t, m, ack)
			b[30] ^= 1
			write(t, m, ack, b)
			damaged = 1
		case "ack empty":
			write(t, m, ack, nil)
			damaged = 1
		case "segment lost":
			if err := m.Remove(segment); err != nil {
				t.Fatal(err)
			}
		case "segment damaged":
			b := read(t, m, segment)
			b[30] ^= 1
			write(t, m, segment, b)
			damaged = 1
		}
		l = mustDir(t, dir, o)
		if l.LastSeq() != 12 || l.Durable() != 12 || len(l.Damage()) != damaged {
			t.Errorf("%s: last %d, durable %d, damage %v", what, l.LastSeq(), l.Durable(), l.Damage())
		}
		if what != "ack lost" && l.Acked() != 12 {
			t.Errorf("%s: acknowledged %d", what, l.Acked())
		}
		if intact := damaged == 0 && what != "segment lost" || what == "ack damaged"; intact && l.Head() != head {
			t.Errorf("%s: head %v, want %v", what, l.Head(), head)
		}
		want := addMany(t, l, 2, 50)
		if want[0].Seq != 13 {
			t.Errorf("%s: goes on with %d", what, want[0].Seq)
		}
		same(t, what, want, stored(t, l, 13).records)
		if err := l.Ack(14); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		mustClose(t, l)
	}
}

// TestAckIsSavedInTime: an acknowledgement that deletes nothing is written once a second, not each time.
func TestAckIsSavedInTime(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	o := options(m)
	now := epoch
	o.Now = func() time.Time { return now }
	l := mustDir(t, dir, o)
	addMany(t, l, 100, 20)
	saved := func() int { return m.Count(fsxtest.OpRename) }
	start := saved()
	for i := range 50 {
		if err := l.Ack(uint64(i + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if n := saved() - start; n != 1 { // the first one, because there was none before
		t.Errorf("saved %d times in no time", n)
	}
	now = now.Add(2 * time.Second)
	if err := l.Ack(60); err != nil {
		t.Fatal(err)
	}
	if n := saved() - start; n != 2 {
		t.Errorf("saved %d times", n)
	}
	if err := l.Ack(70); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	l = mustDir(t, dir, o)
	if l.Acked() != 70 {
		t.Errorf("opened again: acknowledged %d", l.Acked())
	}
	mustClose(t, l)
}

// TestAckUndeletable: a segment that cannot be deleted counts as used and is tried again.
func TestAckUndeletable(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	o := options(m)
	o.SegmentBytes = 1
	l := mustDir(t, dir, o)
	addMany(t, l, 12, 200)
	size := l.Size()
	m.Inject(fsxtest.FailFrom(fsxtest.OpRemove, 1, errors.New("a reader has it open")))
	if err := l.Ack(12); err != nil {
		t.Fatal(err)
	}
	if l.Size() < size {
		t.Errorf("size %d, before %d", l.Size(), size)
	}
	if c := stored(t, l, 1); len(c.records) > 0 || len(c.gaps) != 1 {
		t.Errorf("%v", c)
	}
	m.Inject(nil)
	addMany(t, l, 1, 1)
	if err := l.Ack(13); err != nil {
		t.Fatal(err)
	}
	if n := segmentFiles(t, m, dir); len(n) != 1 || l.Size() > 200 {
		t.Errorf("left are %v, size %d", n, l.Size())
	}
	mustClose(t, l)
}

// TestReaderBesideAck: a reader that stands in a segment that is deleted reads on and sees no gap.
func TestReaderBesideAck(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	o := options(m)
	o.SegmentBytes = 1000
	l := mustDir(t, dir, o)
	want := addMany(t, l, 30, 200)
	var c contents
	for f, err := range l.Stored(t.Context(), 1) {
		c.take(f, err)
		if n := len(c.records); n > 0 {
			if err := l.Ack(c.records[n-1].Seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, "read", want, c.records)
	if len(c.gaps)+len(c.damage) > 0 || c.err != nil {
		t.Error(c.gaps, c.damage, c.err)
	}
	mustClose(t, l)
}

func TestAckFile(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(0, rapid.Int64().Draw(t, "ns")).UTC() })
		a := ackState{
			through: rapid.Uint64Range(0, 1<<63-1).Draw(t, "through"), last: rapid.Uint64Range(0, 1<<63-1).Draw(t, "last"), at: times.Draw(t, "at"),
			kept: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) keptSegment {
				return keptSegment{rapid.Uint64().Draw(t, "segment"), times.Draw(t, "at")}
			}), 0, 5).Draw(t, "kept"),
		}
		b, err := a.encode()
		if err != nil || len(b) > maxAck {
			t.Fatal(len(b), err)
		}
		got, err := parseAck(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(a, got, cmp.AllowUnexported(ackState{}, keptSegment{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		for _, b := range [][]byte{append(slices.Clone(b), 0), b[:len(b)-1], nil} {
			if _, err := parseAck(b); !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
		}
	})
}
