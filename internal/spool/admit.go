package spool

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"time"
)

// askAgain is how often a log without room looks whether there is some, and how long it trusts what it was told about
// the free space.
const askAgain = time.Second

// admit waits until a frame of size bytes may be accepted. It is called with mu held, which it gives up while it waits.
func (l *Log) admit(ctx context.Context, size int64) error {
	need := size + int64(headerFixed+len(l.o.Key)+headerSum)
	if l.o.MaxBytes > 0 && need > l.o.MaxBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, need, l.o.MaxBytes)
	}
	for {
		switch {
		case l.closed:
			return ErrClosed
		case l.err != nil:
			return l.err
		}
		why, timed := l.obstacle(need)
		if why == "" {
			if l.waiting == 0 {
				l.blocked = false
			}
			return nil
		}
		if l.full != nil && l.retry() {
			continue
		}
		if l.form == FormFile {
			return fmt.Errorf("%w: %s", ErrFull, why)
		}
		if l.makeRoom() {
			continue
		}
		if err := l.wait(ctx, why, timed); err != nil {
			return err
		}
	}
}

// obstacle tells why need bytes cannot be accepted, or nothing, and whether that can end without the log noticing. It
// is called with mu held.
func (l *Log) obstacle(need int64) (why string, timed bool) {
	if l.full != nil {
		return fmt.Sprintf("the disk is full: %v", l.full), true
	}
	if l.o.MaxBytes > 0 && l.bytes+need > l.o.MaxBytes {
		return fmt.Sprintf("the spool has reached its limit of %d bytes", l.o.MaxBytes), false
	}
	if l.o.MinFreeBytes == 0 {
		return "", false
	}
	now := l.o.Now()
	if need <= l.room && now.Sub(l.roomAt) < askAgain {
		return "", false
	}
	dir := l.path
	if l.form == FormFile {
		dir = filepath.Dir(l.path)
	}
	free, err := l.o.FS.Free(dir)
	if err != nil {
		return fmt.Sprintf("the free space is not known: %v", err), true
	}
	l.room, l.roomAt = -l.pending, now
	if free > l.o.MinFreeBytes {
		l.room += int64(min(free-l.o.MinFreeBytes, math.MaxInt64/2))
	}
	if need > l.room {
		return fmt.Sprintf("the disk has %d bytes free, of which %d are to be left", free, l.o.MinFreeBytes), true
	}
	return "", false
}

// retry tries again to write what found no room. It is called with mu held, which it gives up meanwhile.
func (l *Log) retry() bool {
	l.mu.Unlock()
	l.wmu.Lock()
	err := l.flush()
	l.wmu.Unlock()
	l.mu.Lock()
	return err == nil
}

// makeRoom deletes what is acknowledged and only kept for a while, and tells whether that was anything. It is called
// with mu held, which it gives up meanwhile.
func (l *Log) makeRoom() bool {
	before := l.bytes
	l.mu.Unlock()
	_ = l.tidy(true) // what it cannot do now it tries again later; a final error is found in l.err
	l.mu.Lock()
	l.room = 0
	return l.bytes < before
}

// wait waits for a change, at most askAgain if timed, and says once why. It is called with mu held, which it gives up
// meanwhile.
func (l *Log) wait(ctx context.Context, why string, timed bool) error {
	say := !l.blocked && l.o.Blocked != nil
	l.blocked = true
	l.waiting++
	l.watch++
	changed := l.changed
	l.mu.Unlock()
	if say {
		l.o.Blocked(why)
	}
	var expired <-chan time.Time
	if timed {
		t := time.NewTimer(askAgain)
		defer t.Stop()
		expired = t.C
	}
	var err error
	select {
	case <-changed:
	case <-expired:
	case <-l.stop:
	case <-ctx.Done():
		err = fmt.Errorf("%w: %s: %w", ErrFull, why, context.Cause(ctx))
	}
	l.mu.Lock()
	l.watch--
	l.waiting--
	return err
}
