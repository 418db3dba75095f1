package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"time"

	"satchel/internal/frame"
	"satchel/internal/fsx"
)

// From returns the durable records from number seq on, in order, and at the end waits for more until ctx ends or the log
// is closed. The body of a frame is valid until the next one. Several readers may run at once, beside appends.
//
// An error that is a *CorruptError or a *GapError is news about the records that follow, and the iteration goes on
// behind it; any other one is its end: that of ctx, ErrClosed, or one of the file system. Damaged bytes are told before
// the gap that they make.
func (l *Log) From(ctx context.Context, seq uint64) iter.Seq2[frame.Frame, error] {
	return l.read(ctx, seq, true)
}

// Stored is From without the waiting: it ends after the last record that is durable then.
func (l *Log) Stored(ctx context.Context, seq uint64) iter.Seq2[frame.Frame, error] {
	return l.read(ctx, seq, false)
}

// read is From and Stored.
func (l *Log) read(ctx context.Context, seq uint64, tail bool) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		c := cursor{fs: l.o.FS, want: max(1, seq), found: l.found}
		defer c.close()
		for {
			l.mu.Lock()
			v, ok := view{}, false
			closed := l.closed
			if !closed {
				v, ok = locate(l.segs, c.want, l.acked)
			}
			l.mu.Unlock()
			var err error
			switch {
			case ok:
				var more bool
				if more, err = c.read(ctx, v, yield); !more {
					return
				}
			case closed:
				err = ErrClosed
			case !tail:
				return
			default:
				c.close() // an idle reader is in the way of nobody who deletes
				err = l.await(ctx, c.want)
			}
			if err != nil {
				yield(frame.Frame{}, fmt.Errorf("read spool from %d: %w", c.want, err))
				return
			}
		}
	}
}

// await waits until the record seq may be durable. Records that are accepted and not durable it syncs itself, after
// SyncTail.
func (l *Log) await(ctx context.Context, seq uint64) error {
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	armed := false
	delay := max(0, l.o.SyncTail)
	l.mu.Lock()
	l.watch++
	defer func() { l.watch--; l.mu.Unlock() }()
	for {
		if _, ok := locate(l.segs, seq, 0); ok {
			return nil
		}
		switch {
		case l.closed:
			return ErrClosed
		case l.err != nil:
			return l.err
		case l.next > seq && !armed:
			armed = true
			timer.Reset(delay)
		}
		if err := l.nap(ctx, timer, &armed); err != nil {
			return err
		}
		if l.full != nil {
			delay = askAgain
		}
	}
}

// nap waits for a change, or for the timer to sync what is accepted. It is called with mu held, which it gives up
// meanwhile.
func (l *Log) nap(ctx context.Context, timer *time.Timer, armed *bool) error {
	changed := l.changed
	if !*armed {
		l.tailing++
		defer func() { l.tailing-- }()
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-changed:
	case <-timer.C:
		*armed = false
		if err := l.Sync(); err != nil && !errors.Is(err, ErrFull) {
			return err
		}
	}
	return nil
}

// view is what a reader needs to know of a segment.
type view struct {
	segment uint64 // its number, 0 for a file
	path    string
	mark    uint16
	first   uint64 // number of its first record
	last    uint64 // number of its last durable record
	end     int64  // where that ends
	from    place  // where to start reading; off 0 with a damaged header, seq 0 if the number there is not known
	damaged string // why the header cannot be read
	deleted uint64 // records up to this number were acknowledged
}

// locate finds the segment to read the record want from: the first that reaches as far. It is called with the mutex
// held that guards segs.
func locate(segs []*segment, want, acked uint64) (view, bool) {
	for _, s := range segs {
		if s.durable.size == 0 || s.durable.last < want {
			continue
		}
		v := view{segment: s.head.Segment, path: s.path, mark: s.head.Mark, first: s.head.First, last: s.durable.last,
			end: s.durable.size, from: place{s.head.First, s.body}, damaged: s.damaged, deleted: acked}
		if s.head.Form == FormFile {
			v.segment = 0
		}
		if s.damaged != "" {
			v.from = place{}
		}
		if p, ok := s.start(want); ok && want > s.head.First { // else from the start, to see all damage
			v.from = p
		}
		return v, true
	}
	return view{}, false
}

// cursor reads records in order from one segment after the other.
type cursor struct {
	fs    fsx.FS
	want  uint64 // number of the next record
	found func(*CorruptError)

	open view
	file fsx.File
	sc   *frame.Scanner
	told int // of sc.Damage
}

// close closes the file that is open.
func (c *cursor) close() {
	if c.file != nil {
		_ = c.file.Close() // only read
	}
	c.file, c.sc = nil, nil
}

// read yields the records of a segment from want on, and sets want behind its last. more is false when the user ended
// the iteration.
func (c *cursor) read(ctx context.Context, v view, yield func(frame.Frame, error) bool) (more bool, err error) {
	if c.want < v.first {
		if !c.gap(v.first-1, v.deleted, yield) {
			return false, nil
		}
	}
	if err := c.enter(v); err != nil {
		if errors.Is(err, fs.ErrNotExist) && c.want <= v.deleted {
			return true, nil // deleted this moment: locate finds the next one
		}
		return true, err
	}
	for ctx.Err() == nil {
		ok := c.sc.Next()
		if !c.tell(yield) {
			return false, nil
		}
		if !ok {
			break
		}
		f := c.sc.Frame()
		if f.Kind.Control() || f.Seq < c.want {
			continue
		}
		if f.Seq > v.last {
			break
		}
		if f.Seq > c.want && !c.gap(f.Seq-1, 0, yield) {
			return false, nil
		}
		c.want = f.Seq + 1
		if !yield(f, nil) {
			return false, nil
		}
	}
	if err := c.sc.Err(); err != nil {
		return true, err
	}
	if err := ctx.Err(); err != nil {
		return true, context.Cause(ctx)
	}
	if c.want <= v.last && v.last != math.MaxUint64 {
		return c.gap(v.last, 0, yield), nil
	}
	return true, nil
}

// enter opens the segment, or goes on in it where it stopped.
func (c *cursor) enter(v view) error {
	if c.file != nil && c.open.path == v.path && c.sc.Err() == nil {
		c.sc.Extend(v.end)
		c.sc.Expect(frame.Expect{Mark: c.sc.Mark(), Next: c.want})
		c.open = v
		return nil
	}
	c.close()
	f, err := c.fs.OpenFile(v.path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	c.file, c.open, c.told = f, v, 0
	c.sc = frame.NewScanner(f, v.from.off, v.end-v.from.off)
	c.sc.Expect(frame.Expect{Mark: v.mark, Next: v.from.seq})
	return nil
}

// tell yields the damage that was found since the last call.
func (c *cursor) tell(yield func(frame.Frame, error) bool) bool {
	for _, d := range c.sc.Damage()[c.told:] {
		c.told++
		e := &CorruptError{Segment: c.open.segment, Offset: d.Offset, Length: d.Length, Reason: string(d.Reason)}
		if d.Offset == 0 && c.open.damaged != "" {
			e.Reason = c.open.damaged
		}
		if c.found != nil {
			c.found(e)
		}
		if !yield(frame.Frame{}, e) {
			return false
		}
	}
	return true
}

// gap yields that the records from want to last are missing, and goes on behind them.
func (c *cursor) gap(last, acked uint64, yield func(frame.Frame, error) bool) bool {
	for c.want <= last {
		g := &GapError{First: c.want, Last: last}
		if c.want <= acked {
			g.Last, g.Deleted = min(last, acked), true
		}
		c.want = g.Last + 1
		if !yield(frame.Frame{}, g) {
			return false
		}
	}
	return true
}

// found remembers damage that a reader met.
func (l *Log) found(e *CorruptError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.damage {
		if d.Segment == e.Segment && d.Offset == e.Offset {
			return
		}
	}
	if len(l.damage) < maxDamage {
		l.damage = append(l.damage, *e)
	}
}

// ReadDir returns the records of a directory spool from number seq on as evidence: nothing is locked, made durable or
// changed. The errors are those of From, where the end of the records is the end of the iteration.
func ReadDir(ctx context.Context, f fsx.FS, dir string, seq uint64) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		segs, damage, err := loadSegments(f, dir, false)
		if err != nil {
			yield(frame.Frame{}, fmt.Errorf("read spool: %w", err))
			return
		}
		ack, spoiled, err := loadAck(f, dir, segs)
		if err != nil {
			yield(frame.Frame{}, fmt.Errorf("read spool: %w", err))
			return
		}
		damage = append(damage, spoiled...)
		told := map[place]bool{}
		c := cursor{fs: f, want: max(1, seq), found: func(e *CorruptError) { told[place{e.Segment, e.Offset}] = true }}
		defer c.close()
		for {
			v, ok := locate(segs, c.want, ack.through)
			if !ok {
				break
			}
			more, err := c.read(ctx, v, yield)
			if err != nil {
				yield(frame.Frame{}, fmt.Errorf("read spool from %d: %w", c.want, err))
				return
			}
			if !more {
				return
			}
		}
		for i := range damage { // where no record is left, so that no reader comes by
			if d := damage[i]; !told[place{d.Segment, d.Offset}] && !yield(frame.Frame{}, &d) {
				return
			}
		}
	}
}
