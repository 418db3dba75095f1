package filesystem

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrAbandoned says that the system did not answer a call and that the wait for
// it was given up. The goroutine in that call stays until the system answers;
// nothing else waits for it.
var ErrAbandoned = errors.New("no answer from the system, given up")

// patience bounds how long a system call on a file is waited for. A call on a
// dead network share, a hung FUSE daemon or a dying disk cannot be cancelled:
// it runs in a goroutine of its own, and whoever wanted its answer goes on
// without it when the limit is over.
type patience struct {
	// stall is how long one call may take.
	stall time.Duration
	// grace is how long a call may take after the context has ended.
	grace time.Duration
	// abandoned counts the calls that are still out there.
	abandoned atomic.Int64
}

// await runs call and returns its answer. When the wait is over first, it
// returns an error that wraps ErrAbandoned, and context's error if that ended.
// What call uses must not be touched again after that; late, if not nil, is
// given the answer when it comes at last, to close what was opened.
func await[T any](ctx context.Context, p *patience, what string, call func() T, late func(T)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	done := make(chan T, 1)
	var gone atomic.Bool
	go func() {
		v := call()
		done <- v
		if !gone.CompareAndSwap(false, true) { // nobody took it
			p.abandoned.Add(-1)
			if late != nil {
				late(v)
			}
		}
	}()
	limit := time.NewTimer(p.stall)
	defer limit.Stop()
	cancelled := ctx.Done()
	for {
		select {
		case v := <-done:
			return v, nil
		case <-cancelled:
			cancelled = nil
			limit.Reset(min(p.grace, p.stall))
			continue
		case <-limit.C:
		}
		if !gone.CompareAndSwap(false, true) {
			return <-done, nil // it came at the last moment
		}
		p.abandoned.Add(1)
		if err := context.Cause(ctx); err != nil {
			return none, fmt.Errorf("%s: %w: %w", what, ErrAbandoned, err)
		}
		return none, fmt.Errorf("%s: %w after %v", what, ErrAbandoned, p.stall)
	}
}
