package entry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrMalformed is the reason of every body that cannot be decoded.
var ErrMalformed = errors.New("malformed entry")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Field encoding: integers are varints (zig-zag where signed), strings and byte
// strings are a uvarint length and the bytes, a time is the varint of its
// seconds since 1970 plus one and the uvarint of its nanoseconds, 0 alone when
// unknown; a list is a uvarint count and its items.

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	dst = binary.AppendVarint(dst, t.Unix())
	return binary.AppendUvarint(dst, uint64(t.Nanosecond()))
}

// reader walks a body. The first error sticks; values read after it are zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = malformed("%s: %d bytes left", what, len(r.b))
	}
	r.b = nil
}

func (r *reader) uvarint(what string) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint(what string) int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// size reads a uvarint that must fit a non-negative int64.
func (r *reader) size(what string) int64 {
	v := r.uvarint(what)
	if v > 1<<63-1 {
		r.fail(what)
		return 0
	}
	return int64(v)
}

// upTo reads an integer of at most max.
func (r *reader) upTo(what string, max uint64) uint64 {
	v := r.uvarint(what)
	if v > max {
		r.fail(what)
		return 0
	}
	return v
}

// bytes returns a piece of the body itself, not a copy.
func (r *reader) bytes(what string) []byte {
	n := r.uvarint(what)
	if n > uint64(len(r.b)) {
		r.fail(what)
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) string(what string) string { return string(r.bytes(what)) }

func (r *reader) bool(what string) bool { return r.byte(what) == 1 }

func (r *reader) byte(what string) byte {
	if len(r.b) == 0 {
		r.fail(what)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	if v > 1 {
		r.fail(what)
		return 0
	}
	return v
}

func (r *reader) time(what string) time.Time {
	if r.byte(what) == 0 {
		return time.Time{}
	}
	sec := r.varint(what)
	nsec := r.uvarint(what)
	if nsec >= 1e9 {
		r.fail(what)
		return time.Time{}
	}
	if r.err != nil {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// count reads the length of a list whose items take at least min bytes each.
func (r *reader) count(what string, min int) int {
	n := r.uvarint(what)
	if n > uint64(len(r.b)/min) {
		r.fail(what)
		return 0
	}
	return int(n)
}

func (r *reader) hash(what string) (h [32]byte) {
	if len(r.b) < len(h) {
		r.fail(what)
		return h
	}
	copy(h[:], r.b)
	r.b = r.b[len(h):]
	return h
}

func (r *reader) strings(what string) []string {
	n := r.count(what, 1)
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, r.string(what))
	}
	return out
}

func appendStrings(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return dst
}
