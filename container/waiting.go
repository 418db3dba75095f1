package container

import (
	"context"
	"sync"
	"time"

	"satchel/internal/entry"
)

// waitingRoom knows what was accepted and stands in the queue behind a member
// that takes long. What waits longer than a sync should take goes to the spool
// as well, so that accepted bytes are durable after a second whatever stands
// before them. It is at most what the queue may hold, once.
type waitingRoom struct {
	mu    sync.Mutex
	first *waiter
	last  *waiter
	size  int64 // of the data of all
}

// waiter is accepted data that is not appended yet.
type waiter struct {
	since      time.Time
	upload     *entry.Upload // its record: whole for a small member, nil if nothing is to be saved
	offset     int64         // of data in the upload
	data       []byte
	saved      bool
	in         bool
	prev, next *waiter
}

// enter adds a waiter at the end.
func (r *waitingRoom) enter(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.in, w.prev = true, r.last
	r.size += int64(len(w.data))
	if r.last != nil {
		r.last.next = w
	} else {
		r.first = w
	}
	r.last = w
}

// leave takes a waiter out: its data may be reused afterwards.
func (r *waitingRoom) leave(w *waiter) { r.settle(w, func() {}) }

// settle calls appended, which tells a sync what was appended, and takes the
// waiter out, both in one step: whoever saves what waits meets the waiter, or
// its record is there for the sync to take. So nothing falls between the two,
// and no piece is saved behind the record that ends its upload.
func (r *waitingRoom) settle(w *waiter, appended func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	appended()
	if !w.in {
		return
	}
	r.size -= int64(len(w.data))
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		r.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		r.last = w.prev
	}
	w.in, w.prev, w.next, w.data = false, nil, nil, nil
}

// bytes is how much waits.
func (r *waitingRoom) bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size
}

// save calls f for every waiter that has waited since before a time and was
// not saved, oldest first. Nobody leaves meanwhile.
func (r *waitingRoom) save(before time.Time, f func(*waiter) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := r.first; w != nil && w.since.Before(before); w = w.next {
		if w.saved {
			continue
		}
		if err := f(w); err != nil {
			return err
		}
		w.saved = true
	}
	return nil
}

// recordWaiting writes what waits in the queue for too long to the spool.
func (w *Writer) recordWaiting() error {
	before := w.opts.Now().Add(-w.opts.SyncEvery / 2)
	return w.pipe.waiting.save(before, func(x *waiter) error { return w.recordChunk(x.upload, x.offset, x.data) })
}

// recordChunk writes a piece of an upload, and what is known of it, to the
// spool.
func (w *Writer) recordChunk(u *entry.Upload, offset int64, data []byte) error {
	ctx := context.Background()
	prog := entry.AppendProgress(nil, &entry.Progress{Upload: *u})
	if err := w.appendRecord(ctx, entry.KindProgress, prog, func(int64) {}); err != nil {
		return err
	}
	chunk := entry.AppendChunk(getBuffer(len(data)+64), entry.Chunk{UploadID: u.ID, Offset: offset, Data: data})
	defer putBuffer(chunk)
	return w.appendRecord(ctx, entry.KindChunk, chunk, func(int64) {})
}
