package container

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"satchel/internal/entry"
	"satchel/internal/frame"
)

// syncLoop makes the container durable every so often: by time, or earlier
// when enough bytes have gathered. A failed sync stops the container: after it
// nobody knows what the disk holds.
func (w *Writer) syncLoop() {
	defer close(w.syncDone)
	tick := time.NewTicker(w.opts.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		case <-w.syncNow:
		}
		if err := w.sync(); err != nil {
			w.pipe.fail(err)
			return
		}
		w.checkSpace()
	}
}

// sync makes everything appended so far durable. The order is what salvage
// relies on: the container's bytes first, then the records that speak of them.
// After an error nobody knows what the disk holds: it stays.
func (w *Writer) sync() error {
	w.syncMu.Lock()
	defer w.syncMu.Unlock()
	if w.syncErr == nil {
		w.syncErr = w.syncLocked()
	}
	return w.syncErr
}

func (w *Writer) syncLocked() error {
	// What waits is saved first: what is appended from then on is in pending.
	if w.pipe != nil {
		if err := w.recordWaiting(); err != nil {
			return err
		}
	}
	w.pendMu.Lock()
	pending, prog := w.pending, w.prog
	w.pending = nil
	w.sinceOff = w.out.offset()
	w.pendMu.Unlock()

	dirty, err := w.out.flush()
	if err != nil {
		return err
	}
	if dirty {
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("sync the container: %w", err)
		}
	}
	if err := w.record(pending, prog); err != nil {
		return err
	}
	if w.pipe != nil {
		if err := w.recordSlow(); err != nil {
			return err
		}
	}
	if err := w.spool.Sync(); err != nil {
		return fmt.Errorf("sync the spool: %w", err)
	}
	return nil
}

// record writes the records of durable members and uploads to the spool.
func (w *Writer) record(pending []pendingRecord, prog *progress) error {
	ctx := context.Background()
	buf := getBuffer(1024)
	defer func() { putBuffer(buf) }()
	for _, p := range pending {
		if p.known != nil {
			buf = entry.AppendProgress(buf[:0], &entry.Progress{Upload: *p.known})
			if err := w.appendRecord(ctx, entry.KindProgress, buf, func(int64) {}); err != nil {
				return err
			}
		}
		if p.member != nil {
			buf = entry.AppendMember(buf[:0], p.member)
			if err := w.appendRecord(ctx, entry.KindMember, buf, func(int64) { w.led.members++ }); err != nil {
				return err
			}
		}
		if p.upload != nil {
			buf = entry.AppendUpload(buf[:0], p.upload)
			var at int64
			if err := w.appendRecord(ctx, entry.KindUpload, buf, func(off int64) { at = off; w.led.addUpload(p.upload) }); err != nil {
				return err
			}
			w.book.recorded(p.upload.ID, at)
		}
	}
	if prog == nil || prog == w.saved {
		return nil // none, or no block has come since
	}
	w.saved = prog
	buf = entry.AppendProgress(buf[:0], &entry.Progress{Upload: prog.upload, Member: &prog.member})
	return w.appendRecord(ctx, entry.KindProgress, buf, func(int64) {})
}

func (w *Writer) appendRecord(ctx context.Context, kind frame.Kind, body []byte, then func(offset int64)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, offset, err := w.spool.AppendAt(ctx, kind, body)
	if err != nil {
		return fmt.Errorf("write to the spool: %w", err)
	}
	then(offset)
	return nil
}

// recorded notes where the record of an ended upload lies.
func (b *nameBook) recorded(id uint64, offset int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key, ok := b.keys[id]
	if !ok {
		return
	}
	delete(b.keys, id)
	delete(b.ending, key)
	b.done[key] = offset
}

// recordSlow writes to the spool what slow uploads have given and no block
// holds yet, so that a source that trickles loses no more than a second.
func (w *Writer) recordSlow() error {
	w.book.mu.Lock()
	open := make([]*upload, 0, len(w.open))
	for _, u := range w.open {
		open = append(open, u)
	}
	w.book.mu.Unlock()
	for _, u := range open {
		if err := u.recordSlow(w.opts.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (u *upload) recordSlow(now time.Time) error {
	if !u.mu.TryLock() {
		return nil // its caller is writing: it is not slow
	}
	defer u.mu.Unlock()
	fresh := u.buf[min(int(u.chunked), len(u.buf)):]
	if u.shut != nil || len(fresh) == 0 || now.Sub(u.since) < u.w.opts.SyncEvery/2 {
		return nil
	}
	if err := u.w.recordChunk(&u.rec, u.flushed+u.chunked, fresh); err != nil {
		return err
	}
	u.chunked += int64(len(fresh))
	return nil
}

// spaceEvery is how much the output may grow until the free space is asked for
// again, besides after every sync.
const spaceEvery = 4 << 20

// leastSpace is what must be free besides the floor for a container to begin.
const leastSpace = 1 << 20

// enoughSpace refuses to begin where the floor is reached already.
func (o Options) enoughSpace(path string) error {
	dir := filepath.Dir(path)
	free, err := o.FS.Free(dir)
	if err != nil || free >= o.MinFreeBytes+leastSpace {
		return nil // a file system that does not tell is no reason to stop
	}
	return fmt.Errorf("%w: %d bytes are free in %s, where %d must stay free and a container needs %d", ErrNoSpace, free, dir, o.MinFreeBytes, int64(leastSpace))
}

// checkSpaceSoon asks for the free space if the output has grown enough since
// it was last asked for: a fast source can fill a disk between two syncs.
func (w *Writer) checkSpaceSoon() {
	now, last := w.out.offset()+w.spool.Size(), w.spaceAt.Load()
	if now-last >= spaceEvery && w.spaceAt.CompareAndSwap(last, now) {
		w.checkSpace()
	}
}

// checkSpace stops taking rows and uploads when the free space would not hold
// what Close writes.
func (w *Writer) checkSpace() {
	if w.limit.Load() != nil {
		return
	}
	free, err := w.opts.FS.Free(filepath.Dir(w.path))
	if err != nil {
		return // a file system that does not tell is no reason to stop
	}
	closing := uint64(w.reserve() + w.pipe.waiting.bytes() + 2*spaceEvery)
	if free >= w.opts.MinFreeBytes+closing {
		return
	}
	err = fmt.Errorf("%w: %d bytes are free, %d must stay free and closing the container needs %d", ErrNoSpace, free, w.opts.MinFreeBytes, closing)
	w.limit.CompareAndSwap(nil, &err)
	w.opts.Log.Warn("the output is nearly full: no more rows and files are taken", "free", free, "floor", w.opts.MinFreeBytes, "closing", closing)
}
