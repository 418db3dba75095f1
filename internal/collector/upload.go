package collector

import (
	"context"
	"fmt"
	"sync"

	"satchel/internal/flow"
)

// Upload begins a file unless it is too large: the error then has the outcome
// over_limit.
func (g *guard) Upload(ctx context.Context, u flow.Upload) (flow.UploadWriter, error) {
	if g.isSealed() {
		return nil, errSealed
	}
	if size := storedSize(u); g.maxFile > 0 && size > g.maxFile {
		return nil, g.tooLarge("%s has %d bytes, the limit of one file is %d", u.Path, size, g.maxFile)
	}
	if g.own(u) {
		return nil, &flow.OutcomeError{Outcome: flow.NotApplicable, Err: errOwn}
	}
	u.Source = g.source
	w, err := g.sink.Upload(ctx, u)
	if err != nil {
		return nil, err
	}
	up := &upload{ctx: ctx, guard: g, path: u.Path, inner: w}
	g.mu.Lock()
	sealed := g.sealed
	if !sealed {
		g.open[up] = struct{}{}
	}
	g.mu.Unlock()
	if sealed {
		up.end(errSealed)
		return nil, errSealed
	}
	return up, nil
}

// storedSize is how many bytes the upload will bring, -1 when that is not
// known.
func storedSize(u flow.Upload) int64 {
	if len(u.Ranges) == 0 {
		return u.Size
	}
	var n int64
	for _, r := range u.Ranges {
		if !r.Sparse {
			n += r.Length
		}
	}
	return n
}

// upload counts the bytes of one file and can be ended from outside.
type upload struct {
	ctx   context.Context // of the call that uploads; throttling ends with it
	guard *guard
	path  string

	mu    sync.Mutex
	inner flow.UploadWriter // nil when it has ended
	bytes int64
}

// Write passes bytes on within the limits.
func (u *upload) Write(p []byte) (int, error) {
	u.guard.throttle.Wait(u.ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.inner == nil {
		return 0, errSealed
	}
	if limit := u.guard.maxFile; limit > 0 && u.bytes > limit-int64(len(p)) {
		return 0, u.guard.tooLarge("%s has more than %d bytes, the limit of one file", u.path, limit)
	}
	if err := u.guard.take(int64(len(p))); err != nil {
		return 0, fmt.Errorf("%s: %w", u.path, err)
	}
	u.bytes += int64(len(p))
	return u.inner.Write(p)
}

// Commit ends the upload as whole.
func (u *upload) Commit() (flow.Stored, error) {
	w := u.release()
	if w == nil {
		return flow.Stored{}, errSealed
	}
	stored, err := w.Commit()
	if err == nil && !stored.Duplicate {
		u.guard.count()
	}
	return stored, err
}

// Abort ends the upload early.
func (u *upload) Abort(cause error) error {
	w := u.release()
	if w == nil {
		return errSealed
	}
	u.mu.Lock()
	kept := u.bytes > 0
	u.mu.Unlock()
	if kept {
		u.guard.count()
	}
	return w.Abort(cause)
}

// end aborts the upload from outside; its own goroutine then finds it sealed.
func (u *upload) end(cause error) {
	if w := u.release(); w != nil {
		_ = w.Abort(cause) // the item is reported with the cause already
	}
}

// release takes the inner writer away, so that it is ended once.
func (u *upload) release() flow.UploadWriter {
	u.mu.Lock()
	w := u.inner
	u.inner = nil
	u.mu.Unlock()
	u.guard.mu.Lock()
	delete(u.guard.open, u)
	u.guard.mu.Unlock()
	return w
}

func (g *guard) count() {
	g.mu.Lock()
	g.uploads++
	g.mu.Unlock()
	g.totals.add(0, 0, 1, 0)
}
