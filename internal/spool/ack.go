package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"satchel/internal/frame"
	"satchel/internal/fsx"
)

const (
	// ackName is the file in a directory that tells what was acknowledged.
	ackName = "ack"
	// ackEvery is how long an acknowledgement that deletes nothing may wait in memory. One that is lost means that
	// records are sent again.
	ackEvery = time.Second
	// drainedBytes is the size from which an acknowledged segment is replaced while it still takes appends.
	drainedBytes = 1 << 20
	// maxKept bounds the entries of an ack file.
	maxKept = 4096
	// maxAck is the largest ack file in bytes.
	maxAck = frame.HeaderSize + 28 + 16*maxKept
)

// Ack tells that all records up to through are safe elsewhere, so that their segments may be deleted. Only durable
// records can be acknowledged, others give ErrAhead. What was acknowledged before stays so. A file gives ErrForm.
func (l *Log) Ack(through uint64) error {
	if l.form != FormSegment {
		return fmt.Errorf("acknowledge: %w", ErrForm)
	}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return ErrClosed
	case through <= l.acked:
		l.mu.Unlock()
		return nil
	case through > l.durable:
		last := l.durable
		l.mu.Unlock()
		return fmt.Errorf("acknowledge %d of %d: %w", through, last, ErrAhead)
	}
	l.acked = through
	now := l.o.Now()
	for _, seg := range l.segs {
		if seg.accepted.last <= through && seg.ackedAt.IsZero() {
			seg.ackedAt = now
		}
	}
	l.notify()
	l.mu.Unlock()
	return l.tidy(false)
}

// Acked returns the number up to which everything is acknowledged.
func (l *Log) Acked() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// tidy deletes the acknowledged segments that need not be kept any more, and with force all acknowledged ones, and
// saves the acknowledgement. The order is: the segment that goes on is durable, then the ack file, then the deletion;
// so no crash makes the log forget its numbers.
func (l *Log) tidy(force bool) error {
	l.amu.Lock()
	defer l.amu.Unlock()
	return l.tidyLocked(force, false)
}

// tidyLocked is tidy with amu held; save means that the acknowledgement does not wait.
func (l *Log) tidyLocked(force, save bool) error {
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	victims, err := l.victims(force)
	if len(victims) > 0 {
		l.garbage = append(l.garbage, victims...)
		l.anchor = l.lsn
	}
	if err == nil && l.durableLSN < l.anchor {
		err = l.syncLocked()
	}
	save = save || len(l.garbage) > 0 || l.o.Now().Sub(l.ackSaveAt) >= ackEvery
	save = save && l.acked > l.ackSaved
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("delete acknowledged segments: %w", err)
	}
	if save {
		if err := l.saveAck(); err != nil {
			return err
		}
	}
	l.remove()
	return nil
}

// victims takes the segments out of the log that may be deleted. If the last one is among them, a new one follows it.
// It is called with mu held.
func (l *Log) victims(force bool) ([]*segment, error) {
	n := 0
	var kept int64
	for n < len(l.segs) && l.segs[n].accepted.last <= l.acked {
		kept += l.segs[n].accepted.size + l.segs[n].waste
		n++
	}
	now := l.o.Now()
	i := 0
	for ; i < n; i++ {
		seg := l.segs[i]
		if i == len(l.segs)-1 && !l.drained(seg, force) {
			break
		}
		if !force && l.keeps(seg, kept, now) {
			break
		}
		kept -= seg.accepted.size + seg.waste
	}
	if i == 0 {
		return nil, nil
	}
	if i == len(l.segs) {
		if _, err := l.startSegment(l.next); err != nil {
			return nil, err
		}
	}
	victims := l.segs[:i:i]
	l.segs = append([]*segment(nil), l.segs[i:]...)
	return victims, nil
}

// drained tells whether the last segment, all acknowledged, is worth replacing by an empty one, or must be, because its
// header does not tell where the log stands. It is called with mu held.
func (l *Log) drained(seg *segment, force bool) bool {
	if seg.accepted.last < seg.head.First && seg.damaged == "" {
		return false // empty itself
	}
	return force || seg.damaged != "" || seg.accepted.size >= min(drainedBytes, l.o.SegmentBytes)
}

// keeps tells whether an acknowledged segment is still wanted, when kept bytes are acknowledged in all.
func (l *Log) keeps(seg *segment, kept int64, now time.Time) bool {
	if l.o.KeepAckedBytes <= 0 && l.o.KeepAckedFor <= 0 {
		return false
	}
	if l.o.KeepAckedBytes > 0 && kept > l.o.KeepAckedBytes {
		return false
	}
	return l.o.KeepAckedFor <= 0 || now.Sub(seg.ackedAt) < l.o.KeepAckedFor
}

// remove deletes what was taken out of the log. What cannot be deleted now (on Windows, while a reader has it open)
// counts as used and is tried again. It is called with amu held.
func (l *Log) remove() {
	l.mu.Lock()
	garbage := l.garbage
	l.garbage = nil
	l.mu.Unlock()
	var left []*segment
	for _, seg := range garbage {
		l.mu.Lock()
		file := seg.file
		seg.file = nil
		l.mu.Unlock()
		if file != nil {
			_ = file.Close() // it is deleted anyway
		}
		if err := l.o.FS.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			left = append(left, seg)
			continue
		}
		l.mu.Lock()
		l.bytes -= seg.accepted.size + seg.waste
		l.notify()
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.garbage = append(l.garbage, left...)
	l.mu.Unlock()
}

// ackState is the content of an ack file.
type ackState struct {
	through uint64
	last    uint64 // last durable record at that time
	at      time.Time
	kept    []keptSegment
}

// keptSegment tells when a segment was acknowledged.
type keptSegment struct {
	segment uint64
	at      time.Time
}

// saveAck writes the ack file. It is called with amu held.
func (l *Log) saveAck() error {
	l.mu.Lock()
	a := ackState{through: l.acked, last: l.durable, at: l.o.Now()}
	for _, seg := range l.segs {
		if !seg.ackedAt.IsZero() && len(a.kept) < maxKept {
			a.kept = append(a.kept, keptSegment{seg.head.Segment, seg.ackedAt})
		}
	}
	l.mu.Unlock()
	b, err := a.encode()
	if err == nil {
		err = fsx.WriteFileAtomic(l.o.FS, filepath.Join(l.path, ackName), filePerm, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
	}
	if err != nil {
		err = fmt.Errorf("save acknowledgement: %w", err)
		l.distrustNames(err)
		return err
	}
	l.mu.Lock()
	l.ackSaved, l.ackSaveAt = a.through, a.at
	l.mu.Unlock()
	return nil
}

// distrustNames gives up the segments whose names are not durable yet, after a sync of the directory may have failed:
// the kernel may have forgotten them, and report the next sync as good.
func (l *Log) distrustNames(cause error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seg := range l.segs {
		if seg.file != nil && !seg.named {
			_ = l.giveUp(seg, cause) // a final error is in l.err
			return
		}
	}
}

// encode returns the bytes of an ack file.
func (a ackState) encode() ([]byte, error) {
	le := binary.LittleEndian
	b := le.AppendUint64(nil, a.through)
	b = le.AppendUint64(b, a.last)
	b = le.AppendUint64(b, uint64(a.at.UnixNano()))
	b = le.AppendUint32(b, uint32(len(a.kept)))
	for _, k := range a.kept {
		b = le.AppendUint64(b, k.segment)
		b = le.AppendUint64(b, uint64(k.at.UnixNano()))
	}
	return frame.Append(nil, frame.Frame{Kind: kindAck, Seq: a.through, Body: b})
}

// parseAck decodes an ack file. The error is a *CorruptError.
func parseAck(b []byte) (ackState, error) {
	bad := func(reason string) (ackState, error) {
		return ackState{}, &CorruptError{Length: int64(len(b)), Reason: "ack file: " + reason}
	}
	f, n, err := frame.Parse(b)
	switch {
	case err != nil:
		return bad(err.Error())
	case n != len(b) || f.Kind != kindAck || len(f.Body) < 28:
		return bad("it is not one")
	}
	le := binary.LittleEndian
	time64 := func(b []byte) time.Time { return time.Unix(0, int64(le.Uint64(b))).UTC() }
	a := ackState{through: le.Uint64(f.Body), last: le.Uint64(f.Body[8:]), at: time64(f.Body[16:])}
	count, rest := le.Uint32(f.Body[24:]), f.Body[28:]
	if a.through > frame.MaxSeq || a.last > frame.MaxSeq {
		return bad("numbers beyond the limit")
	}
	if count > maxKept || len(rest) != int(count)*16 {
		return bad("count does not fit")
	}
	for ; len(rest) > 0; rest = rest[16:] {
		a.kept = append(a.kept, keptSegment{le.Uint64(rest), time64(rest[8:])})
	}
	return a, nil
}
