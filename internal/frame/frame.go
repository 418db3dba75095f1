// Package frame is the unit of everything that Satchel appends to a log: a numbered, typed, checksummed piece of bytes.
//
// A frame is a header of 24 bytes, little-endian, and a body of at most MaxBody bytes:
//
//	offset size
//	     0    4  magic "SFR1"
//	     4    1  kind, never 0; kinds from 0xF0 belong to the log that holds the frame
//	     5    1  flags
//	     6    2  mark: a random number of the file the frame was written to, 0 where there is none
//	     8    8  seq: number of the frame in its log, from 1
//	    16    4  length of the body
//	    20    4  CRC-32C of the body followed by the bytes 0 to 19 of the header
//	    24       body
//
// The checksum takes the body first, so that a writer can sum the body before it knows the number. The mark tells a
// frame of this file from a frame that stands, as evidence, inside the body of another one: a scanner that looks for
// the next frame after damage must not take that for a record.
//
// Append and Parse encode and decode one frame; a Scanner reads many and passes over damage.
// docs/format/frame.md is the specification.
package frame

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	// Magic starts every frame.
	Magic = "SFR1"
	// HeaderSize is the size of the header in bytes.
	HeaderSize = 24
	// MaxBody is the largest body in bytes.
	MaxBody = 16 << 20
	// MaxSize is the largest frame in bytes.
	MaxSize = HeaderSize + MaxBody
	// MaxSeq is the largest number of a frame.
	MaxSeq uint64 = 1<<63 - 1
)

// summed is the length of the part of the header that the checksum covers.
const summed = 20

var (
	// ErrShort means that the bytes end inside a frame that is well-formed as far as they go.
	ErrShort = errors.New("frame is cut short")
	// ErrTooLarge means that a body is longer than MaxBody.
	ErrTooLarge = errors.New("frame body too large")
	// ErrInvalid means that a frame cannot be encoded: kind 0, number 0 or above MaxSeq, unknown flags.
	ErrInvalid = errors.New("invalid frame")
	// ErrCorrupt is what every *CorruptError is.
	ErrCorrupt = errors.New("corrupt frame")
)

// Kind says what the body is. The kinds below KindControl are the user's (package entry has its table).
type Kind uint8

// KindControl is the first of the kinds that belong to the log itself. Such a frame uses up no number: its Seq is that
// of the last frame before it.
const KindControl Kind = 0xF0

// Control tells whether k belongs to the log itself.
func (k Kind) Control() bool { return k >= KindControl }

// Flags qualify a frame. Unknown flags make a frame unreadable.
type Flags uint8

const (
	// Sealed means that the body is ciphertext; its key is found through the header of the file that holds the frame.
	Sealed Flags = 1 << 0
	// Compressed is reserved for bodies that are compressed as a whole.
	Compressed Flags = 1 << 1

	knownFlags = Sealed | Compressed
)

// Frame is one record.
type Frame struct {
	Kind  Kind
	Flags Flags
	Mark  uint16 // of the file that holds it; set by the log
	Seq   uint64 // from 1 to MaxSeq, without holes within a log; 0 only with a kind of the log itself
	Body  []byte
}

// Size returns the size in bytes of a frame with a body of n bytes.
func Size(n int) int { return HeaderSize + n }

// Sum returns the checksum of a body, for AppendSummed.
func Sum(body []byte) uint32 { return crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), body) }

// Append encodes f behind dst and returns the longer slice. It fails with ErrTooLarge or ErrInvalid and then returns
// dst as it was.
func Append(dst []byte, f Frame) ([]byte, error) { return AppendSummed(dst, f, Sum(f.Body)) }

// AppendSummed is Append for a body whose Sum is known.
func AppendSummed(dst []byte, f Frame, sum uint32) ([]byte, error) {
	if err := f.Validate(); err != nil {
		return dst, err
	}
	at := len(dst)
	var h [HeaderSize]byte
	copy(h[:], Magic)
	h[4] = byte(f.Kind)
	h[5] = byte(f.Flags)
	binary.LittleEndian.PutUint16(h[6:], f.Mark)
	binary.LittleEndian.PutUint64(h[8:], f.Seq)
	binary.LittleEndian.PutUint32(h[16:], uint32(len(f.Body)))
	dst = append(dst, h[:]...)
	crc := crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), dst[at:at+summed])
	binary.LittleEndian.PutUint32(dst[at+summed:], crc)
	return append(dst, f.Body...), nil
}

// Validate tells whether f can be encoded: nil, or an error that is ErrTooLarge or ErrInvalid.
func (f Frame) Validate() error {
	switch {
	case len(f.Body) > MaxBody:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(f.Body), MaxBody)
	case f.Kind == 0:
		return fmt.Errorf("%w: kind 0", ErrInvalid)
	case f.Flags&^knownFlags != 0:
		return fmt.Errorf("%w: flags %#x", ErrInvalid, uint8(f.Flags))
	case f.Seq == 0 && !f.Kind.Control() || f.Seq > MaxSeq:
		return fmt.Errorf("%w: number %d", ErrInvalid, f.Seq)
	}
	return nil
}

// Hash identifies a frame whatever file it stands in: the SHA-256 of kind, flags, number, length (1, 1, 8 and 4 bytes,
// little-endian) and body. The mark is not part of it.
func Hash(f Frame) [32]byte {
	var h [14]byte
	h[0], h[1] = byte(f.Kind), byte(f.Flags)
	binary.LittleEndian.PutUint64(h[2:], f.Seq)
	binary.LittleEndian.PutUint32(h[10:], uint32(len(f.Body)))
	d := sha256.New()
	d.Write(h[:])
	d.Write(f.Body)
	var sum [32]byte
	d.Sum(sum[:0])
	return sum
}

// AppendSealData appends what the seal of a frame authenticates besides its body: the bytes 0 to 19 of the header with
// the mark set to zero, so that a sealed body can be copied to another file as it is. length is that of the sealed body.
func AppendSealData(dst []byte, f Frame, length int) []byte {
	dst = append(dst, Magic...)
	dst = append(dst, byte(f.Kind), byte(f.Flags), 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, f.Seq)
	return binary.LittleEndian.AppendUint32(dst, uint32(length))
}

// Parse decodes the frame that b starts with and returns it and its size. The body is part of b. The error is ErrShort
// when b ends inside the frame, and n is then the number of bytes needed to get further (more than len(b)); otherwise
// it is a *CorruptError with offset 0.
func Parse(b []byte) (f Frame, n int, err error) {
	f, n, reason := parseHeader(b)
	if reason != "" {
		return Frame{}, 0, &CorruptError{Reason: reason}
	}
	if n > len(b) {
		return Frame{}, n, ErrShort
	}
	if !checkBody(b[:n]) {
		return Frame{}, 0, &CorruptError{Reason: ReasonChecksum}
	}
	f.Body = b[HeaderSize:n:n]
	return f, n, nil
}

// parseHeader reads the header at the start of b. It returns the frame without its body and its size, or, when b is
// shorter than a header but could be the start of one, HeaderSize.
func parseHeader(b []byte) (f Frame, n int, reason Reason) {
	if m := min(len(b), len(Magic)); string(b[:m]) != Magic[:m] {
		return f, 0, ReasonMagic
	}
	if len(b) < HeaderSize {
		return f, HeaderSize, ""
	}
	f = Frame{
		Kind:  Kind(b[4]),
		Flags: Flags(b[5]),
		Mark:  binary.LittleEndian.Uint16(b[6:]),
		Seq:   binary.LittleEndian.Uint64(b[8:]),
	}
	length := binary.LittleEndian.Uint32(b[16:])
	if length > MaxBody {
		return f, 0, ReasonLength
	}
	if f.Validate() != nil {
		return f, 0, ReasonHeader
	}
	return f, HeaderSize + int(length), ""
}

// checkBody tells whether the checksum of a whole frame is right.
func checkBody(b []byte) bool {
	crc := crc32.Update(Sum(b[HeaderSize:]), crc32.MakeTable(crc32.Castagnoli), b[:summed])
	return crc == binary.LittleEndian.Uint32(b[summed:])
}

// Reason says what is wrong with bytes that should be a frame.
type Reason string

// The reasons of damage.
const (
	ReasonMagic    Reason = "no frame starts here"
	ReasonHeader   Reason = "header is not valid"
	ReasonLength   Reason = "length is beyond the limit"
	ReasonTorn     Reason = "frame reaches past the end"
	ReasonChecksum Reason = "checksum does not match"
	ReasonForeign  Reason = "frame belongs to another file"
	ReasonOrder    Reason = "number is out of order"
	ReasonGaveUp   Reason = "too much that looks like frames and is not: rest not searched"
)

// CorruptError is damage at a place. It is ErrCorrupt for errors.Is.
type CorruptError struct {
	Offset int64 // where the frame should start, in bytes from the start of what was read
	Reason Reason
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt frame at offset %d: %s", e.Offset, e.Reason)
}

// Unwrap makes the error ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
