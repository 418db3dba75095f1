package filesystem

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"satchel/internal/flow"
	"satchel/vql"
)

func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &patience{stall: time.Minute, grace: 2 * time.Second}
		got, err := await(t.Context(), p, "work", func() int {
			time.Sleep(59 * time.Second)
			return 7
		}, nil)
		if got != 7 || err != nil {
			t.Errorf("slow answer: %d, %v", got, err)
		}
		release, late := make(chan struct{}), atomic.Int64{}
		hang := func() int {
			<-release
			return 9
		}
		start := time.Now()
		_, err = await(t.Context(), p, "hang", hang, func(n int) { late.Store(int64(n)) })
		if !errors.Is(err, ErrAbandoned) || time.Since(start) != time.Minute || p.abandoned.Load() != 1 {
			t.Errorf("hang: %v after %v, %d abandoned", err, time.Since(start), p.abandoned.Load())
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(vql.ErrTimeout) })
		start = time.Now()
		_, err = await(ctx, p, "cancelled", hang, nil)
		if !errors.Is(err, ErrAbandoned) || !errors.Is(err, vql.ErrTimeout) || time.Since(start) != 3*time.Second {
			t.Errorf("cancelled: %v after %v", err, time.Since(start))
		}
		if _, err := await(ctx, p, "never", func() int { t.Error("was called"); return 0 }, nil); err == nil {
			t.Error("no error after the end of the context")
		}
		close(release)
		synctest.Wait()
		if late.Load() != 9 || p.abandoned.Load() != 0 {
			t.Errorf("late answer %d, %d abandoned", late.Load(), p.abandoned.Load())
		}
	})
}

// stuck is a handle whose reads never end until it is let go.
type stuck struct {
	release chan struct{}
	closed  atomic.Bool
}

func (h *stuck) read(p []byte, at int64) (int, error) {
	if at == 0 {
		return copy(p, "begin"), nil
	}
	<-h.release
	return copy(p, "late"), io.EOF
}
func (h *stuck) fact() (fact, error)                { return fact{size: 100}, nil }
func (h *stuck) ranges(int64) ([]flow.Range, error) { return nil, nil }
func (h *stuck) close() error                       { h.closed.Store(true); return nil }

// TestFileAbandoned reads a file that stops answering: the reader goes on, and
// what the call holds is let go when it comes back.
func TestFileAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &stuck{release: make(chan struct{})}
		f := &file{patience: &patience{stall: time.Minute, grace: time.Second}, buffers: &sync.Pool{New: func() any { b := make([]byte, 5); return &b }}, ctx: t.Context(), h: h, first: fact{size: 100}}
		b := make([]byte, 10)
		if n, err := f.Read(b); err != nil || string(b[:n]) != "begin" {
			t.Fatalf("%q, %v", b[:n], err)
		}
		if _, err := f.Read(b); !errors.Is(err, ErrAbandoned) {
			t.Fatalf("error %v", err)
		}
		if outcomeOf(ErrAbandoned) != flow.Abandoned {
			t.Error("outcome is not abandoned")
		}
		if _, err := f.Read(b); !errors.Is(err, ErrClosed) {
			t.Errorf("read after: %v", err)
		}
		if err := f.Close(); err != nil || h.closed.Load() {
			t.Errorf("close: %v; closed under the call: %v", err, h.closed.Load())
		}
		close(h.release)
		synctest.Wait()
		if !h.closed.Load() {
			t.Error("the file stays open")
		}
	})
}
