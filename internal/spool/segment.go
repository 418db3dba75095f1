package spool

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"satchel/internal/frame"
	"satchel/internal/fsx"
)

// indexEvery is the distance in bytes of the places a segment remembers, for readers that start in its middle.
const indexEvery = 1 << 20

// place is where a numbered frame starts.
type place struct {
	seq uint64
	off int64
}

// chunk is a piece of a segment in memory. Frames are never split between chunks.
type chunk struct {
	off     int64  // in the segment
	data    []byte // appended to within its capacity only, so that it can be written while it grows
	written int    // how much of data is in the file
}

// segment is one file of a log. Its fields are guarded by Log.mu.
type segment struct {
	head Header
	path string
	file fsx.File // nil: not created yet, or done with
	body int64    // where frames start

	damaged string // why the header cannot be read, empty if it can

	accepted mark  // all that was put into it; size is the size of the segment
	written  mark  // what is in the file
	durable  mark  // what is synced
	named    bool  // the directory entry is synced
	retired  bool  // given up: takes nothing more
	waste    int64 // bytes in the file behind accepted that do not count

	chunks  []*chunk
	index   []place
	ackedAt time.Time // when the last of it was acknowledged
}

// mark is how far a segment has come.
type mark struct {
	size int64  // in bytes
	last uint64 // number of the last frame, Header.First-1 if there is none
	at   int64  // where that starts, 0 if it is not known
}

// note remembers that the frame seq starts at off and is the last one.
func (s *segment) note(seq uint64, off int64) {
	s.accepted.last, s.accepted.at = seq, off
	if n := len(s.index); n == 0 || off-s.index[n-1].off >= indexEvery {
		s.index = append(s.index, place{seq, off})
	}
}

// start returns the remembered place that is nearest before the frame seq.
func (s *segment) start(seq uint64) (place, bool) {
	for i := len(s.index) - 1; i >= 0; i-- {
		if s.index[i].seq <= seq && s.index[i].off < s.durable.size {
			return s.index[i], true
		}
	}
	return place{}, false
}

// release gives back the chunks of which the segment needs nothing any more: all that end at or before end.
func (s *segment) release(end int64, free func(*chunk)) {
	n := 0
	for _, c := range s.chunks {
		if c.off+int64(len(c.data)) > end {
			s.chunks[n] = c
			n++
			continue
		}
		free(c)
	}
	clear(s.chunks[n:])
	s.chunks = s.chunks[:n]
}

// readAt reads from the file and from what is in memory. It is called with Log.mu held.
func (s *segment) readAt(p []byte, off int64) (int, error) {
	n := 0
	if off < s.written.size && s.file != nil {
		m, err := s.file.ReadAt(p[:min(int64(len(p)), s.written.size-off)], off)
		n += m
		if err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
	}
	for _, c := range s.chunks {
		at := off + int64(n) - c.off
		if at < 0 || at >= int64(len(c.data)) {
			continue
		}
		n += copy(p[n:], c.data[at:])
		if n == len(p) {
			return n, nil
		}
	}
	return n, io.EOF
}

// frameAt reads the frame at off, with a body of its own. It is called with Log.mu held.
func (s *segment) frameAt(off int64) (frame.Frame, error) {
	var h [frame.HeaderSize]byte
	if off > s.accepted.size-int64(len(h)) {
		return frame.Frame{}, fmt.Errorf("frame at %d: %w", off, frame.ErrShort)
	}
	if n, err := s.readAt(h[:], off); n < len(h) {
		return frame.Frame{}, fmt.Errorf("read frame header at %d: %w", off, err)
	}
	_, n, err := frame.Parse(h[:])
	if err != nil && n == 0 {
		return frame.Frame{}, fmt.Errorf("frame at %d: %w", off, err)
	}
	if int64(n) > s.accepted.size-off {
		return frame.Frame{}, fmt.Errorf("frame at %d: %w", off, frame.ErrShort)
	}
	b := make([]byte, n)
	if m, err := s.readAt(b, off); m < n {
		return frame.Frame{}, fmt.Errorf("read frame at %d: %w", off, err)
	}
	f, _, err := frame.Parse(b)
	if err != nil {
		return frame.Frame{}, fmt.Errorf("frame at %d: %w", off, err)
	}
	return f, nil
}

// newMark draws a mark.
func newMark(r io.Reader) (uint16, error) {
	var b [2]byte
	for range 64 {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, fmt.Errorf("draw a mark: %w", err)
		}
		if m := binary.LittleEndian.Uint16(b[:]); m != 0 {
			return m, nil
		}
	}
	return 0, fmt.Errorf("draw a mark: %w", io.ErrNoProgress)
}
