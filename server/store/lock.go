package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// holder is lock.json: who has the lock. It is words for a person; the lock
// itself is the operating system's, and goes with the process.
type holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Command string    `json:"command"`
	User    string    `json:"user,omitempty"`
	Since   time.Time `json:"since"`
}

// LockedError says that another process writes to the store.
type LockedError struct {
	Dir     string
	PID     int // 0 when the other left no note
	Host    string
	Command string
	Since   time.Time
}

// Error names the process that has the lock.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("store %s is being written by another process: try again when it is done", e.Dir)
	}
	return fmt.Sprintf("store %s is being written by %s (process %d on %s, since %s): try again when it is done",
		e.Dir, e.Command, e.PID, e.Host, e.Since.Format(time.RFC3339))
}

type lock struct{ f *flock.Flock }

// takeLock waits up to o.LockWait for the store's one lock.
func takeLock(ctx context.Context, dir string, root *os.Root, o Options) (*lock, error) {
	f := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	ok, err := f.TryLock()
	if err == nil && !ok && o.LockWait > 0 {
		wait, cancel := context.WithTimeout(ctx, o.LockWait)
		defer cancel()
		ok, err = f.TryLockContext(wait, 50*time.Millisecond)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock store %s: %w", dir, err)
	}
	if !ok {
		e := &LockedError{Dir: dir}
		var h holder
		if readJSON(root, "lock.json", 1<<16, &h) == nil {
			e.PID, e.Host, e.Command, e.Since = h.PID, h.Host, h.Command, h.Since
		}
		return nil, e
	}
	l := &lock{f: f}
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	command := o.Command
	if command == "" {
		command = "another program"
	}
	h := holder{PID: os.Getpid(), Host: host, Command: command, User: o.User, Since: o.Now().UTC()}
	if err := writeJSON(root, "lock.json", h); err != nil {
		return nil, errors.Join(fmt.Errorf("lock store %s: %w", dir, err), l.release(root))
	}
	return l, nil
}

// release removes the note and gives the lock back. The empty file stays: to
// remove it would let two processes lock two files of that name.
func (l *lock) release(root *os.Root) error {
	err := removeIfThere(root, "lock.json")
	if uerr := l.f.Unlock(); uerr != nil {
		err = errors.Join(err, fmt.Errorf("unlock store: %w", uerr))
	}
	return err
}
