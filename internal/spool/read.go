package spool

import (
	"errors"
	"fmt"
	"io"

	"satchel/internal/frame"
)

// Scanner reads the records of a spool file from its start, past damage, without touching it.
type Scanner struct {
	sc      *frame.Scanner
	head    Header
	headErr error
	damaged string // why the header cannot be read
	body    int64  // where frames start
	frame   frame.Frame
	damage  []CorruptError
	seen    int // of sc.Damage
	resumes int
	last    uint64
	good    int64
	err     error
}

// ReadFile returns a Scanner for a spool file, or for one segment of a directory, of the given size. It never fails: an
// unreadable header is damage like any other.
func ReadFile(r io.ReaderAt, size int64) *Scanner {
	s := &Scanner{}
	buf := make([]byte, max(0, min(int64(maxHeader), size)))
	n, err := r.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = fmt.Errorf("read header: %w", err)
	}
	s.head, n, s.headErr = ParseHeader(buf[:n])
	expect := frame.Expect{Mark: s.head.Mark, Next: s.head.First}
	var ce *CorruptError
	if errors.As(s.headErr, &ce) {
		s.damaged = ce.Reason
	}
	s.body = int64(n)
	s.good = s.body
	s.sc = frame.NewScanner(r, s.body, size-s.body)
	s.sc.Expect(expect)
	if errors.Is(s.headErr, ErrVersion) {
		s.err = s.headErr
	}
	return s
}

// Header returns the header of the file. The error is a *CorruptError if it cannot be read, or wraps ErrVersion, and
// then there are no frames.
func (s *Scanner) Header() (Header, error) { return s.head, s.headErr }

// Next reads the next record and tells whether there was one. Frames that belong to the log itself are not shown.
func (s *Scanner) Next() bool {
	for s.err == nil && s.sc.Next() {
		s.good = s.sc.End()
		f := s.sc.Frame()
		if f.Kind.Control() {
			s.control(f)
			continue
		}
		s.last = f.Seq
		s.frame = f
		s.collect()
		return true
	}
	s.collect()
	s.frame = frame.Frame{}
	return false
}

// control takes notice of a frame of the log itself.
func (s *Scanner) control(f frame.Frame) {
	if f.Kind != kindResume {
		return
	}
	s.resumes++
	if r, err := parseResume(f.Body); err == nil && s.headErr != nil {
		s.head = r.head // better than none: the same but for first number, time and key
	}
}

// collect takes over the damage that the frame scanner found.
func (s *Scanner) collect() {
	for _, d := range s.sc.Damage()[s.seen:] {
		s.seen++
		reason := string(d.Reason)
		if d.Offset == 0 && s.damaged != "" {
			reason = s.damaged
		}
		s.damage = append(s.damage, CorruptError{Offset: d.Offset, Length: d.Length, Reason: reason})
	}
}

// Frame returns the record that Next found. Its body is valid until the next call of Next.
func (s *Scanner) Frame() frame.Frame { return s.frame }

// Offset returns where the record starts, in bytes from the start of the file.
func (s *Scanner) Offset() int64 { return s.sc.Offset() }

// Err returns the error that ended the scan: that of the reader, or ErrVersion. Damage is not an error.
func (s *Scanner) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.sc.Err()
}

// Damage returns the damage found so far, at most 1024 places.
func (s *Scanner) Damage() []CorruptError { return s.damage }

// Damaged returns how many damaged places were found so far and how many bytes they have.
func (s *Scanner) Damaged() (places int, bytes int64) { return s.sc.Damaged() }

// Lost returns how many records are known to be missing: those between the ones read so far, and behind the last one
// those of which a legible header is left.
func (s *Scanner) Lost() uint64 { return s.sc.Lost() }

// Resumes returns how often the file was opened again, as far as it was read.
func (s *Scanner) Resumes() int { return s.resumes }
