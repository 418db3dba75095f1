package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"satchel/internal/frame"
	"satchel/internal/fsx"
	"satchel/internal/fsx/fsxtest"
)

const dir = "/d/spool"

// TestDirRoundTrip appends anything in any number of runs, with segments of any size, and reads it back from any number.
func TestDirRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := newDisk(t)
		o := options(m)
		o.BufferBytes = rapid.SampledFrom([]int{1, 64, 4096}).Draw(rt, "buffer")
		o.SegmentBytes = rapid.Int64Range(1, 2000).Draw(rt, "segment")
		o.SyncBytes = rapid.SampledFrom([]int64{1, 500, 1 << 20}).Draw(rt, "sync bytes")
		var want []record
		for range rapid.IntRange(1, 3).Draw(rt, "runs") {
			l := mustDir(t, dir, o)
			for range rapid.IntRange(0, 20).Draw(rt, "records") {
				k := frame.Kind(rapid.ByteRange(1, 239).Draw(rt, "kind"))
				b := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "body")
				seq, err := l.Append(t.Context(), k, b)
				if err != nil || seq != uint64(len(want)+1) {
					rt.Fatal(seq, err)
				}
				want = append(want, record{seq, k, string(b)})
			}
			if err := l.Sync(); err != nil {
				rt.Fatal(err)
			}
			from := rapid.IntRange(0, len(want)+1).Draw(rt, "from")
			same(rt, "stored", want[min(len(want), max(0, from-1)):], stored(rt, l, uint64(from)).records)
			if l.Durable() != uint64(len(want)) || l.LastSeq() != uint64(len(want)) {
				rt.Fatal(l.Durable(), l.LastSeq())
			}
			size := l.Size()
			mustClose(t, l)
			onDisk := int64(0)
			for _, name := range segmentFiles(t, m, dir) {
				n := int64(len(read(t, m, name)))
				onDisk += n
				checkSegment(rt, read(t, m, name), o.SegmentBytes)
			}
			if onDisk != size {
				rt.Fatalf("size %d, on disk %d", size, onDisk)
			}
		}
		c := contents{}
		for f, err := range ReadDir(t.Context(), m, dir, 0) {
			c.take(f, err)
		}
		same(rt, "ReadDir", want, c.records)
		if c.err != nil || len(c.damage)+len(c.gaps) > 0 {
			rt.Fatal(c.err, c.damage, c.gaps)
		}
	})
}

// checkSegment checks that a segment holds whole frames and no more than it may, unless it holds one frame only.
func checkSegment(t *rapid.T, b []byte, limit int64) {
	s := ReadFile(bytes.NewReader(b), int64(len(b)))
	n := len(scanned(t, s))
	if len(s.Damage()) > 0 || n == 0 || n > 1 && int64(len(b)) > limit {
		t.Fatalf("segment of %d bytes, limit %d, with %d frames, damage %v", len(b), limit, n, s.Damage())
	}
}

// snapshot is the files of a directory by name.
type snapshot map[string][]byte

// take reads a directory.
func take(t testing.TB, m *fsxtest.FS, dir string) snapshot {
	t.Helper()
	entries, err := m.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := snapshot{}
	for _, e := range entries {
		if !e.IsDir() {
			s[filepath.Join(dir, e.Name())] = read(t, m, filepath.Join(dir, e.Name()))
		}
	}
	return s
}

// disk returns a file system with the files of the snapshot, of which one has other content.
func (s snapshot) disk(t testing.TB, name string, b []byte) *fsxtest.FS {
	t.Helper()
	m := newDisk(t)
	for n, c := range s {
		if n == name {
			c = b
		}
		write(t, m, n, c)
	}
	return m
}

// smallDir makes a directory of several segments from two runs.
func smallDir(t testing.TB) (snapshot, []string, []record) {
	t.Helper()
	m := newDisk(t)
	o := options(m)
	o.SegmentBytes = 250
	var want []record
	for range 2 {
		l := mustDir(t, dir, o)
		want = append(want, addMany(t, l, 5, 100)...)
		mustClose(t, l)
	}
	names := segmentFiles(t, m, dir)
	if len(names) < 4 {
		t.Fatalf("%d segments", len(names))
	}
	return take(t, m, dir), names, want
}

// at finds the record that holds the byte off of a segment.
func at(t testing.TB, b []byte, off int) (seq uint64, ok bool) {
	t.Helper()
	s := ReadFile(bytes.NewReader(b), int64(len(b)))
	for s.Next() {
		if int64(off) >= s.Offset() && int64(off) < s.Offset()+int64(frame.Size(len(s.Frame().Body))) {
			return s.Frame().Seq, true
		}
	}
	return 0, false
}

// without returns the records but those that skip names.
func without(in []record, skip func(record) bool) []record {
	return slices.DeleteFunc(slices.Clone(in), skip)
}

// readDir reads a directory as evidence.
func readDir(t testing.TB, f fsx.FS, from uint64) contents {
	t.Helper()
	c := contents{}
	for f, err := range ReadDir(t.Context(), f, dir, from) {
		c.take(f, err)
	}
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c
}

// goOnDir opens the directory of m, appends, and expects want and the new records, now and after opening again.
func goOnDir(t testing.TB, m *fsxtest.FS, want []record, first uint64) *Log {
	t.Helper()
	o := options(m)
	o.Rand = randomness(3)
	l := mustDir(t, dir, o)
	more := addMany(t, l, 2, 50)
	if more[0].Seq != first {
		t.Fatalf("went on with %d, want %d", more[0].Seq, first)
	}
	want = append(slices.Clone(want), more...)
	same(t, "after going on", want, stored(t, l, 1).records)
	mustClose(t, l)
	same(t, "after opening again", want, readDir(t, m, 1).records)
	return l
}

// TestDirFlipEveryByte flips a bit in every byte of every segment: all other records are back, the damage is told with
// segment and offset, the missing record as a gap, and the log goes on without using a number twice.
func TestDirFlipEveryByte(t *testing.T) {
	t.Parallel()
	snap, names, all := smallDir(t)
	end := all[len(all)-1].Seq
	for i, name := range names {
		for off := range snap[name] {
			b := bytes.Clone(snap[name])
			b[off] ^= 1 << (off % 8)
			m := snap.disk(t, name, b)
			seq, hit := at(t, snap[name], off)
			want := without(all, func(r record) bool { return hit && r.Seq == seq })

			c := readDir(t, m, 1)
			same(t, "ReadDir", want, c.records)
			segment := uint64(i + 1)
			if len(c.damage) != 1 || c.damage[0].Segment != segment || !covered(c.damage, int64(off)) {
				t.Fatalf("segment %d, byte %d: %v", segment, off, c.damage)
			}
			var gaps []GapError
			next := end + 1
			if hit {
				gaps = []GapError{{First: seq, Last: seq}}
			}
			if hit && seq == end && !legible(b, snap[name], off) { // nobody knows that it was there
				gaps, next = nil, end
			}
			if !slices.Equal(c.gaps, gaps) {
				t.Fatalf("segment %d, byte %d: gaps %v, want %v", segment, off, c.gaps, gaps)
			}
			l := goOnDir(t, m, want, next)
			if d := l.Damage(); len(d) != 1 || d[0] != c.damage[0] {
				t.Fatalf("segment %d, byte %d: Damage %v, want %v", segment, off, d, c.damage)
			}
		}
	}
}

// legible tells whether the header of the frame around off says in b, which is spoiled there, what it says in whole.
func legible(b, whole []byte, off int) bool {
	s := ReadFile(bytes.NewReader(whole), int64(len(whole)))
	for s.Next() {
		if end := s.Offset() + int64(frame.Size(len(s.Frame().Body))); int64(off) < end {
			h, w := b[s.Offset():], whole[s.Offset():]
			length := binary.LittleEndian.Uint32(h[16:])
			return string(h[:4]) == frame.Magic && h[4] > 0 && h[5] < 4 && bytes.Equal(h[6:16], w[6:16]) && length <= frame.MaxBody
		}
	}
	return false
}

// TestDirCutAtEveryByte cuts the last segment at every byte.
func TestDirCutAtEveryByte(t *testing.T) {
	t.Parallel()
	snap, names, all := smallDir(t)
	name := names[len(names)-1]
	for cut := range snap[name] {
		m := snap.disk(t, name, snap[name][:cut])
		c := readDir(t, m, 1)
		n := len(c.records)
		same(t, "ReadDir", all[:n], c.records)
		if seq, ok := at(t, snap[name], cut); ok && seq != uint64(n+1) {
			t.Fatalf("cut at %d, in record %d: %d records back", cut, seq, n)
		}
		next := uint64(n + 1)
		if len(c.gaps) > 0 { // the header of the torn record can be read
			if len(c.gaps) > 1 || c.gaps[0] != (GapError{First: next, Last: next}) {
				t.Fatalf("cut at %d: gaps %v", cut, c.gaps)
			}
			next++
		}
		goOnDir(t, m, c.records, next)
	}
}

// TestDirLostSegment removes a whole segment: the records are a gap with the right count.
func TestDirLostSegment(t *testing.T) {
	t.Parallel()
	snap, names, all := smallDir(t)
	for i, name := range names[1:] {
		i++
		m := snap.disk(t, "", nil)
		s := ReadFile(bytes.NewReader(snap[name]), int64(len(snap[name])))
		lost := scanned(t, s)
		if err := m.Remove(name); err != nil {
			t.Fatal(err)
		}
		c := readDir(t, m, 1)
		same(t, "ReadDir", without(all, func(r record) bool { return slices.Contains(lost, r) }), c.records)
		gap := []GapError{{First: lost[0].Seq, Last: lost[len(lost)-1].Seq}}
		if i == len(names)-1 {
			gap = nil // nothing behind it tells
		}
		if !slices.Equal(c.gaps, gap) || len(gap) > 0 && c.gaps[0].Count() != uint64(len(lost)) {
			t.Fatalf("segment %d: gaps %v, want %v", i+1, c.gaps, gap)
		}
	}
}

// TestDirRunsUseOwnSegments checks that a new run never touches what an earlier one wrote.
func TestDirRunsUseOwnSegments(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	var before snapshot
	for run := range 3 {
		l := mustDir(t, dir, options(m))
		if n := len(segmentFiles(t, m, dir)); n != run {
			t.Fatalf("opening made a segment: %d, want %d", n, run)
		}
		addMany(t, l, 1, 10)
		mustClose(t, l)
		now := take(t, m, dir)
		for name, b := range before {
			if !bytes.Equal(b, now[name]) {
				t.Errorf("run %d changed %s", run, name)
			}
		}
		before = now
	}
}

// TestDirIsLocked opens a directory twice, in the model and for real.
func TestDirIsLocked(t *testing.T) {
	t.Parallel()
	real := filepath.Join(t.TempDir(), "a", "b")
	for _, tt := range []struct {
		o   Options
		dir string
	}{{options(newDisk(t)), dir}, {Options{}, real}} {
		l := mustDir(t, tt.dir, tt.o)
		if _, err := OpenDir(tt.dir, tt.o); !errors.Is(err, fsx.ErrLocked) {
			t.Errorf("second OpenDir: %v", err)
		}
		addMany(t, l, 3, 100)
		mustClose(t, l)
		l = mustDir(t, tt.dir, tt.o)
		if c := stored(t, l, 1); len(c.records) != 3 {
			t.Error(c)
		}
		mustClose(t, l)
	}
}

// TestDirForeignFiles: files that are not segments stay out of it, a newer version is refused.
func TestDirForeignFiles(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	for _, name := range []string{"1.seg", "000000000000.seg", "-00000000001.seg", "readme", "000000000001.seg.tmp", "00000000001x.seg"} {
		write(t, m, filepath.Join(dir, name), []byte("x"))
	}
	if err := m.MkdirAll(filepath.Join(dir, "000000000009.seg"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := mustDir(t, dir, options(m))
	want := addMany(t, l, 2, 10)
	same(t, "stored", want, stored(t, l, 1).records)
	mustClose(t, l)
	if _, err := m.Stat(filepath.Join(dir, "000000000001.seg")); err != nil {
		t.Error(err)
	}

	name := filepath.Join(dir, "000000000001.seg")
	b := read(t, m, name)
	newer := reversioned(t, b, 2)
	write(t, m, name, newer)
	if _, err := OpenDir(dir, options(m)); !errors.Is(err, ErrVersion) {
		t.Errorf("OpenDir of a newer version: %v", err)
	}
	write(t, m, file, newer)
	if _, err := OpenFile(file, options(m)); !errors.Is(err, ErrVersion) {
		t.Errorf("OpenFile of a newer version: %v", err)
	}
	if got := read(t, m, file); !bytes.Equal(got, newer) {
		t.Error("refusing changed the file")
	}
}

// TestDirManyReaders reads real files from the middle of large segments.
func TestDirFromTheMiddle(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	l := mustDir(t, dir, Options{SegmentBytes: 3 << 20})
	rng := rand.New(rand.NewPCG(1, 2))
	var want []record
	for i := range 300 {
		b := bytes.Repeat([]byte{byte(i)}, rng.IntN(100_000))
		want = append(want, add(t, l, 1, b))
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, from := range []int{1, 2, 57, 150, 299, 300, 301} {
		same(t, "stored", want[from-1:], stored(t, l, uint64(from)).records)
	}
	mustClose(t, l)
	if _, err := os.Stat(filepath.Join(dir, segmentName(2))); err != nil {
		t.Error(err)
	}
}
