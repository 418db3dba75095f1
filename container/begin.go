package container

import (
	"context"
	"fmt"
	"math"
	"slices"

	"satchel/internal/entry"
	"satchel/internal/flow"
)

// Upload implements flow.Sink. A file that was uploaded before, of the same
// accessor, path and name, gives a writer that stores nothing; one that is
// under way is waited for.
func (w *Writer) Upload(ctx context.Context, u flow.Upload) (flow.UploadWriter, error) {
	if err := checkUpload(&u); err != nil {
		return nil, fmt.Errorf("upload of %.200q: %w", u.Path, err)
	}
	key := uploadKey(&u)
	for {
		up, first, err := w.beginUpload(ctx, u, key)
		if err != nil || up != nil {
			return up, err
		}
		select {
		case <-first.ended:
		case <-w.pipe.failed:
			return nil, w.pipe.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// maxRecord bounds the names in the record of an upload, in bytes. It and the
// runs of a sparse file must fit a frame of the spool.
const maxRecord = 1 << 20

// checkUpload refuses what could not be recorded, before anything is accepted,
// and makes u the writer's own.
func checkUpload(u *flow.Upload) error {
	size := len(u.Source) + len(u.Accessor) + len(u.Path)
	for _, c := range u.Components {
		size += len(c)
	}
	if size > maxRecord {
		return fmt.Errorf("its names have %d bytes, the limit is %d", size, maxRecord)
	}
	if len(u.Ranges) > entry.MaxRanges {
		return fmt.Errorf("%d runs in a sparse file are over the limit of %d: upload it as a plain one", len(u.Ranges), entry.MaxRanges)
	}
	if len(u.Ranges) == 0 {
		u.Ranges = nil
		return nil
	}
	var end int64
	for i, r := range u.Ranges {
		if r.Offset < end || r.Length < 0 || r.Length > math.MaxInt64-r.Offset {
			return fmt.Errorf("run %d of the sparse file, %d bytes at %d, does not lie behind the one before, which ends at %d", i, r.Length, r.Offset, end)
		}
		end = r.Offset + r.Length
	}
	u.Ranges = slices.Clone(u.Ranges)
	return nil
}

// beginUpload returns a writer, or the upload of the same file that is under
// way.
func (w *Writer) beginUpload(ctx context.Context, u flow.Upload, key [16]byte) (flow.UploadWriter, *upload, error) {
	if err := w.enter(); err != nil {
		return nil, nil, err
	}
	defer w.gate.RUnlock()
	if err := w.room(); err != nil {
		return nil, nil, err
	}
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	if first := w.book.seen[key]; first != nil {
		return nil, first, nil
	}
	if stored, ok, err := w.uploadedBefore(key); err != nil || ok {
		return duplicate{stored}, nil, err
	}
	up := newUpload(ctx, w, w.lastID.Add(1), u, key)
	up.comps, up.name = w.book.claim(uploadComponents(&u), u.Ranges != nil)
	up.rec.Member = up.name
	up.rec.Upload.Components = up.comps[2:]
	w.book.seen[key] = up
	w.open[up.rec.ID] = up
	return up, nil, nil
}

// uploadedBefore looks an ended upload up. The caller holds book.mu.
func (w *Writer) uploadedBefore(key [16]byte) (flow.Stored, bool, error) {
	rec := w.book.ending[key]
	if rec == nil {
		offset, ok := w.book.done[key]
		if !ok {
			return flow.Stored{}, false, nil
		}
		f, err := w.spool.ReadAt(offset)
		if err != nil {
			return flow.Stored{}, false, fmt.Errorf("look up an earlier upload: %w", err)
		}
		u, err := entry.DecodeUpload(f.Body)
		if err != nil {
			return flow.Stored{}, false, fmt.Errorf("look up an earlier upload: %w", err)
		}
		rec = &u
	}
	return flow.Stored{
		SHA256: rec.SHA256, MD5: rec.MD5, SHA1: rec.SHA1, StoredSize: rec.StoredSize, Name: "/" + rec.Member,
		Components: uploadComponents(&rec.Upload), ID: rec.ID, Duplicate: true,
	}, true, nil
}

// uploadEnding notes a whole upload before its record is queued, so that it is
// known whenever the record reaches the spool.
func (w *Writer) uploadEnding(u *upload) {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	w.book.ending[u.key] = u.known()
	w.book.keys[u.rec.ID] = u.key
}

// uploadEnded takes an upload off the list of open ones.
func (w *Writer) uploadEnded(u *upload, err error) {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	delete(w.open, u.rec.ID)
	delete(w.book.seen, u.key)
	if _, waits := w.book.keys[u.rec.ID]; waits && err != nil {
		delete(w.book.keys, u.rec.ID)
		delete(w.book.ending, u.key)
	}
	close(u.ended)
}

// queueSmall hands a small member to the pipeline.
func (w *Writer) queueSmall(ctx context.Context, s *smallMember) error {
	if err := w.pipe.budget.Acquire(ctx, smallWeight(len(s.plain))); err != nil {
		return err
	}
	if s.wait.upload != nil {
		w.pipe.waiting.enter(&s.wait)
	}
	if err := w.pipe.enqueue(ctx, s); err != nil {
		w.pipe.waiting.leave(&s.wait)
		w.pipe.budget.Release(smallWeight(len(s.plain)))
		return err
	}
	w.pipe.do(s)
	return nil
}
