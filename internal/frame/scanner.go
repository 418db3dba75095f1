package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// windowSize is how much a Scanner reads at once; a larger frame makes its buffer as large as the frame.
	windowSize = 256 << 10
	// maxDamage is how many damaged places a Scanner remembers; later ones are only counted.
	maxDamage = 1024
	// workPerByte and workSpare bound the bytes that a Scanner sums in vain: things that look like frames after
	// damage and are not. Only an attacker reaches the bound.
	workPerByte = 64
	workSpare   = 64 << 20
)

// Damage is a stretch of bytes that held no readable frame.
type Damage struct {
	Offset, Length int64 // in bytes
	Reason         Reason
}

// Expect tells a Scanner what it reads, so that it takes nothing for a record that is none. The zero value expects
// nothing.
type Expect struct {
	// Mark is the mark of every frame; 0 means that of the first frame found.
	Mark uint16
	// Next is the number of the first frame; 0 means any.
	Next uint64
}

// Scanner reads frames one after the other. After damage it looks for the next frame and goes on; Damage tells what it
// passed over. It reads through an io.ReaderAt and needs one buffer, no larger than the largest frame.
type Scanner struct {
	r        io.ReaderAt
	pos, end int64
	buf      []byte // what stands at bufOff
	bufOff   int64

	strict bool // marks and numbers are checked
	mark   uint16
	next   uint64 // number expected, 0 unknown

	frame  Frame
	off    int64
	bad    int64 // start of the damage being passed over, -1 none
	reason Reason

	damage  []Damage
	regions int
	bytes   int64
	lost    uint64
	claimed uint64
	budget  int64
	err     error
}

// NewScanner returns a Scanner for the bytes off to off+size of r. Any frame with a valid checksum counts, until Expect
// is called.
func NewScanner(r io.ReaderAt, off, size int64) *Scanner {
	if size < 0 {
		size = 0
	}
	s := &Scanner{r: r, pos: off, end: off + size, bad: -1, budget: workSpare}
	if size < (1<<62)/workPerByte {
		s.budget += size * workPerByte
	}
	return s
}

// Expect makes the Scanner check marks and numbers: every frame has the mark e.Mark, and numbers rise by one, except
// that behind damage they may jump forwards. A frame against these rules is damage. It must be called before Next.
func (s *Scanner) Expect(e Expect) { s.strict, s.mark, s.next = true, e.Mark, e.Next }

// Extend moves the end of the bytes to the offset end, after Next returned false because it had reached the old one. It
// is for files that grow: the old end must have been the end of a frame.
func (s *Scanner) Extend(end int64) {
	if end > s.end {
		s.end = end
	}
}

// Next reads the next frame and tells whether there was one. It returns false at the end and after an error of the
// underlying reader, see Err.
func (s *Scanner) Next() bool {
	for s.err == nil && s.pos < s.end {
		f, n, reason := s.try()
		if s.err != nil {
			break
		}
		if reason == "" {
			s.endDamage(s.pos)
			s.accept(f)
			s.off = s.pos
			s.pos += int64(n)
			return true
		}
		if s.bad < 0 {
			s.bad, s.reason = s.pos, reason
		}
		if s.budget < 0 {
			s.reason = ReasonGaveUp
			s.pos = s.end
			break
		}
		s.seek()
	}
	s.endDamage(s.pos)
	s.frame = Frame{}
	return false
}

// Frame returns the frame that Next found. Its body is valid until the next call of Next.
func (s *Scanner) Frame() Frame { return s.frame }

// Offset returns where the frame that Next found starts.
func (s *Scanner) Offset() int64 { return s.off }

// End returns where reading goes on: the end of the frame that Next found, or after the last one the end of the bytes.
func (s *Scanner) End() int64 { return s.pos }

// Err returns the error of the underlying reader that ended the scan, nil at the end. Damage is not an error.
func (s *Scanner) Err() error { return s.err }

// Damage returns the damaged stretches found so far, in order; at most 1024 of them, Damaged counts all.
func (s *Scanner) Damage() []Damage { return s.damage }

// Damaged returns how many stretches were passed over so far and how many bytes they have.
func (s *Scanner) Damaged() (regions int, bytes int64) { return s.regions, s.bytes }

// Lost returns how many numbers are known to be missing: between the frames read so far, and behind the last one up to
// Claimed. It needs Expect.
func (s *Scanner) Lost() uint64 {
	if s.claimed >= s.next && s.next > 0 {
		return s.lost + s.claimed - s.next + 1
	}
	return s.lost
}

// Claimed returns the highest number that a legible header of a damaged frame bears, 0 if there was none: such a frame
// was written once, so its number is used up. It needs Expect.
func (s *Scanner) Claimed() uint64 { return s.claimed }

// Mark returns the mark of the frames, 0 if none was read and none expected. It needs Expect.
func (s *Scanner) Mark() uint16 { return s.mark }

// try looks at the frame at pos. The reason is empty if there is one.
func (s *Scanner) try() (Frame, int, Reason) {
	h := s.window(s.pos, HeaderSize)
	if s.err != nil {
		return Frame{}, 0, ""
	}
	f, n, reason := parseHeader(h)
	if reason != "" {
		return f, 0, reason
	}
	if len(h) < HeaderSize {
		return f, 0, ReasonTorn
	}
	if reason := s.plausible(f); reason != "" {
		return f, 0, reason
	}
	if int64(n) > s.end-s.pos {
		s.claim(f)
		return f, 0, ReasonTorn
	}
	b := s.window(s.pos, n)
	if s.err != nil {
		return f, 0, ""
	}
	if len(b) < n {
		return f, 0, ReasonTorn
	}
	if !checkBody(b) {
		s.budget -= int64(n)
		s.claim(f)
		return f, 0, ReasonChecksum
	}
	f.Body = b[HeaderSize:n:n]
	return f, n, ""
}

// plausible applies the rules of Expect to a header.
func (s *Scanner) plausible(f Frame) Reason {
	if !s.strict {
		return ""
	}
	if s.mark != 0 && f.Mark != s.mark {
		return ReasonForeign
	}
	seq := f.Seq
	if f.Kind.Control() {
		seq++
	}
	if s.next != 0 && (seq < s.next || seq != s.next && s.bad < 0) {
		return ReasonOrder
	}
	return ""
}

// claim notes the number of a damaged frame whose header reads well and fits: no more numbers can be missing than
// headers have room in what was passed over.
func (s *Scanner) claim(f Frame) {
	if !s.strict || s.mark == 0 || s.next == 0 || f.Kind.Control() || f.Seq <= s.claimed {
		return
	}
	room := uint64(0)
	if s.bad >= 0 {
		room = uint64(s.pos-s.bad) / HeaderSize
	}
	if f.Seq-s.next <= room {
		s.claimed = f.Seq
	}
}

// accept takes f as the next frame.
func (s *Scanner) accept(f Frame) {
	s.frame = f
	if !s.strict {
		return
	}
	s.mark = f.Mark
	next := f.Seq + 1
	if s.next != 0 {
		s.lost += next - s.next
		if !f.Kind.Control() {
			s.lost--
		}
	}
	s.next = next
}

// seek moves pos to the next place behind pos where a frame might start, or to the end.
func (s *Scanner) seek() {
	s.pos++
	for s.pos < s.end {
		s.window(s.pos, len(Magic))
		if s.err != nil {
			return
		}
		b := s.buf[s.pos-s.bufOff:] // all that is there, at least the window
		if i := bytes.Index(b, []byte(Magic)); i >= 0 {
			s.pos += int64(i)
			return
		}
		if s.pos+int64(len(b)) >= s.end {
			s.pos = s.end
			return
		}
		s.pos += int64(len(b) - len(Magic) + 1)
	}
}

// endDamage closes the damaged stretch that ends at end.
func (s *Scanner) endDamage(end int64) {
	if s.bad < 0 {
		return
	}
	s.regions++
	s.bytes += end - s.bad
	if len(s.damage) < maxDamage {
		s.damage = append(s.damage, Damage{Offset: s.bad, Length: end - s.bad, Reason: s.reason})
	}
	s.bad = -1
}

// window returns n bytes at pos, fewer only at the end. A reader that ends early moves the end.
func (s *Scanner) window(pos int64, n int) []byte {
	if left := s.end - pos; int64(n) > left {
		n = int(left)
	}
	if at := pos - s.bufOff; at >= 0 && at+int64(n) <= int64(len(s.buf)) {
		return s.buf[at : at+int64(n)]
	}
	want := max(n, windowSize)
	if left := s.end - pos; int64(want) > left {
		want = int(left)
	}
	var keep []byte
	if at := pos - s.bufOff; at >= 0 && at < int64(len(s.buf)) {
		keep = s.buf[at:]
	}
	if cap(s.buf) < want {
		s.buf = append(make([]byte, 0, want), keep...)
	} else {
		s.buf = s.buf[:copy(s.buf[:cap(s.buf)], keep)]
	}
	s.bufOff = pos
	have := len(s.buf)
	got, err := s.r.ReadAt(s.buf[have:want], pos+int64(have))
	s.buf = s.buf[:have+max(got, 0)]
	switch {
	case have+got >= want:
	case err == nil:
		s.err = fmt.Errorf("read at %d: %w", pos+int64(have), io.ErrNoProgress)
	case errors.Is(err, io.EOF):
		s.end = pos + int64(len(s.buf))
	default:
		s.err = fmt.Errorf("read at %d: %w", pos+int64(have+got), err)
	}
	return s.buf[:min(n, len(s.buf))]
}
