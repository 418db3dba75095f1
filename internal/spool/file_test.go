package spool

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"satchel/internal/frame"
	"satchel/internal/fsx/fsxtest"
)

const file = "/d/x.zip.spool"

// newDisk returns a file system with the directory /d.
func newDisk(t testing.TB) *fsxtest.FS {
	t.Helper()
	m := fsxtest.New()
	if err := m.MkdirAll("/d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestFileRoundTrip appends anything in any number of runs and reads it back live, closed and by offset.
func TestFileRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := newDisk(t)
		o := options(m)
		o.BufferBytes = rapid.SampledFrom([]int{1, 64, 4096}).Draw(rt, "buffer")
		var want []record
		var offsets []int64
		runs := rapid.IntRange(1, 3).Draw(rt, "runs")
		for run := range runs {
			l := mustFile(t, file, o)
			for range rapid.IntRange(0, 20).Draw(rt, "records") {
				k := frame.Kind(rapid.ByteRange(1, 239).Draw(rt, "kind"))
				b := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "body")
				seq, off, err := l.AppendAt(t.Context(), k, b)
				if err != nil {
					rt.Fatal(err)
				}
				want, offsets = append(want, record{seq, k, string(b)}), append(offsets, off)
				if rapid.IntRange(0, 4).Draw(rt, "sync") == 0 {
					if err := l.Sync(); err != nil {
						rt.Fatal(err)
					}
				}
			}
			for i, off := range offsets {
				f, err := l.ReadAt(off)
				if err != nil || recordOf(f) != want[i] {
					rt.Fatalf("at %d: %v, %v; want %v", off, recordOf(f), err, want[i])
				}
			}
			live, err := l.Scan()
			if err != nil {
				rt.Fatal(err)
			}
			same(rt, "live", want, scanned(rt, live))
			size := l.Size()
			mustClose(t, l)
			b := read(t, m, file)
			s := ReadFile(bytes.NewReader(b), int64(len(b)))
			same(rt, "closed", want, scanned(rt, s))
			if int64(len(b)) != size || len(s.Damage()) > 0 || s.Resumes() != run || s.Lost() != 0 {
				rt.Fatal(len(b), size, s.Damage(), s.Resumes(), s.Lost())
			}
			if h, err := s.Header(); err != nil || h.First != 1 || h.Form != FormFile || !h.Created.Equal(epoch) {
				rt.Fatal(h, err)
			}
		}
		for i, r := range want {
			if r.Seq != uint64(i+1) {
				rt.Fatal(want)
			}
		}
	})
}

// TestFileReadAtRefuses asks for frames where none are.
func TestFileReadAtRefuses(t *testing.T) {
	t.Parallel()
	l := mustFile(t, file, options(newDisk(t)))
	addMany(t, l, 3, 100)
	for _, off := range []int64{-1, 0, 5, l.Size() - 3, l.Size(), 1 << 40} {
		if _, err := l.ReadAt(off); !errors.Is(err, ErrNotFound) {
			t.Errorf("at %d: %v", off, err)
		}
	}
	mustClose(t, l)
	if _, err := l.ReadAt(100); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestFileForms(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	l, d := mustFile(t, file, options(m)), mustDir(t, "/d/dir", options(m))
	if err := l.Ack(1); !errors.Is(err, ErrForm) {
		t.Error(err)
	}
	if _, err := d.ReadAt(1); !errors.Is(err, ErrForm) {
		t.Error(err)
	}
	if _, err := d.Scan(); !errors.Is(err, ErrForm) {
		t.Error(err)
	}
	for _, l := range []*Log{l, d} {
		for _, tt := range []struct {
			kind frame.Kind
			body []byte
			want error
		}{{0, nil, frame.ErrInvalid}, {frame.KindControl, nil, frame.ErrInvalid}, {1, make([]byte, frame.MaxBody+1), frame.ErrTooLarge}} {
			if _, err := l.Append(t.Context(), tt.kind, tt.body); !errors.Is(err, tt.want) {
				t.Errorf("kind %d, %d bytes: %v", tt.kind, len(tt.body), err)
			}
		}
		if l.LastSeq() != 0 {
			t.Error("a refused record has a number")
		}
		mustClose(t, l)
		mustClose(t, l)
		_, err := l.Append(t.Context(), 1, nil)
		for _, err := range []error{err, l.Sync()} {
			if !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}
	}
	if _, err := l.Scan(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := d.Ack(1); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// spoiled is a spool file with known records and where they lie.
type spoiled struct {
	bytes   []byte
	records []record
	offs    []int64 // of the records, and the end
	body    int64   // end of the header
}

// smallFile makes a spool file of two runs, with a resume mark in the middle.
func smallFile(t testing.TB) spoiled {
	t.Helper()
	m := newDisk(t)
	var s spoiled
	for run := range 2 {
		l := mustFile(t, file, options(m))
		if run == 0 {
			s.body = l.Size()
		}
		for range 4 {
			b := body(len(s.records)+1, 40)
			seq, off, err := l.AppendAt(t.Context(), 2, b)
			if err != nil {
				t.Fatal(err)
			}
			s.records, s.offs = append(s.records, record{seq, 2, string(b)}), append(s.offs, off)
		}
		mustClose(t, l)
	}
	s.bytes = read(t, m, file)
	s.offs = append(s.offs, int64(len(s.bytes)))
	return s
}

// end returns where record i ends.
func (s spoiled) end(i int) int64 { return s.offs[i] + int64(frame.Size(len(s.records[i].Body))) }

// covered tells whether a damaged place holds the byte at off.
func covered(damage []CorruptError, off int64) bool {
	return slices.ContainsFunc(damage, func(d CorruptError) bool {
		return d.Offset <= off && off < d.Offset+d.Length && d.Reason != ""
	})
}

// TestFileCutAtEveryByte cuts a spool at every byte, reads it, and goes on with it as after a crash.
func TestFileCutAtEveryByte(t *testing.T) {
	t.Parallel()
	s := smallFile(t)
	for cut := range s.bytes {
		b := s.bytes[:cut]
		var want []record
		for i, r := range s.records {
			if s.end(i) <= int64(cut) {
				want = append(want, r)
			}
		}
		sc := ReadFile(bytes.NewReader(b), int64(cut))
		same(t, "read", want, scanned(t, sc))
		if len(sc.Damage()) > 1 || len(sc.Damage()) == 1 && !covered(sc.Damage(), int64(cut)-1) {
			t.Fatalf("cut at %d: damage %v", cut, sc.Damage())
		}
		atEdge := cut == 0 || int64(cut) == s.body || slices.Contains(s.offs, int64(cut)) ||
			slices.ContainsFunc(s.records, func(r record) bool { return s.end(int(r.Seq-1)) == int64(cut) })
		if atEdge != (len(sc.Damage()) == 0) {
			t.Fatalf("cut at %d: damage %v", cut, sc.Damage())
		}
		goOn(t, b, want)
	}
}

// TestFileFlipEveryByte flips a bit of every byte of a spool: all records but the one that is hit are back, the damage
// is told with its place, and the log goes on.
func TestFileFlipEveryByte(t *testing.T) {
	t.Parallel()
	s := smallFile(t)
	for at := range s.bytes {
		b := bytes.Clone(s.bytes)
		b[at] ^= 1 << (at % 8)
		var want []record
		for i, r := range s.records {
			if int64(at) < s.offs[i] || int64(at) >= s.end(i) {
				want = append(want, r)
			}
		}
		sc := ReadFile(bytes.NewReader(b), int64(len(b)))
		same(t, "read", want, scanned(t, sc))
		if !covered(sc.Damage(), int64(at)) || len(sc.Damage()) != 1 {
			t.Fatalf("byte %d: damage %v", at, sc.Damage())
		}
		if _, err := sc.Header(); (err != nil) != (int64(at) < s.body) {
			t.Fatalf("byte %d: header %v", at, err)
		}
		goOn(t, b, want)
	}
}

// goOn opens a spool file with the content b, appends, and expects want and the new records, in this run and the next.
func goOn(t *testing.T, b []byte, want []record) {
	t.Helper()
	m := newDisk(t)
	write(t, m, file, b)
	o := options(m)
	o.Rand = randomness(2)
	l := mustFile(t, file, o)
	want = append(slices.Clone(want), addMany(t, l, 2, 30)...)
	mustClose(t, l)
	for i := 1; i < len(want); i++ {
		if want[i].Seq <= want[i-1].Seq {
			t.Fatalf("numbers out of order: %v", want)
		}
	}
	after := read(t, m, file)
	if !bytes.HasPrefix(after, b) {
		t.Fatal("opening changed what was there")
	}
	sc := ReadFile(bytes.NewReader(after), int64(len(after)))
	same(t, "after going on", want, scanned(t, sc))
	l = mustFile(t, file, o)
	defer mustClose(t, l)
	if int64(len(b)) > 0 && len(l.Damage()) != len(sc.Damage()) {
		t.Fatalf("damage %v, want %v", l.Damage(), sc.Damage())
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	same(t, "Stored", want, stored(t, l, 0).records)
}

// TestFileFaults fails every write, sync, creation and directory sync in turn. The error sticks, and after a crash that
// takes everything that was not synced, every record that a good Sync covered is there.
func TestFileFaults(t *testing.T) {
	t.Parallel()
	boom := errors.New("input/output error")
	for _, op := range []fsxtest.Op{fsxtest.OpWrite, fsxtest.OpSync, fsxtest.OpSyncDir} {
		for n := 1; ; n++ {
			m := newDisk(t)
			m.SyncDir("/")
			l := mustFile(t, file, options(m))
			before := m.Count(op)
			m.Inject(fsxtest.FailNth(op, before+n, boom))
			var accepted, safe []record
			var failed error
			for i := range 12 {
				b := body(i+1, 120)
				seq, err := l.Append(t.Context(), 1, b)
				if seq > 0 {
					accepted = append(accepted, record{seq, 1, string(b)})
				}
				if err == nil && i%3 == 2 {
					if err = l.Sync(); err == nil {
						safe = slices.Clone(accepted)
					}
				}
				if failed != nil && err == nil {
					t.Fatalf("%s %d: goes on after %v", op, n, failed)
				}
				if err != nil {
					failed = err
				}
			}
			hit := m.Count(op) >= before+n
			if hit != (failed != nil) || hit && !errors.Is(failed, boom) {
				t.Fatalf("%s %d: error %v", op, n, failed)
			}
			if s, err := l.Scan(); err != nil {
				t.Fatal(err)
			} else {
				same(t, "live after the error", accepted, scanned(t, s))
			}
			if err := l.Close(); (err != nil) != hit {
				t.Fatalf("%s %d: Close: %v", op, n, err)
			}
			m.Crash(nil)
			if b, err := m.ReadFile(file); err == nil {
				got := scanned(t, ReadFile(bytes.NewReader(b), int64(len(b))))
				if len(got) < len(safe) {
					t.Fatalf("%s %d: synced %v, found %v", op, n, safe, got)
				}
				same(t, "after the crash", accepted[:len(got)], got)
			} else if len(safe) > 0 {
				t.Fatalf("%s %d: %v", op, n, err)
			}
			if !hit {
				break
			}
		}
	}
}

// TestFileNoSpace fills the disk: nothing accepted is lost, and the log goes on when there is room again.
func TestFileNoSpace(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	l := mustFile(t, file, options(m))
	want := addMany(t, l, 5, 100)
	m.Limit(l.Size() + 10)
	refused := false
	for i := 0; i < 20 && !refused; i++ {
		b := body(int(l.LastSeq())+1, 100)
		seq, err := l.Append(t.Context(), 1, b)
		switch {
		case errors.Is(err, ErrFull) && seq == 0:
			refused = true
		case err != nil:
			t.Fatal(err)
		default:
			want = append(want, record{seq, 1, string(b)})
		}
	}
	if err := l.Sync(); !errors.Is(err, ErrFull) || !refused {
		t.Fatal("full disk:", err, refused)
	}
	s, err := l.Scan()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "while full", want, scanned(t, s))
	m.Limit(-1)
	want = append(want, addMany(t, l, 2, 100)...)
	mustClose(t, l)
	m.Crash(nil)
	b := read(t, m, file)
	same(t, "after", want, scanned(t, ReadFile(bytes.NewReader(b), int64(len(b)))))
}

func TestFileLimits(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	o := options(m)
	o.MaxBytes = 1000
	l := mustFile(t, file, o)
	if _, err := l.Append(t.Context(), 1, make([]byte, 1000)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	add(t, l, 1, make([]byte, 700))
	if _, err := l.Append(t.Context(), 1, make([]byte, 200)); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	mustClose(t, l)

	o.MaxBytes, o.MinFreeBytes = 0, 5000
	m.Limit(10000)
	l = mustFile(t, file, o)
	n := 0
	for ; n < 100; n++ {
		if _, err := l.Append(t.Context(), 1, make([]byte, 200)); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	if free, _ := m.Free("/d"); free < 5000 || free > 5500 {
		t.Errorf("%d bytes left free after %d records", free, n)
	}
}

func TestFileDiscard(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	l := mustFile(t, file, options(m))
	addMany(t, l, 2, 50)
	add(t, l, 1, nil)
	before := m.Total()
	if err := l.Discard(); err != nil || m.Total() != before {
		t.Error(err, m.Total()-before)
	}
	if _, err := l.Append(t.Context(), 1, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := m.Remove(file); err != nil {
		t.Error(err)
	}
	d := mustDir(t, dir, options(m))
	if err := d.Discard(); !errors.Is(err, ErrForm) {
		t.Error(err)
	}
	mustClose(t, d)
}
