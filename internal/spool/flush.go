package spool

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"satchel/internal/frame"
	"satchel/internal/fsx"
)

// maxFailures is how many segments in a row are given up before the error is final.
const maxFailures = 3

// job is bytes to be written.
type job struct {
	seg  *segment
	c    *chunk
	data []byte
}

// flush writes everything accepted so far to the files. It is called with wmu held and mu not. An error that is ErrFull
// leaves everything as it is for the next try; any other one is final.
func (l *Log) flush() error {
	for {
		l.mu.Lock()
		if l.err != nil || l.ended {
			defer l.mu.Unlock()
			return cmp.Or(l.err, ErrClosed)
		}
		jobs, marks := l.jobs()
		covered := l.lsn
		l.mu.Unlock()
		bad, err := l.write(jobs)
		l.mu.Lock()
		if err == nil {
			l.wrote(jobs, marks, covered)
			l.mu.Unlock()
			return nil
		}
		if fsx.IsNoSpace(err) {
			l.full = err
			l.mu.Unlock()
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		err = l.giveUp(bad, err)
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// jobs lists what is accepted and not written, and how far every segment will be then. It is called with mu held.
func (l *Log) jobs() ([]job, map[*segment]mark) {
	var jobs []job
	marks := map[*segment]mark{}
	for _, seg := range l.segs {
		if seg.written.size == seg.accepted.size {
			continue
		}
		marks[seg] = seg.accepted
		for _, c := range seg.chunks {
			if c.written < len(c.data) {
				jobs = append(jobs, job{seg, c, c.data[c.written:len(c.data):len(c.data)]})
			}
		}
	}
	return jobs, marks
}

// write does the jobs; it is called with wmu held and returns the segment that failed.
func (l *Log) write(jobs []job) (*segment, error) {
	for _, j := range jobs {
		l.mu.Lock()
		file := j.seg.file
		l.mu.Unlock()
		if file == nil {
			f, err := l.o.FS.OpenFile(j.seg.path, openNew, filePerm)
			if err != nil {
				return j.seg, fmt.Errorf("create segment %d: %w", j.seg.head.Segment, err)
			}
			file = f
			l.mu.Lock()
			j.seg.file = f
			l.mu.Unlock()
		}
		if _, err := file.WriteAt(j.data, j.c.off+int64(j.c.written)); err != nil {
			return j.seg, fmt.Errorf("write segment %d: %w", j.seg.head.Segment, err)
		}
	}
	return nil, nil
}

// wrote takes notice of written jobs. It is called with wmu and mu held.
func (l *Log) wrote(jobs []job, marks map[*segment]mark, covered uint64) {
	for _, j := range jobs {
		j.c.written += len(j.data)
		l.pending -= int64(len(j.data))
	}
	for seg, m := range marks {
		seg.written = m
		if l.form == FormFile {
			seg.release(m.size, l.freeChunk)
		}
	}
	l.lsnWritten = covered
	if l.full != nil {
		l.full = nil
		l.notify()
	}
}

// Sync makes every record accepted before the call durable. Callers that come while a sync runs wait for it and share
// the next one. An error that is ErrFull is not final: nothing is lost and the next Sync tries again. Any other error of
// a file spool is final.
func (l *Log) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return l.syncLocked()
}

// syncLocked is Sync with mu held.
func (l *Log) syncLocked() error {
	target := l.lsn
	for l.durableLSN < target {
		if l.err != nil {
			return l.err
		}
		if l.syncing {
			l.cond.Wait()
			continue
		}
		l.syncing = true
		l.mu.Unlock()
		err := l.commit()
		l.mu.Lock()
		l.syncing = false
		l.cond.Broadcast()
		if err != nil {
			return err
		}
	}
	return nil
}

// commit writes and syncs everything accepted so far. It is called by one goroutine at a time and without mu.
func (l *Log) commit() error {
	for {
		l.wmu.Lock()
		err := l.flush()
		l.mu.Lock()
		covered := l.lsnWritten
		dirty := l.dirty()
		l.mu.Unlock()
		l.wmu.Unlock()
		if err != nil {
			return err
		}
		bad, err := l.syncFiles(dirty)
		if err == nil {
			l.mu.Lock()
			ok := l.synced(dirty, covered)
			l.mu.Unlock()
			if ok {
				return nil
			}
			continue
		}
		l.wmu.Lock()
		l.mu.Lock()
		err = l.giveUp(bad, err)
		l.mu.Unlock()
		l.wmu.Unlock()
		if err != nil {
			return err
		}
	}
}

// unsynced is a segment to be synced.
type unsynced struct {
	seg   *segment
	file  fsx.File
	upTo  mark
	named bool
}

// dirty lists the segments that have to be synced. It is called with mu held.
func (l *Log) dirty() []unsynced {
	var out []unsynced
	for _, seg := range l.segs {
		if seg.durable.size < seg.written.size {
			out = append(out, unsynced{seg, seg.file, seg.written, seg.named})
		}
	}
	return out
}

// syncFiles syncs segments and the names of new ones, and returns the one that failed.
func (l *Log) syncFiles(dirty []unsynced) (*segment, error) {
	var unnamed *segment
	for _, u := range dirty {
		if err := u.file.Sync(); err != nil {
			return u.seg, fmt.Errorf("sync segment %d: %w", u.seg.head.Segment, err)
		}
		if !u.named && unnamed == nil {
			unnamed = u.seg
		}
	}
	if unnamed == nil {
		return nil, nil
	}
	if err := l.o.FS.SyncDir(filepath.Dir(unnamed.path)); err != nil {
		return unnamed, fmt.Errorf("sync directory of segment %d: %w", unnamed.head.Segment, err)
	}
	return nil, nil
}

// synced takes notice of synced segments, unless one of them was given up meanwhile: then its records are on their way
// to another one, and that must be synced. It is called with mu held.
func (l *Log) synced(dirty []unsynced, covered uint64) bool {
	for _, u := range dirty {
		if u.seg.retired {
			return false
		}
	}
	for _, u := range dirty {
		seg := u.seg
		l.unsync -= u.upTo.size - seg.durable.size
		seg.durable = u.upTo
		l.durable = max(l.durable, u.upTo.last)
		seg.named = true
		seg.release(seg.durable.size, l.freeChunk)
		done := seg.durable.size == seg.accepted.size && !(l.open && seg == l.segs[len(l.segs)-1])
		if done && l.form == FormSegment {
			_ = seg.file.Close() // synced: closing cannot lose anything
			seg.file = nil
		}
	}
	l.durableLSN = covered
	l.failures = 0
	l.notify()
	return true
}

// fail makes err the final error. It is called with mu held.
func (l *Log) fail(err error) error {
	if l.err == nil {
		l.err = err
	}
	l.notify()
	l.cond.Broadcast()
	return l.err
}

// giveUp ends the segment bad and those behind it after a failed write or sync: what is durable of them stays, the
// rest is put into a new segment, under the same numbers. In a file, and after too many failures, the error is final
// and returned. It is called with wmu and mu held.
func (l *Log) giveUp(bad *segment, cause error) error {
	i := slices.Index(l.segs, bad)
	if i < 0 {
		return nil
	}
	if !fsx.IsNoSpace(cause) {
		l.failures++
	}
	if l.form == FormFile || l.failures > maxFailures {
		return l.fail(cause)
	}
	old := slices.Clone(l.segs[i:])
	wasOpen := l.open
	l.retired = bad.head
	l.segs, l.open = l.segs[:i], false
	var rest [][]byte
	for _, seg := range old {
		rest = append(rest, seg.undurable()...)
		l.pending -= seg.accepted.size - seg.written.size
		l.unsync -= seg.accepted.size - seg.durable.size
		l.retire(seg)
	}
	for _, b := range rest {
		if err := l.putAll(b); err != nil {
			return l.fail(err)
		}
	}
	for _, seg := range old {
		seg.chunks = nil
	}
	if wasOpen && !l.open { // it may have been there to remember the numbers
		if _, err := l.startSegment(l.next); err != nil {
			return l.fail(err)
		}
	}
	return nil
}

// undurable returns the bytes of the frames that are not durable.
func (s *segment) undurable() [][]byte {
	var out [][]byte
	from := max(s.durable.size, s.body)
	for _, c := range s.chunks {
		skip := max(0, from-c.off)
		if skip < int64(len(c.data)) {
			out = append(out, c.data[skip:])
		}
	}
	return out
}

// retire keeps the durable part of a segment that is given up, or throws the segment away. It is called with mu held.
func (l *Log) retire(seg *segment) {
	if seg.file != nil {
		_ = seg.file.Close() // it has failed already
		seg.file = nil
	}
	seg.retired = true
	// What was written behind the durable part is in the way of nobody: readers stop at the first number of the
	// next segment. It counts as used space.
	seg.waste = seg.written.size - seg.durable.size
	l.bytes -= seg.accepted.size - seg.written.size
	seg.accepted, seg.written = seg.durable, seg.durable
	if seg.durable.size == 0 {
		l.garbage = append(l.garbage, seg)
		return
	}
	for n := len(seg.index); n > 0 && seg.index[n-1].off >= seg.durable.size; n-- {
		seg.index = seg.index[:n-1]
	}
	l.segs = append(l.segs, seg)
}

// putAll puts encoded frames into the log again. It is called with mu held.
func (l *Log) putAll(b []byte) error {
	for len(b) > 0 {
		f, n, err := frame.Parse(b)
		if err != nil {
			return fmt.Errorf("write again: %w", err)
		}
		if _, err := l.put(f, frame.Sum(f.Body)); err != nil {
			return fmt.Errorf("write again: %w", err)
		}
		b = b[n:]
	}
	return nil
}
