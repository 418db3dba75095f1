package frame

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// found is a frame and where it was found.
type found struct {
	Off int64
	F   Frame
}

// log encodes frames one behind the other and returns where each starts, and the end.
func log(t testing.TB, frames []Frame) (b []byte, offs []int64) {
	t.Helper()
	for _, f := range frames {
		offs = append(offs, int64(len(b)))
		b = append(b, encoded(t, f)...)
	}
	return b, append(offs, int64(len(b)))
}

// numbered returns n frames with the numbers from first on, bodies of various sizes, and the mark.
func numbered(n int, first uint64, mark uint16) []Frame {
	rng := rand.New(rand.NewPCG(uint64(n), first))
	var out []Frame
	for i := range n {
		body := make([]byte, rng.IntN(20))
		for j := range body {
			body[j] = byte(rng.Uint32())
		}
		out = append(out, Frame{Kind: Kind(1 + i%7), Mark: mark, Seq: first + uint64(i), Body: body})
	}
	return out
}

// scan reads everything and checks that frames and damage cover the bytes without a hole.
func scan(t testing.TB, s *Scanner, off, size int64) []found {
	t.Helper()
	var got []found
	at := off
	told := 0
	cover := func() {
		for _, d := range s.Damage()[told:] {
			if d.Offset != at || d.Length <= 0 || d.Reason == "" {
				t.Fatalf("damage %+v, expected at %d", d, at)
			}
			at += d.Length
			told++
		}
	}
	for s.Next() {
		cover()
		f := s.Frame()
		f.Body = bytes.Clone(f.Body)
		if s.Offset() != at {
			t.Fatalf("frame at %d, expected at %d", s.Offset(), at)
		}
		at = s.End()
		if at != s.Offset()+int64(Size(len(f.Body))) {
			t.Fatalf("frame at %d ends at %d", s.Offset(), at)
		}
		got = append(got, found{s.Offset(), f})
	}
	cover()
	if s.Err() == nil && told < maxDamage && at != off+size {
		t.Fatalf("read up to %d of %d", at, off+size)
	}
	if s.Next() || s.Frame().Kind != 0 {
		t.Fatal("goes on behind the end")
	}
	return got
}

// scanAll scans b.
func scanAll(t testing.TB, b []byte) ([]found, *Scanner) {
	t.Helper()
	s := NewScanner(bytes.NewReader(b), 0, int64(len(b)))
	got := scan(t, s, 0, int64(len(b)))
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return got, s
}

// want pairs frames with their places, leaving out those for which skip is true.
func want(frames []Frame, offs []int64, skip func(i int) bool) []found {
	var out []found
	for i, f := range frames {
		if skip == nil || !skip(i) {
			out = append(out, found{offs[i], f})
		}
	}
	return out
}

// diff compares; cmp is slow and comes in only to say what differs.
func diff(want, got []found) string {
	same := func(a, b found) bool {
		return a.Off == b.Off && bytes.Equal(a.F.Body, b.F.Body) && a.F.Kind == b.F.Kind && a.F.Flags == b.F.Flags &&
			a.F.Mark == b.F.Mark && a.F.Seq == b.F.Seq
	}
	if slices.EqualFunc(want, got, same) {
		return ""
	}
	for _, l := range [][]found{want, got} {
		for i := range l {
			l[i].F.Body = l[i].F.Body[:min(len(l[i].F.Body), 100)]
		}
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty()) + "(bodies cut to 100 bytes)"
}

func TestScanWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		frames := rapid.SliceOfN(rapid.Custom(genFrame), 0, 20).Draw(rt, "frames")
		junk := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(rt, "before")
		b, offs := log(t, frames)
		for i := range offs {
			offs[i] += int64(len(junk))
		}
		r := bytes.NewReader(append(append(bytes.Clone(junk), b...), "behind"...))
		s := NewScanner(r, int64(len(junk)), int64(len(b)))
		got := scan(t, s, int64(len(junk)), int64(len(b)))
		if d := diff(want(frames, offs, nil), got); d != "" || s.Err() != nil || len(s.Damage()) > 0 {
			rt.Fatal(d, s.Err(), s.Damage())
		}
	})
}

func TestScanCutAtEveryByte(t *testing.T) {
	t.Parallel()
	frames := numbered(8, 1, 77)
	b, offs := log(t, frames)
	for cut := range len(b) + 1 {
		got, s := scanAll(t, b[:cut])
		whole := 0
		for offs[whole+1] <= int64(cut) {
			if whole++; whole == len(frames) {
				break
			}
		}
		if d := diff(want(frames[:whole], offs, nil), got); d != "" {
			t.Fatalf("cut at %d: %s", cut, d)
		}
		var damage []Damage
		if left := int64(cut) - offs[whole]; left > 0 {
			damage = []Damage{{offs[whole], left, ReasonTorn}}
		}
		if d := cmp.Diff(damage, s.Damage()); d != "" {
			t.Fatalf("cut at %d: %s", cut, d)
		}
	}
}

// TestScanFlipEveryBit flips every bit of a small log: the frame that holds it is lost and told, all others are back.
func TestScanFlipEveryBit(t *testing.T) {
	t.Parallel()
	frames := numbered(6, 1, 77)
	b, offs := log(t, frames)
	for _, strict := range []bool{false, true} {
		for i := range b {
			hit := 0
			for offs[hit+1] <= int64(i) {
				hit++
			}
			for bit := range 8 {
				b[i] ^= 1 << bit
				s := NewScanner(bytes.NewReader(b), 0, int64(len(b)))
				if strict {
					s.Expect(Expect{Mark: 77, Next: 1})
				}
				got := scan(t, s, 0, int64(len(b)))
				if d := diff(want(frames, offs, func(j int) bool { return j == hit }), got); d != "" {
					t.Fatalf("bit %d of byte %d: %s", bit, i, d)
				}
				if n, bytes := s.Damaged(); n != 1 || s.Damage()[0].Offset != offs[hit] || bytes != offs[hit+1]-offs[hit] {
					t.Fatalf("bit %d of byte %d: %+v", bit, i, s.Damage())
				}
				if strict && hit < len(frames)-1 && s.Lost() != 1 {
					t.Fatalf("bit %d of byte %d: %d lost", bit, i, s.Lost())
				}
				b[i] ^= 1 << bit
			}
		}
	}
}

// TestScanDamagedLog spoils a log in ways that real life does and looks for every frame that was not touched.
func TestScanDamagedLog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		frames := numbered(rapid.IntRange(1, 30).Draw(rt, "frames"), 1, 9)
		b, offs := log(t, frames)
		from := rapid.IntRange(0, len(b)-1).Draw(rt, "from")
		to := rapid.IntRange(from+1, min(len(b), from+100)).Draw(rt, "to")
		how := rapid.SampledFrom([]string{"zero", "random", "cut out", "doubled"}).Draw(rt, "how")
		spoiled := bytes.Clone(b)
		shift := 0
		switch how {
		case "zero":
			clear(spoiled[from:to])
		case "random":
			copy(spoiled[from:to], rapid.SliceOfN(rapid.Byte(), to-from, to-from).Draw(rt, "bytes"))
		case "cut out":
			spoiled = append(spoiled[:from], spoiled[to:]...)
			shift = from - to
		case "doubled":
			spoiled = append(append(bytes.Clone(b[:to]), b[from:to]...), b[to:]...)
			shift = to - from
		}
		s := NewScanner(bytes.NewReader(spoiled), 0, int64(len(spoiled)))
		s.Expect(Expect{Mark: 9, Next: 1})
		got := scan(t, s, 0, int64(len(spoiled)))
		back := map[uint64]bool{}
		for _, g := range got {
			if back[g.F.Seq] {
				rt.Fatalf("%s: frame %d twice", how, g.F.Seq)
			}
			back[g.F.Seq] = true
			if d := cmp.Diff(frames[g.F.Seq-1], g.F, cmpopts.EquateEmpty()); d != "" {
				rt.Fatalf("%s: invented: %s", how, d)
			}
		}
		for i, f := range frames {
			untouched := offs[i+1] <= int64(from) || offs[i] >= int64(to)
			if untouched && !back[f.Seq] {
				rt.Fatalf("%s from %d to %d (shift %d): frame %d at %d is not back: %+v", how, from, to, shift, f.Seq, offs[i], s.Damage())
			}
		}
	})
}

// TestScanNested damages a frame that carries, as evidence, frames of other logs and of this one.
func TestScanNested(t *testing.T) {
	t.Parallel()
	foreign, _ := log(t, numbered(5, 1, 100))
	own, _ := log(t, numbered(2, 1, 200)) // a copy of the first two frames of this log
	frames := []Frame{
		{Kind: 1, Mark: 200, Seq: 1, Body: []byte("one")},
		{Kind: 1, Mark: 200, Seq: 2, Body: []byte("two")},
		{Kind: 7, Mark: 200, Seq: 3, Body: append(foreign, own...)},
		{Kind: 1, Mark: 200, Seq: 4, Body: []byte("four")},
	}
	b, offs := log(t, frames)
	for _, at := range []int64{0, 4, 9, 17, 20, 24, 60} {
		spoiled := bytes.Clone(b)
		spoiled[offs[2]+at] ^= 0x10
		s := NewScanner(bytes.NewReader(spoiled), 0, int64(len(spoiled)))
		s.Expect(Expect{Mark: 200, Next: 1})
		got := scan(t, s, 0, int64(len(spoiled)))
		if d := diff(want(frames, offs, func(i int) bool { return i == 2 }), got); d != "" {
			t.Errorf("flipped byte %d: %s", at, d)
		}
		if s.Lost() != 1 {
			t.Errorf("flipped byte %d: %d lost", at, s.Lost())
		}
	}
}

func TestScanExpect(t *testing.T) {
	t.Parallel()
	frame := func(kind Kind, seq uint64, mark uint16) Frame {
		return Frame{Kind: kind, Seq: seq, Mark: mark, Body: []byte{byte(seq)}}
	}
	tests := []struct {
		name   string
		expect Expect
		in     []Frame
		skip   map[int]bool
		reason Reason
		lost   uint64
	}{
		{name: "in order", expect: Expect{5, 3}, in: []Frame{frame(1, 3, 5), frame(1, 4, 5)}},
		{name: "any mark and number", in: []Frame{frame(1, 30, 5), frame(1, 31, 5)}},
		{name: "control frames use no number", expect: Expect{5, 1},
			in: []Frame{frame(KindControl, 0, 5), frame(1, 1, 5), frame(KindControl, 1, 5), frame(1, 2, 5)}},
		{name: "another mark", expect: Expect{5, 1}, in: []Frame{frame(1, 1, 6), frame(1, 1, 5)},
			skip: map[int]bool{0: true}, reason: ReasonForeign},
		{name: "mark of the first frame found", in: []Frame{frame(1, 1, 6), frame(1, 1, 5), frame(1, 2, 6)},
			skip: map[int]bool{1: true}, reason: ReasonForeign},
		{name: "number used again", expect: Expect{5, 1}, in: []Frame{frame(1, 1, 5), frame(2, 1, 5), frame(1, 2, 5)},
			skip: map[int]bool{1: true}, reason: ReasonOrder},
		{name: "old frame", expect: Expect{5, 8}, in: []Frame{frame(1, 8, 5), frame(1, 3, 5), frame(1, 9, 5)},
			skip: map[int]bool{1: true}, reason: ReasonOrder},
		{name: "control frame of another place", expect: Expect{5, 8},
			in: []Frame{frame(1, 8, 5), frame(KindControl, 5, 5), frame(1, 9, 5)}, skip: map[int]bool{1: true}, reason: ReasonOrder},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, offs := log(t, tt.in)
			s := NewScanner(bytes.NewReader(b), 0, int64(len(b)))
			s.Expect(tt.expect)
			got := scan(t, s, 0, int64(len(b)))
			if d := diff(want(tt.in, offs, func(i int) bool { return tt.skip[i] }), got); d != "" {
				t.Error(d)
			}
			if len(s.Damage()) != len(tt.skip) || len(tt.skip) > 0 && s.Damage()[0].Reason != tt.reason {
				t.Errorf("damage %+v", s.Damage())
			}
			if s.Lost() != tt.lost {
				t.Errorf("%d lost", s.Lost())
			}
			if s.Mark() != got[0].F.Mark {
				t.Errorf("mark %d", s.Mark())
			}
		})
	}
}

// TestScanClaimed: a damaged frame whose header is legible has used its number up, even if nothing follows it.
func TestScanClaimed(t *testing.T) {
	t.Parallel()
	frames := numbered(5, 1, 3)
	frames[4].Body = []byte("a body to damage")
	b, offs := log(t, frames)
	claimed := func(b []byte) (claimed, lost uint64) {
		s := NewScanner(bytes.NewReader(b), 0, int64(len(b)))
		s.Expect(Expect{Mark: 3, Next: 1})
		scan(t, s, 0, int64(len(b)))
		return s.Claimed(), s.Lost()
	}
	body, header := bytes.Clone(b), bytes.Clone(b)
	body[offs[4]+HeaderSize] ^= 1
	header[offs[4]+9] ^= 1 // number 261: no room for so many
	tests := []struct {
		name string
		b    []byte
		want uint64
	}{
		{"whole", b, 0}, {"body", body, 5}, {"torn", b[:len(b)-1], 5}, {"torn in the header", b[:offs[4]+20], 0},
		{"unlikely number", header, 0},
	}
	for _, tt := range tests {
		got, lost := claimed(tt.b)
		if got != tt.want || lost != tt.want/5 { // one if the fifth is known to have been there
			t.Errorf("%s: claimed %d, want %d; %d lost", tt.name, got, tt.want, lost)
		}
	}
}

func TestScanExtend(t *testing.T) {
	t.Parallel()
	frames := numbered(40, 1, 3)
	b, offs := log(t, frames)
	s := NewScanner(bytes.NewReader(b), 0, 0)
	s.Expect(Expect{Mark: 3, Next: 1})
	next := 0
	for i := range offs {
		s.Extend(offs[i])
		for s.Next() {
			if d := cmp.Diff(frames[next], s.Frame(), cmpopts.EquateEmpty()); d != "" {
				t.Fatal(d)
			}
			next++
		}
		if next != i {
			t.Fatalf("%d frames up to %d", next, i)
		}
	}
	s.Extend(1)
	if s.Next() || len(s.Damage()) > 0 || s.Err() != nil {
		t.Error("an end before the end", s.Damage(), s.Err())
	}
}

// TestScanLarge has frames around the size of the window and up to the largest.
func TestScanLarge(t *testing.T) {
	t.Parallel()
	var frames []Frame
	for i, n := range []int{windowSize - HeaderSize - 1, windowSize - HeaderSize, windowSize, windowSize + 1, MaxBody, 5, MaxBody - 1, 0} {
		frames = append(frames, Frame{Kind: 1, Seq: uint64(i + 1), Body: bytes.Repeat([]byte{byte(i)}, n)})
	}
	b, offs := log(t, frames)
	got, s := scanAll(t, b)
	if d := diff(want(frames, offs, nil), got); d != "" || len(s.Damage()) > 0 {
		t.Fatal("not all frames are back", s.Damage())
	}
	b[offs[4]+100] ^= 1
	got, s = scanAll(t, b)
	if d := diff(want(frames, offs, func(i int) bool { return i == 4 }), got); d != "" || len(s.Damage()) != 1 {
		t.Fatal("not all undamaged frames are back", s.Damage())
	}
}

func TestScanReaderErrors(t *testing.T) {
	t.Parallel()
	b, _ := log(t, numbered(4, 1, 0))
	t.Run("error", func(t *testing.T) {
		t.Parallel()
		boom := errors.New("boom")
		s := NewScanner(failingReaderAt{b, 30, boom}, 0, int64(len(b)))
		for s.Next() {
		}
		if !errors.Is(s.Err(), boom) {
			t.Error(s.Err())
		}
	})
	t.Run("shorter than said", func(t *testing.T) {
		t.Parallel()
		s := NewScanner(bytes.NewReader(b), 0, int64(len(b))+1000)
		n := 0
		for s.Next() {
			n++
		}
		if n != 4 || s.Err() != nil {
			t.Error(n, s.Err())
		}
	})
	t.Run("negative size", func(t *testing.T) {
		t.Parallel()
		if s := NewScanner(bytes.NewReader(b), 0, -1); s.Next() || s.Err() != nil {
			t.Error("reads", s.Err())
		}
	})
	t.Run("reader that returns nothing", func(t *testing.T) {
		t.Parallel()
		s := NewScanner(failingReaderAt{b, 30, nil}, 0, int64(len(b)))
		for s.Next() {
		}
		if !errors.Is(s.Err(), io.ErrNoProgress) {
			t.Error(s.Err())
		}
	})
	if err := iotest.TestReader(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), b); err != nil {
		t.Error(err)
	}
}

// failingReaderAt returns err from byte at on.
type failingReaderAt struct {
	b   []byte
	at  int64
	err error
}

func (r failingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= r.at {
		return copy(p, r.b[off:]), nil
	}
	return copy(p, r.b[min(off, r.at):r.at]), r.err
}
