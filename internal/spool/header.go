package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"satchel/internal/frame"
)

const (
	// headerMagic starts every segment and every spool file.
	headerMagic = "SATSPOOL"
	// Version is the version of the format that this package writes. It reads this one only.
	Version = 1
	// headerFixed is the size of a header without its key slot, headerSum the size of the checksum at its end.
	headerFixed = 92
	headerSum   = 4
	// MaxKey is the largest key slot in bytes.
	MaxKey = 32 << 10
	// maxHeader is the largest header in bytes.
	maxHeader = headerFixed + MaxKey + headerSum
)

// Form is how a log lies on disk.
type Form uint8

// The forms.
const (
	FormFile    Form = 1 // one file
	FormSegment Form = 2 // one of the segments in a directory
)

// Lane says which of the logs of a Spool a segment belongs to.
type Lane uint8

// The lanes. A log that stands alone has lane 0.
const (
	LaneRows Lane = 1 // rows, events, logs, status
	LaneBulk Lane = 2 // chunks of uploads
)

// String returns the name of the lane, which is that of its directory.
func (l Lane) String() string {
	switch l {
	case LaneRows:
		return "rows"
	case LaneBulk:
		return "bulk"
	}
	return fmt.Sprintf("lane%d", uint8(l))
}

// Header starts every segment and every spool file.
type Header struct {
	Form    Form
	Lane    Lane
	Mark    uint16    // of every frame behind it, never 0
	ID      [16]byte  // of the spool it was written for, zero if there is none
	Segment uint64    // number of the segment; 1 for a file
	First   uint64    // number of the first frame
	Created time.Time // nanoseconds, UTC
	Prev    [32]byte  // frame.Hash of the frame First-1; zero if there is none or it is not known
	Key     []byte    // the wrapped key of sealed frames, at most MaxKey bytes; empty where nothing is sealed
}

// Append encodes h behind dst. It fails if the key is too long or a field has no valid value.
func (h Header) Append(dst []byte) ([]byte, error) {
	if len(h.Key) > MaxKey {
		return dst, fmt.Errorf("encode spool header: key slot of %d bytes, at most %d", len(h.Key), MaxKey)
	}
	if err := h.validate(); err != nil {
		return dst, fmt.Errorf("encode spool header: %w", err)
	}
	at := len(dst)
	le := binary.LittleEndian
	dst = append(dst, headerMagic...)
	dst = le.AppendUint16(dst, Version)
	dst = le.AppendUint16(dst, uint16(headerFixed+len(h.Key)+headerSum))
	dst = append(dst, byte(h.Form), byte(h.Lane))
	dst = le.AppendUint16(dst, h.Mark)
	dst = append(dst, h.ID[:]...)
	dst = le.AppendUint64(dst, h.Segment)
	dst = le.AppendUint64(dst, h.First)
	dst = le.AppendUint64(dst, uint64(h.Created.UnixNano()))
	dst = append(dst, h.Prev[:]...)
	dst = le.AppendUint16(dst, uint16(len(h.Key)))
	dst = le.AppendUint16(dst, 0)
	dst = append(dst, h.Key...)
	return le.AppendUint32(dst, crc32.Checksum(dst[at:], crc32.MakeTable(crc32.Castagnoli))), nil
}

// validate checks the fields that have a range.
func (h Header) validate() error {
	switch {
	case h.Form != FormFile && h.Form != FormSegment:
		return fmt.Errorf("form %d", h.Form)
	case h.Mark == 0:
		return errors.New("mark 0")
	case h.Segment == 0:
		return errors.New("segment 0")
	case h.First == 0 || h.First > frame.MaxSeq:
		return fmt.Errorf("first number %d", h.First)
	}
	return nil
}

// ParseHeader decodes the header that b starts with and returns it and its size in bytes. The error is a *CorruptError
// if there is no whole header, or wraps ErrVersion if it is of a version that this package does not know.
func ParseHeader(b []byte) (Header, int, error) {
	bad := func(reason string) (Header, int, error) {
		return Header{}, 0, &CorruptError{Length: int64(len(b)), Reason: "header: " + reason}
	}
	le := binary.LittleEndian
	if len(b) < headerFixed+headerSum {
		return bad("too short")
	}
	if string(b[:8]) != headerMagic {
		return bad("no magic")
	}
	n := int(le.Uint16(b[10:]))
	if n < headerFixed+headerSum || n > len(b) {
		return bad("length does not fit")
	}
	sum := n - headerSum
	if crc32.Checksum(b[:sum], crc32.MakeTable(crc32.Castagnoli)) != le.Uint32(b[sum:]) {
		return bad("checksum does not match")
	}
	if v := le.Uint16(b[8:]); v != Version {
		return Header{}, 0, fmt.Errorf("spool header: version %d: %w", v, ErrVersion)
	}
	h := Header{
		Form: Form(b[12]), Lane: Lane(b[13]), Mark: le.Uint16(b[14:]), ID: [16]byte(b[16:32]),
		Segment: le.Uint64(b[32:]), First: le.Uint64(b[40:]),
		Created: time.Unix(0, int64(le.Uint64(b[48:]))).UTC(), Prev: [32]byte(b[56:88]),
	}
	k := int(le.Uint16(b[88:]))
	if headerFixed+k+headerSum != n || k > MaxKey || le.Uint16(b[90:]) != 0 {
		return bad("key slot does not fit")
	}
	if err := h.validate(); err != nil {
		return bad(err.Error())
	}
	if k > 0 {
		h.Key = append([]byte(nil), b[headerFixed:headerFixed+k]...)
	}
	return h, n, nil
}

// Kinds of frames that belong to the log.
const (
	kindResume = frame.KindControl + 0 // a file was opened again: resume
	kindAck    = frame.KindControl + 1 // the only frame of an ack file
)

// resume is the body of the frame that a file spool gets each time it is opened again.
type resume struct {
	good int64  // where the last whole frame (or the header) ended
	size int64  // size of the file then: what lies between is what a crash left
	head Header // as at the start of the file, with the time and the key of the new run
}

// append encodes r behind dst.
func (r resume) append(dst []byte) ([]byte, error) {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.good))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.size))
	return r.head.Append(dst)
}

// parseResume decodes the body of a resume frame.
func parseResume(b []byte) (resume, error) {
	if len(b) < 16 {
		return resume{}, &CorruptError{Length: int64(len(b)), Reason: "resume mark: too short"}
	}
	r := resume{
		good: int64(binary.LittleEndian.Uint64(b)),
		size: int64(binary.LittleEndian.Uint64(b[8:])),
	}
	h, n, err := ParseHeader(b[16:])
	if err != nil {
		return resume{}, fmt.Errorf("resume mark: %w", err)
	}
	if 16+n != len(b) {
		return resume{}, &CorruptError{Length: int64(len(b)), Reason: "resume mark: bytes left over"}
	}
	r.head = h
	return r, nil
}
