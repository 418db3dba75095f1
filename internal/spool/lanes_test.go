package spool

import (
	"errors"
	"testing"

	"satchel/internal/frame"
	"satchel/internal/fsx"
	"satchel/internal/fsx/fsxtest"
)

// openSpool opens a spool with lanes at /d/spool.
func openSpool(t testing.TB, m *fsxtest.FS, seed uint64) *Spool {
	t.Helper()
	o := options(m)
	o.Rand = randomness(seed)
	s, err := OpenSpool(dir, o, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSpoolLanes(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	s := openSpool(t, m, 1)
	id := s.ID()
	if id == [16]byte{} || s.Hello() != (Hello{ID: id}) {
		t.Errorf("new spool: %+v", s.Hello())
	}
	rows, bulk := addMany(t, s.Rows(), 5, 50), addMany(t, s.Bulk(), 3, 50)
	hash := func(r record) [32]byte {
		return frame.Hash(frame.Frame{Kind: r.Kind, Seq: r.Seq, Body: []byte(r.Body)})
	}
	want := Hello{ID: id, Rows: Head{5, hash(rows[4])}, Bulk: Head{3, hash(bulk[2])}}
	if s.Hello() != want {
		t.Errorf("%+v, want %+v", s.Hello(), want)
	}
	if err := s.Rows().Ack(5); err != nil {
		t.Fatal(err)
	}
	if s.Bulk().Acked() != 0 {
		t.Error("one acknowledgement for both lanes")
	}
	add(t, s.Rows(), 1, nil)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if s.Rows().Durable() != 6 {
		t.Error("Sync leaves out a lane")
	}
	want = s.Hello()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		lane Lane
		name string
	}{{LaneRows, "rows"}, {LaneBulk, "bulk"}} {
		b := read(t, m, dir+"/"+tt.name+"/"+segmentName(1))
		if h, _, err := ParseHeader(b); err != nil || h.Lane != tt.lane || h.ID != id || h.Form != FormSegment {
			t.Errorf("%s: %+v, %v", tt.name, h, err)
		}
	}

	s = openSpool(t, m, 2)
	if s.Hello() != want {
		t.Errorf("opened again: %+v, want %+v", s.Hello(), want)
	}
	if _, err := OpenSpool(dir, options(m), options(m)); !errors.Is(err, fsx.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSpoolSetBack is a virtual machine that is set back: the same numbers come again with other records, the hashes
// tell, and a new id parts them.
func TestSpoolSetBack(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	s := openSpool(t, m, 1)
	addMany(t, s.Rows(), 3, 50)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old := map[string]snapshot{"": take(t, m, dir), "rows": take(t, m, dir+"/rows"), "bulk": take(t, m, dir+"/bulk")}
	s = openSpool(t, m, 2)
	add(t, s.Rows(), 1, []byte("on the one branch"))
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	known := s.Hello()

	m = newDisk(t)
	for _, files := range old {
		for name, b := range files {
			write(t, m, name, b)
		}
	}
	s = openSpool(t, m, 3)
	more := add(t, s.Rows(), 1, []byte("on the other branch"))
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	now := s.Hello()
	if now.ID != known.ID || now.Rows.Seq != known.Rows.Seq || now.Rows.Hash == known.Rows.Hash {
		t.Errorf("cannot tell %+v from %+v", now, known)
	}
	if err := s.Renew(); err != nil {
		t.Fatal(err)
	}
	if s.ID() == known.ID || s.Hello().Rows != now.Rows {
		t.Errorf("renewed: %+v", s.Hello())
	}
	id := s.ID()
	m.Crash(nil)
	s = openSpool(t, m, 4)
	if s.ID() != id {
		t.Error("the new id is gone after a crash")
	}
	c := stored(t, s.Rows(), 4)
	same(t, "records", []record{more}, c.records)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSpoolBadID(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "xyz", "00", "00112233445566778899aabbccddeeff00\n"} {
		m := newDisk(t)
		write(t, m, dir+"/"+idName, []byte(bad))
		s := openSpool(t, m, 1)
		id := s.ID()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openSpool(t, m, 2)
		if s.ID() != id || id == [16]byte{} {
			t.Errorf("%q: id %x, then %x", bad, id, s.ID())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHead follows the head over rotation, reopening and damage.
func TestHead(t *testing.T) {
	t.Parallel()
	for _, form := range []Form{FormFile, FormSegment} {
		m := newDisk(t)
		o := options(m)
		o.SegmentBytes = 300
		open := func() *Log {
			if form == FormFile {
				return mustFile(t, file, o)
			}
			return mustDir(t, dir, o)
		}
		l := open()
		if l.Head() != (Head{}) {
			t.Errorf("form %d: empty: %v", form, l.Head())
		}
		var want Head
		for i := range 12 {
			r := addMany(t, l, 1, 150)[0]
			want = Head{r.Seq, frame.Hash(frame.Frame{Kind: r.Kind, Seq: r.Seq, Body: []byte(r.Body)})}
			if l.Head() != want {
				t.Fatalf("form %d: head %v, want %v", form, l.Head(), want)
			}
			add(t, l, 1, nil) // not durable
			if l.Head() != want {
				t.Fatalf("form %d: head of what is not durable: %v, want %v", form, l.Head(), want)
			}
			if i%4 == 3 {
				m.Crash(nil)
				l = open()
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				if l.Head() != want {
					t.Fatalf("form %d: head after a crash %v, want %v", form, l.Head(), want)
				}
			}
		}
		if form == FormSegment {
			checkChain(t, m)
		}
		mustClose(t, l)
	}
}

// checkChain checks that every segment names the record before it.
func checkChain(t *testing.T, m *fsxtest.FS) {
	t.Helper()
	hashes := map[uint64][32]byte{}
	for i, name := range segmentFiles(t, m, dir) {
		b := read(t, m, name)
		h, _, err := ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && h.Prev != hashes[h.First-1] {
			t.Errorf("segment %d: first %d, prev is %x, want %x", h.Segment, h.First, h.Prev, hashes[h.First-1])
		}
		for f, err := range ReadDir(t.Context(), m, dir, h.First) {
			if err == nil {
				hashes[f.Seq] = frame.Hash(f)
			}
		}
	}
}
