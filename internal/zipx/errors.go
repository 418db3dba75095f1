package zipx

import (
	"errors"
	"fmt"
)

var (
	// ErrNotZip means that there is no end of a central directory.
	ErrNotZip = errors.New("not a ZIP archive, or one that was cut")
	// ErrEncrypted means that a member's data is encrypted.
	ErrEncrypted = errors.New("ZIP member is encrypted")
	// ErrMethod means that a compression method is not supported.
	ErrMethod = errors.New("unsupported ZIP compression method")
	// ErrCorrupt is wrapped by every [CorruptError].
	ErrCorrupt = errors.New("corrupt ZIP archive")
	// ErrLimit is wrapped by every [LimitError].
	ErrLimit = errors.New("ZIP archive exceeds a limit")
	// ErrNotFound means that the archive has no member of that name.
	ErrNotFound = errors.New("no such ZIP member")
)

// CorruptError tells what is damaged and where.
type CorruptError struct {
	Member string // empty when it is not about one member
	Offset int64  // of the damaged record or data, from the start of the file
	Reason string
	Err    error // what a decoder said, or nil
}

// Error describes the damage.
func (e *CorruptError) Error() string {
	s := fmt.Sprintf("corrupt ZIP archive at offset %d: %s", e.Offset, e.Reason)
	if e.Member != "" {
		s = fmt.Sprintf("corrupt ZIP member %.200q at offset %d: %s", e.Member, e.Offset, e.Reason)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is makes every CorruptError an ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns what a decoder said.
func (e *CorruptError) Unwrap() error { return e.Err }

// LimitError tells which limit an archive exceeds.
type LimitError struct {
	Member string // empty when it is about the archive
	Limit  string // name of the field in Limits
	Value  uint64 // what the archive has
	Max    uint64 // what is allowed
}

// Error describes the limit.
func (e *LimitError) Error() string {
	if e.Member != "" {
		return fmt.Sprintf("ZIP member %.200q exceeds %s: %d of %d", e.Member, e.Limit, e.Value, e.Max)
	}
	return fmt.Sprintf("ZIP archive exceeds %s: %d of %d", e.Limit, e.Value, e.Max)
}

// Unwrap returns ErrLimit.
func (e *LimitError) Unwrap() error { return ErrLimit }
