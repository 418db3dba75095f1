package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"satchel/internal/frame"
	"satchel/internal/fsx"
)

// maxDamage is how many damaged places a log remembers.
const maxDamage = 1024

// OpenFile opens a spool of one file and makes it if it is not there. One that is there is read once from start to end,
// gets a resume mark and goes on behind it; what a crash left before the mark stays as it is and is told by Damage. Two
// logs must not have one file open at once: the caller sees to that. The file is not durable before the first Sync.
func OpenFile(path string, o Options) (*Log, error) {
	o = o.withDefaults(FormFile)
	f, err := o.FS.OpenFile(path, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	l := newLog(path, FormFile, o)
	if err := l.loadFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", path, err), f.Close())
	}
	l.start()
	return l, nil
}

// loadFile reads what is in the file, or gives it a header.
func (l *Log) loadFile(f fsx.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	size := st.Size()
	if size == 0 {
		seg, err := l.startSegment(1)
		if err == nil {
			seg.file = f
		}
		return err
	}
	s := ReadFile(f, size)
	seg := &segment{path: l.path, file: f, body: s.body, damaged: s.damaged}
	for s.Next() {
		seg.note(s.Frame().Seq, s.Offset())
	}
	if err := s.Err(); err != nil {
		return err
	}
	l.damage = s.Damage()
	last := max(seg.accepted.last, s.sc.Claimed())
	again, err := l.resumeHeader(s, last+1)
	if err != nil {
		return err
	}
	seg.head = again
	seg.head.First = 1
	if h, err := s.Header(); err == nil {
		seg.head = h
	}
	seg.accepted.size = size
	if last > seg.accepted.last {
		seg.accepted.last, seg.accepted.at = last, 0
	}
	seg.written = seg.accepted
	l.segs, l.open, l.number, l.next, l.bytes = []*segment{seg}, true, 1, last+1, size
	// The rest of an earlier run may be in memory of the kernel only: it counts from the first Sync.
	seg.durable = mark{last: seg.head.First - 1}
	l.unsync = size
	body, err := resume{good: s.good, size: size, head: again}.append(nil)
	if err != nil {
		return err
	}
	_, err = l.put(frame.Frame{Kind: kindResume, Seq: last, Body: body}, frame.Sum(body))
	return err
}

// resumeHeader makes the header of a new run of the file that s has read.
func (l *Log) resumeHeader(s *Scanner, next uint64) (Header, error) {
	m := s.sc.Mark()
	if m == 0 {
		var err error
		if m, err = newMark(l.o.Rand); err != nil {
			return Header{}, err
		}
	}
	return Header{Form: FormFile, Lane: l.o.Lane, Mark: m, ID: l.o.ID, Segment: 1, First: next,
		Created: l.o.Now().UTC(), Key: l.o.Key}, nil
}

// OpenDir opens a spool of segments in a directory and makes it if it is not there. It locks the directory: one that is
// open already gives fsx.ErrLocked. Segments that are there stay as they are; the next record starts a new one.
func OpenDir(dir string, o Options) (*Log, error) {
	o = o.withDefaults(FormSegment)
	if err := makeDir(o.FS, dir); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := o.FS.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	l := newLog(dir, FormSegment, o)
	l.lock = lock
	if err := l.loadDir(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", dir, err), lock.Close())
	}
	l.start()
	return l, nil
}

// makeDir makes a directory and its parents, and their names durable.
func makeDir(f fsx.FS, dir string) error {
	dir = filepath.Clean(dir)
	made := []string{dir}
	for d := filepath.Dir(dir); d != made[len(made)-1]; d = filepath.Dir(d) {
		made = append(made, d)
		if _, err := f.Stat(d); err == nil {
			break
		}
	}
	if err := f.MkdirAll(dir, dirPerm); err != nil {
		return err
	}
	for _, d := range made[1:] {
		if err := f.SyncDir(d); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
	}
	return nil
}

const (
	lockName      = "lock"
	segmentSuffix = ".seg"
)

// segmentName returns the file name of a segment.
func segmentName(n uint64) string { return fmt.Sprintf("%012d%s", n, segmentSuffix) }

// segmentNumber returns the number of the segment with this file name, 0 if it is not the name of one.
func segmentNumber(name string) uint64 {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || segmentName(n) != name {
		return 0
	}
	return n
}

// loadDir reads the segments that are there, as far as it must: all headers, and the frames of the last ones.
func (l *Log) loadDir() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.o.FS.SyncDir(l.path); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	segs, damage, err := loadSegments(l.o.FS, l.path, true)
	if err != nil {
		return err
	}
	ack, spoiled, err := loadAck(l.o.FS, l.path, segs)
	if err != nil {
		return err
	}
	l.segs, l.damage = segs, append(damage, spoiled...)
	l.acked, l.ackSaved, l.ackSaveAt = ack.through, ack.through, ack.at
	last := max(ack.through, ack.last)
	for _, seg := range segs {
		last = max(last, seg.accepted.last)
		l.bytes += seg.accepted.size
		l.number = seg.head.Segment
	}
	l.next, l.durable = last+1, last
	now := l.o.Now()
	for _, seg := range segs {
		if seg.accepted.last > l.acked {
			break
		}
		seg.ackedAt = now
		for _, k := range ack.kept {
			if k.segment == seg.head.Segment && k.at.Before(now) {
				seg.ackedAt = k.at
			}
		}
	}
	return nil
}

// loadAck reads the ack file of a directory with these segments. One that is not there means that nothing was
// acknowledged. One that is damaged is returned as damage; then what was deleted before the first segment tells what
// was acknowledged.
func loadAck(f fsx.FS, dir string, segs []*segment) (ackState, []CorruptError, error) {
	b, err := readSmall(f, filepath.Join(dir, ackName), maxAck)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ackState{}, nil, nil
	case err != nil:
		return ackState{}, nil, fmt.Errorf("read ack file: %w", err)
	}
	a, err := parseAck(b)
	var ce *CorruptError
	if errors.As(err, &ce) {
		if len(segs) > 0 && segs[0].damaged == "" {
			a.through = segs[0].head.First - 1
		}
		return a, []CorruptError{*ce}, nil
	}
	return a, nil, err
}

// readSmall reads a file of at most limit bytes; of a longer one it reads one byte more than limit.
func readSmall(f fsx.FS, name string, limit int64) (b []byte, err error) {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// loadSegments lists the segments in a directory by number, with what is known of them. The frames of the last ones
// are read to learn the last number. With sync everything is made durable, because what an earlier process wrote may be
// in the memory of the kernel only.
func loadSegments(f fsx.FS, dir string, sync bool) ([]*segment, []CorruptError, error) {
	entries, err := f.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		if n := segmentNumber(e.Name()); n > 0 && e.Type().IsRegular() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	segs := make([]*segment, 0, len(numbers))
	var damage []CorruptError
	next := uint64(0) // first number of the segment that follows, 0: not known
	for _, n := range slices.Backward(numbers) {
		seg := &segment{path: filepath.Join(dir, segmentName(n)), head: Header{Segment: n}}
		d, err := seg.load(f, next, sync)
		if err != nil {
			return nil, nil, fmt.Errorf("segment %d: %w", n, err)
		}
		damage = append(d, damage...)
		if seg.head.First > 0 {
			next = seg.head.First
		}
		segs = append(segs, seg)
	}
	slices.Reverse(segs)
	last := uint64(0)
	for _, seg := range segs {
		if seg.head.First == 0 { // nothing can be read of it
			seg.head.First, seg.accepted.last = last+1, last
		}
		last = max(last, seg.accepted.last)
		seg.written, seg.durable = seg.accepted, seg.accepted
	}
	return segs, damage[:min(len(damage), maxDamage)], nil
}

// load reads the header of a segment that is there. If the number that follows it is not known (0), or the header
// cannot be read, it reads the frames too. Of a segment without header and frames the first number stays 0.
func (s *segment) load(f fsx.FS, next uint64, sync bool) (damage []CorruptError, err error) {
	flag := os.O_RDONLY
	if sync {
		flag = os.O_RDWR // Windows syncs nothing else
	}
	file, err := f.OpenFile(s.path, flag, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	number := s.head.Segment
	if sync {
		if err := file.Sync(); err != nil {
			damage = append(damage, CorruptError{Segment: number, Reason: "sync: " + err.Error()})
		}
	}
	sc := ReadFile(file, st.Size())
	head, herr := sc.Header()
	if errors.Is(herr, ErrVersion) {
		return nil, herr
	}
	s.head, s.body, s.damaged, s.named = head, sc.body, sc.damaged, true
	s.head.Segment = number
	s.accepted = mark{size: st.Size(), last: max(head.First, 1) - 1}
	if herr != nil || next == 0 {
		if err := s.scan(sc); err != nil {
			return nil, err
		}
		for _, d := range sc.Damage() {
			d.Segment = number
			damage = append(damage, d)
		}
	}
	if next > 0 {
		// The next segment rules: what stands here under its numbers was given up.
		s.head.First = min(s.head.First, next)
		s.accepted.last, s.accepted.at = next-1, 0
	}
	return damage, nil
}

// scan reads all frames of a segment, to know where they are and which is the last.
func (s *segment) scan(sc *Scanner) error {
	for sc.Next() {
		if s.head.First == 0 {
			s.head.First = sc.Frame().Seq
		}
		s.note(sc.Frame().Seq, sc.Offset())
	}
	if c := sc.sc.Claimed(); c > s.accepted.last {
		s.accepted.last, s.accepted.at = c, 0
	}
	return sc.Err()
}

// start begins the background sync, if one is wanted.
func (l *Log) start() {
	if l.o.SyncEvery <= 0 {
		return
	}
	l.done = make(chan struct{})
	go l.background()
}

// background syncs every SyncEvery and when it is kicked, and tidies up. Its errors are found by the next Append or
// Sync.
func (l *Log) background() {
	defer close(l.done)
	t := time.NewTicker(l.o.SyncEvery)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
		case <-t.C:
			if l.form == FormSegment {
				_ = l.tidy(false)
			}
		}
		_ = l.Sync()
	}
}

// Close syncs and closes the log and returns the first error that made it fail. Readers and waiting Appends end with
// ErrClosed. A second Close does nothing.
func (l *Log) Close() error { return l.close(true) }

// Discard is Close for a file that the caller removes next: nothing is written or synced any more. A directory gives
// ErrForm.
func (l *Log) Discard() error {
	if l.form != FormFile {
		return fmt.Errorf("discard: %w", ErrForm)
	}
	return l.close(false)
}

// close is Close, and Discard without keep.
func (l *Log) close(keep bool) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true // for everybody else
	close(l.stop)
	l.notify()
	var err error
	if keep {
		err = l.syncLocked()
	}
	l.mu.Unlock()
	if l.done != nil {
		<-l.done
	}
	l.amu.Lock() // from here on nobody starts a sync
	defer l.amu.Unlock()
	if l.form == FormSegment && err == nil {
		err = l.tidyLocked(false, true)
	}
	l.mu.Lock()
	for l.syncing {
		l.cond.Wait()
	}
	l.mu.Unlock()
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, seg := range slices.Concat(l.segs, l.garbage) {
		if seg.file == nil {
			continue
		}
		if cerr := seg.file.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("close segment %d: %w", seg.head.Segment, cerr)
		}
		seg.file = nil
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	return err
}
