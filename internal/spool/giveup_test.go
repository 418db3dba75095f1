package spool

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"satchel/internal/frame"
	"satchel/internal/fsx/fsxtest"
)

// segmentSpec is a segment written down.
type segmentSpec struct {
	number, first uint64
	mark          uint16
	records       []record
}

// write writes the segment into the directory.
func (s segmentSpec) write(t testing.TB, m *fsxtest.FS) {
	t.Helper()
	b, err := Header{Form: FormSegment, Mark: s.mark, Segment: s.number, First: s.first, Created: epoch}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.records {
		if b, err = frame.Append(b, frame.Frame{Kind: r.Kind, Mark: s.mark, Seq: r.Seq, Body: []byte(r.Body)}); err != nil {
			t.Fatal(err)
		}
	}
	write(t, m, filepath.Join(dir, segmentName(s.number)), b)
}

// TestLaterSegmentRules reads directories in which segments overlap, as failed syncs and crashes leave them.
func TestLaterSegmentRules(t *testing.T) {
	t.Parallel()
	rec := func(seq uint64, body string) record { return record{seq, 1, body} }
	tests := []struct {
		name string
		segs []segmentSpec
		want []record
		gaps []GapError
	}{
		{"the end was given up", []segmentSpec{
			{1, 1, 10, []record{rec(1, "a"), rec(2, "b"), rec(3, "stale"), rec(4, "stale")}},
			{2, 3, 11, []record{rec(3, "c"), rec(4, "d")}},
		}, []record{rec(1, "a"), rec(2, "b"), rec(3, "c"), rec(4, "d")}, nil},
		{"two were given up", []segmentSpec{
			{1, 1, 10, []record{rec(1, "a"), rec(2, "stale")}},
			{2, 3, 11, []record{rec(3, "stale")}},
			{5, 2, 12, []record{rec(2, "b"), rec(3, "c")}},
		}, []record{rec(1, "a"), rec(2, "b"), rec(3, "c")}, nil},
		{"and what followed was lost", []segmentSpec{
			{1, 1, 10, []record{rec(1, "a"), rec(2, "stale"), rec(3, "stale")}},
			{2, 2, 11, nil},
			{3, 3, 12, []record{rec(3, "c")}},
		}, []record{rec(1, "a"), rec(3, "c")}, []GapError{{First: 2, Last: 2}}},
		{"nothing but headers", []segmentSpec{{1, 5, 10, nil}, {2, 5, 11, nil}}, nil, []GapError{{First: 1, Last: 4}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newDisk(t)
			for _, s := range tt.segs {
				s.write(t, m)
			}
			c := readDir(t, m, 1)
			same(t, "ReadDir", tt.want, c.records)
			if !slices.Equal(c.gaps, tt.gaps) || len(c.damage) > 0 {
				t.Errorf("gaps %v, want %v; damage %v", c.gaps, tt.gaps, c.damage)
			}
			l := mustDir(t, dir, options(m))
			c = stored(t, l, 1)
			same(t, "Stored", tt.want, c.records)
			if !slices.Equal(c.gaps, tt.gaps) {
				t.Errorf("gaps %v, want %v", c.gaps, tt.gaps)
			}
			mustClose(t, l)
		})
	}
}

// TestGivenUpWhileSyncing: a segment is given up by one goroutine while another one syncs it, successfully. That sync
// must not count: the records are on their way to another segment, and this one will be deleted.
func TestGivenUpWhileSyncing(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	l := mustDir(t, dir, options(m))
	want := []record{add(t, l, 1, []byte("first"))}
	entered, release := make(chan struct{}), make(chan struct{})
	m.Inject(func(c fsxtest.Call) *fsxtest.Fault {
		switch {
		case c.Op == fsxtest.OpSyncDir && entered != nil: // the content is synced already
			close(entered)
			entered = nil
			<-release
		case c.Op == fsxtest.OpWrite && c.Bytes > 1000:
			m.Inject(nil)
			return &fsxtest.Fault{Err: errIO}
		}
		return nil
	})
	inside := entered
	done := make(chan error)
	go func() { done <- l.Sync() }()
	<-inside
	want = append(want, add(t, l, 1, make([]byte, 2000))) // fails to be written
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := l.tidy(false); err != nil {
		t.Fatal(err)
	}
	m.Crash(nil)
	c := readDir(t, m, 1)
	if len(c.records) == 0 || c.records[0] != want[0] {
		t.Errorf("after the crash %v, want at least %v", c.records, want[0])
	}
}

// TestFailedSyncOfTheAckFile: the sync of the directory that fails was for the ack file, but the name of a new segment is
// lost with it.
func TestFailedSyncOfTheAckFile(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	o := options(m)
	o.SegmentBytes, o.BufferBytes = 200, 1
	l := mustDir(t, dir, o)
	want := addMany(t, l, 2, 10)
	want = append(want, add(t, l, 1, make([]byte, 150))) // in a new segment, written and not synced
	if n := len(segmentFiles(t, m, dir)); n != 2 {
		t.Fatalf("%d segments", n)
	}
	m.Inject(fsxtest.FailNth(fsxtest.OpSyncDir, m.Count(fsxtest.OpSyncDir)+1, errIO))
	if err := l.Ack(1); err == nil {
		t.Error("Ack says nothing")
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	m.Crash(nil)
	same(t, "after the crash", want, readDir(t, m, 1).records)
}

// TestDamageUnderReader spoils the newest record on disk under a reader that waits: it is told, and the reader goes on.
func TestDamageUnderReader(t *testing.T) {
	t.Parallel()
	for _, form := range []Form{FormFile, FormSegment} {
		m := newDisk(t)
		l := mustDir(t, dir, options(m))
		name := filepath.Join(dir, segmentName(1))
		if form == FormFile {
			l, name = mustFile(t, file, options(m)), file
		}
		want := addMany(t, l, 3, 50)
		f, err := m.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("spoiled"), l.Size()-5); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		c := contents{}
		for f, err := range l.From(ctx, 1) {
			c.take(f, err)
			switch {
			case len(c.gaps) == 1 && l.LastSeq() == 3:
				want = append(want[:2:2], addMany(t, l, 2, 50)...)
			case len(c.records) == 4:
				cancel()
			}
		}
		cancel()
		same(t, "read", want, c.records)
		if len(c.damage) != 1 || !slices.Equal(c.gaps, []GapError{{First: 3, Last: 3}}) || !slices.Equal(l.Damage(), c.damage) {
			t.Errorf("damage %v, gaps %v, Damage %v", c.damage, c.gaps, l.Damage())
		}
		mustClose(t, l)
	}
}

// TestAnchorIsWrittenAgain: the segment that replaces a drained one cannot be written; the numbers must not be forgotten.
func TestAnchorIsWrittenAgain(t *testing.T) {
	t.Parallel()
	for _, op := range []fsxtest.Op{fsxtest.OpWrite, fsxtest.OpSync, fsxtest.OpCreate} {
		m := newDisk(t)
		o := options(m)
		o.SegmentBytes = 1
		l := mustDir(t, dir, o)
		addMany(t, l, 3, 50)
		head := l.Head()
		m.Inject(fsxtest.FailNth(op, m.Count(op)+1, errIO))
		if err := l.Ack(3); err != nil {
			t.Fatal(err)
		}
		if l.Durable() != 3 || l.Head() != head {
			t.Errorf("%s: durable %d, head %v, want %v", op, l.Durable(), l.Head(), head)
		}
		m.Crash(nil)
		if err := m.Remove(filepath.Join(dir, ackName)); err != nil {
			t.Fatal(err)
		}
		l = mustDir(t, dir, o)
		if l.LastSeq() != 3 {
			t.Errorf("%s: goes on behind %d", op, l.LastSeq())
		}
		mustClose(t, l)
	}
}
