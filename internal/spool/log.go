package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"satchel/internal/frame"
	"satchel/internal/fsx"
)

const (
	filePerm = 0o600
	dirPerm  = 0o700
	openNew  = os.O_RDWR | os.O_CREATE | os.O_EXCL
)

// Log is an append log. All methods may be called at once from many goroutines.
type Log struct {
	o    Options
	form Form
	path string // of the file, or of the directory
	lock interface{ Close() error }

	mu      sync.Mutex
	segs    []*segment // by number; appends go to the last if open is set
	open    bool       // the last of segs takes appends
	number  uint64     // of the newest segment there ever was
	next    uint64     // number of the next record
	durable uint64     // number of the last durable record
	bytes   int64      // of all segments, accepted
	pending int64      // accepted and not written
	unsync  int64      // accepted and not durable
	lsn     uint64     // counts everything put into the log
	free    [][]byte   // buffers of BufferBytes
	damage  []CorruptError

	lsnWritten uint64 // what lsn was at the last good flush
	durableLSN uint64 // and at the last good sync

	acked     uint64
	ackSaved  uint64 // what the ack file says
	ackSaveAt time.Time
	retired   Header     // of the segment given up last
	garbage   []*segment // to be deleted
	anchor    uint64     // what durableLSN must have reached before

	err      error // final
	closed   bool  // Close was called
	ended    bool  // the files are closed
	failures int   // segments given up since the last good sync
	full     error // the last write found no room
	room     int64 // bytes that may be accepted before the free space is asked for again
	roomAt   time.Time
	waiting  int  // Appends that wait for room
	blocked  bool // Blocked was called for them

	syncing bool
	cond    *sync.Cond    // end of a sync
	watch   int           // waiters on changed
	tailing int           // those of them that wait for a record to be accepted
	changed chan struct{} // closed when anything changes that a waiter may wait for

	wmu sync.Mutex // held while segments are written or created; taken before mu
	amu sync.Mutex // held while segments are deleted and the ack file is written; taken before wmu and mu

	stop chan struct{} // closed by Close
	kick chan struct{} // wakes the background sync
	done chan struct{} // closed when the background sync has ended; nil if there is none
}

// newLog returns a Log without segments.
func newLog(path string, form Form, o Options) *Log {
	l := &Log{o: o, form: form, path: path, next: 1, changed: make(chan struct{}), stop: make(chan struct{}),
		kick: make(chan struct{}, 1)}
	l.cond = sync.NewCond(&l.mu)
	return l
}

// Append accepts a record and returns its number, the next one. It copies the body. The record is durable after the
// next Sync. In a directory it waits while a limit holds, until ctx ends: the error then is that of ctx and ErrFull.
// A body of more than frame.MaxBody bytes and a kind of the log's own are refused with frame.ErrTooLarge and
// frame.ErrInvalid. An error together with a number means that the record was accepted and the log has failed since.
func (l *Log) Append(ctx context.Context, k frame.Kind, body []byte) (seq uint64, err error) {
	seq, _, err = l.AppendAt(ctx, k, body)
	return seq, err
}

// AppendAt is Append that also returns where the frame starts: in a file the offset for ReadAt.
func (l *Log) AppendAt(ctx context.Context, k frame.Kind, body []byte) (seq uint64, offset int64, err error) {
	f := frame.Frame{Kind: k, Seq: 1, Body: body}
	if err := f.Validate(); err != nil {
		return 0, 0, fmt.Errorf("append: %w", err)
	}
	if k.Control() {
		return 0, 0, fmt.Errorf("append: %w: kind %#x belongs to the log", frame.ErrInvalid, uint8(k))
	}
	sum := frame.Sum(body)
	l.mu.Lock()
	if err := l.admit(ctx, int64(frame.Size(len(body)))); err != nil {
		l.mu.Unlock()
		return 0, 0, fmt.Errorf("append: %w", err)
	}
	f.Seq = l.next
	offset, err = l.put(f, sum)
	if err != nil {
		l.mu.Unlock()
		return 0, 0, fmt.Errorf("append: %w", err)
	}
	l.next++
	if l.tailing > 0 {
		l.notify()
	}
	pending, unsync := l.pending, l.unsync
	l.mu.Unlock()
	if err := l.relieve(pending, unsync); err != nil {
		return f.Seq, offset, fmt.Errorf("append: record %d accepted, then: %w", f.Seq, err)
	}
	return f.Seq, offset, nil
}

// relieve writes or syncs when so much waits that somebody must. Want of room is not an error here: the record is
// accepted, and the next Append waits.
func (l *Log) relieve(pending, unsync int64) error {
	var err error
	limit := int64(l.o.BufferBytes)
	switch {
	case l.o.SyncBytes > 0 && unsync >= l.o.SyncBytes:
		if l.done != nil && unsync < 2*l.o.SyncBytes {
			select {
			case l.kick <- struct{}{}:
			default:
			}
			return nil
		}
		err = l.Sync()
	case pending >= 2*limit:
		l.wmu.Lock()
		err = l.flush()
		l.wmu.Unlock()
	case pending >= limit && l.wmu.TryLock(): // else somebody writes: this goes with the next
		err = l.flush()
		l.wmu.Unlock()
	}
	if err != nil && (fsx.IsNoSpace(err) || errors.Is(err, ErrClosed)) {
		return nil // Close syncs it
	}
	return err
}

// put encodes f into the segment that takes appends, with its mark. It is called with mu held.
func (l *Log) put(f frame.Frame, sum uint32) (offset int64, err error) {
	size := frame.Size(len(f.Body))
	seg, err := l.active(f.Seq, int64(size))
	if err != nil {
		return 0, err
	}
	c := l.chunkFor(seg, size)
	f.Mark = seg.head.Mark
	if c.data, err = frame.AppendSummed(c.data, f, sum); err != nil {
		return 0, err
	}
	offset = seg.accepted.size
	l.grew(seg, int64(size))
	if !f.Kind.Control() {
		seg.note(f.Seq, offset)
	}
	return offset, nil
}

// grew counts n bytes that were put into seg. It is called with mu held.
func (l *Log) grew(seg *segment, n int64) {
	seg.accepted.size += n
	l.bytes += n
	l.pending += n
	l.unsync += n
	l.room -= n
	l.lsn++
}

// active returns the segment that a frame of size bytes goes to, a new one if the last is full. It is called with mu
// held.
func (l *Log) active(first uint64, size int64) (*segment, error) {
	if l.open {
		seg := l.segs[len(l.segs)-1]
		empty := seg.accepted.last < seg.head.First
		if l.form == FormFile || empty || seg.accepted.size+size <= l.o.SegmentBytes {
			return seg, nil
		}
	}
	return l.startSegment(first)
}

// startSegment adds a segment whose first record will be first. Nothing is written yet. It is called with mu held.
func (l *Log) startSegment(first uint64) (*segment, error) {
	m, err := newMark(l.o.Rand)
	if err != nil {
		return nil, err
	}
	h := Header{
		Form: l.form, Lane: l.o.Lane, Mark: m, ID: l.o.ID, Segment: l.number + 1, First: first,
		Created: l.o.Now().UTC(), Prev: l.lastHash(first - 1), Key: l.o.Key,
	}
	none := mark{last: first - 1}
	seg := &segment{head: h, path: l.path, accepted: none, written: none, durable: none}
	if l.form == FormSegment {
		seg.path = filepath.Join(l.path, segmentName(h.Segment))
	}
	c := l.chunkFor(seg, maxHeader)
	before := len(c.data)
	if c.data, err = h.Append(c.data); err != nil {
		return nil, err
	}
	l.number++
	l.segs = append(l.segs, seg)
	l.open = true
	seg.body = int64(len(c.data) - before)
	l.grew(seg, seg.body)
	return seg, nil
}

// lastHash returns the frame.Hash of the frame seq if that is the last one and can be read, else zeros. It is called
// with mu held.
func (l *Log) lastHash(seq uint64) [32]byte {
	for _, seg := range slices.Backward(l.segs) {
		switch {
		case seg.accepted.at > 0 && seg.accepted.last == seq:
			return l.hashAt(seg, seg.accepted.at)
		case seg.head.First == seq+1:
			return seg.head.Prev
		case seg.accepted.last >= seg.head.First:
			return [32]byte{}
		}
	}
	if l.retired.First == seq+1 {
		return l.retired.Prev
	}
	return [32]byte{}
}

// hashAt returns the hash of the frame at off, zeros if it cannot be read. It is called with mu held.
func (l *Log) hashAt(seg *segment, off int64) [32]byte {
	if seg.file == nil && seg.written.size > 0 {
		f, err := l.o.FS.OpenFile(seg.path, os.O_RDONLY, 0)
		if err != nil {
			return [32]byte{}
		}
		seg.file = f
		defer func() { seg.file = nil; _ = f.Close() }() // read only: nothing can be lost
	}
	f, err := seg.frameAt(off)
	if err != nil {
		return [32]byte{}
	}
	return frame.Hash(f)
}

// chunkFor returns the chunk at the end of seg with room for size bytes. It is called with mu held.
func (l *Log) chunkFor(seg *segment, size int) *chunk {
	if n := len(seg.chunks); n > 0 {
		if c := seg.chunks[n-1]; cap(c.data)-len(c.data) >= size {
			return c
		}
	}
	c := &chunk{off: seg.accepted.size}
	switch n := len(l.free); {
	case size > l.o.BufferBytes:
		c.data = make([]byte, 0, size)
	case n > 0:
		c.data = l.free[n-1]
		l.free = l.free[:n-1]
	default:
		c.data = make([]byte, 0, l.o.BufferBytes)
	}
	seg.chunks = append(seg.chunks, c)
	return c
}

// freeChunk keeps the buffer of a chunk that is done with. It is called with mu held.
func (l *Log) freeChunk(c *chunk) {
	if cap(c.data) == l.o.BufferBytes && len(l.free) < 4 {
		l.free = append(l.free, c.data[:0])
	}
	c.data = nil
}

// notify wakes everybody who waits for a change. It is called with mu held.
func (l *Log) notify() {
	if l.watch > 0 {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// Size returns the bytes of the log, those that still wait in memory included.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// LastSeq returns the number of the last record accepted, 0 if there was none.
func (l *Log) LastSeq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next - 1
}

// Durable returns the number of the last durable record, 0 if there is none.
func (l *Log) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Damage returns the damage that was found when the log was opened and by readers since, at most 1024 places.
func (l *Log) Damage() []CorruptError {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]CorruptError(nil), l.damage...)
}

// ReadAt reads the record that starts at offset in a file spool, durable or not. The body is the caller's. The error is
// ErrNotFound where no whole frame starts.
func (l *Log) ReadAt(offset int64) (frame.Frame, error) {
	if l.form != FormFile {
		return frame.Frame{}, fmt.Errorf("read at %d: %w", offset, ErrForm)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return frame.Frame{}, ErrClosed
	}
	view := *l.segs[0]
	if offset < view.body || offset >= view.accepted.size {
		l.mu.Unlock()
		return frame.Frame{}, fmt.Errorf("read at %d of %d: %w", offset, view.accepted.size, ErrNotFound)
	}
	if offset >= view.written.size { // in memory, which moves on
		defer l.mu.Unlock()
	} else {
		l.mu.Unlock()
		view.chunks = nil
	}
	f, err := view.frameAt(offset)
	if errors.Is(err, frame.ErrCorrupt) || errors.Is(err, frame.ErrShort) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return f, err
}

// liveFile reads a file spool with what still waits in memory.
type liveFile struct{ l *Log }

// ReadAt implements io.ReaderAt.
func (r liveFile) ReadAt(p []byte, off int64) (int, error) {
	r.l.mu.Lock()
	seg := r.l.segs[0]
	if r.l.closed {
		r.l.mu.Unlock()
		return 0, ErrClosed
	}
	if off+int64(len(p)) <= seg.written.size {
		file := seg.file
		r.l.mu.Unlock()
		return file.ReadAt(p, off)
	}
	defer r.l.mu.Unlock()
	return seg.readAt(p, off)
}

// Scan returns a Scanner over everything that a file spool has accepted so far, durable or not. It stays good while
// the log is open, and does not see what is appended later.
func (l *Log) Scan() (*Scanner, error) {
	if l.form != FormFile {
		return nil, fmt.Errorf("scan: %w", ErrForm)
	}
	l.mu.Lock()
	size, closed := l.segs[0].accepted.size, l.closed
	l.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	return ReadFile(liveFile{l}, size), nil
}
