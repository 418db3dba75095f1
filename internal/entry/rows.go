package entry

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"satchel/internal/flow"
)

// MaxRowsBytes is the largest JSONL that one Rows frame may carry, in bytes
// after decompression. A larger batch is cut at row ends by [SplitRows]; a
// single row beyond it is refused.
const MaxRowsBytes = 12 << 20

// Rows is the decoded head of a Rows frame. Zstd is one whole zstd frame that
// holds the JSONL; it is a piece of the body, not a copy.
type Rows struct {
	Source      string
	Rows        int64
	First, Last time.Time
	Size        int64 // of the JSONL
	Zstd        []byte
}

// RowsEncoder compresses row batches. It is safe for several goroutines.
type RowsEncoder struct {
	enc *zstd.Encoder
}

// NewRowsEncoder returns an encoder that holds about a megabyte for each
// goroutine that uses it at once, at most two.
func NewRowsEncoder() (*RowsEncoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("start the row compressor: %w", err)
	}
	return &RowsEncoder{enc: enc}, nil
}

// Append appends the body of a Rows frame.
func (e *RowsEncoder) Append(dst []byte, source string, b flow.RowBatch) ([]byte, error) {
	if len(b.JSONL) > MaxRowsBytes {
		return dst, tooLong()
	}
	if len(b.JSONL) > 0 && b.JSONL[len(b.JSONL)-1] != '\n' {
		return dst, fmt.Errorf("a batch of rows does not end with a newline")
	}
	dst = appendString(dst, source)
	dst = binary.AppendUvarint(dst, uint64(b.Rows))
	dst = appendTime(dst, b.First)
	dst = appendTime(dst, b.Last)
	dst = binary.AppendUvarint(dst, uint64(len(b.JSONL)))
	return e.enc.EncodeAll(b.JSONL, dst), nil
}

// CheckRows refuses a batch that cannot be kept whole: one that does not end
// with a newline, has another number of rows than it announces, or a row over
// [MaxRowsBytes]. So a refused batch leaves no part of it behind.
func CheckRows(b flow.RowBatch) error {
	if got := bytes.Count(b.JSONL, []byte{'\n'}); got != b.Rows {
		return fmt.Errorf("the batch announces %d rows and has %d", b.Rows, got)
	}
	if len(b.JSONL) > 0 && b.JSONL[len(b.JSONL)-1] != '\n' {
		return fmt.Errorf("a batch of rows does not end with a newline")
	}
	for rest := b.JSONL; len(rest) > MaxRowsBytes; {
		cut := bytes.LastIndexByte(rest[:MaxRowsBytes], '\n') + 1
		if cut == 0 {
			return tooLong()
		}
		rest = rest[cut:]
	}
	return nil
}

// SplitRows cuts a batch at row ends into batches that a frame can carry and
// yields them in order. A single row over the limit is an error.
func SplitRows(b flow.RowBatch, yield func(flow.RowBatch) error) error {
	for len(b.JSONL) > MaxRowsBytes {
		cut := bytes.LastIndexByte(b.JSONL[:MaxRowsBytes], '\n') + 1
		if cut == 0 {
			return tooLong()
		}
		head := b
		head.JSONL = b.JSONL[:cut]
		head.Rows = bytes.Count(head.JSONL, []byte{'\n'})
		if err := yield(head); err != nil {
			return err
		}
		b.JSONL, b.Rows = b.JSONL[cut:], b.Rows-head.Rows
	}
	return yield(b)
}

// tooLong refuses a row; the sink that it was meant for is sound.
func tooLong() error {
	return &flow.OutcomeError{Outcome: flow.OverLimit, Err: fmt.Errorf("a row is longer than %d MiB of JSON", MaxRowsBytes>>20)}
}

// DecodeRows decodes the head of a Rows frame. The rows themselves stay
// compressed until [RowsDecoder.JSONL].
func DecodeRows(body []byte) (Rows, error) {
	r := reader{b: body}
	rows := Rows{
		Source: r.string("source"),
		Rows:   r.size("rows"),
		First:  r.time("first"),
		Last:   r.time("last"),
		Size:   r.size("size"),
	}
	if r.err == nil && (rows.Size > MaxRowsBytes || rows.Rows > rows.Size) {
		r.fail("size of rows")
	}
	if r.err != nil {
		return Rows{}, fmt.Errorf("decode rows: %w", r.err)
	}
	rows.Zstd = r.b
	return rows, nil
}

// RowsDecoder decompresses row batches, one at a time, with memory bounded by
// [MaxRowsBytes].
type RowsDecoder struct {
	mu  sync.Mutex
	dec *zstd.Decoder
}

// NewRowsDecoder returns a decoder.
func NewRowsDecoder() (*RowsDecoder, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*MaxRowsBytes), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("start the row decompressor: %w", err)
	}
	return &RowsDecoder{dec: dec}, nil
}

// JSONL appends the rows to dst. The size, the last newline and the number of
// rows are checked against the head.
func (d *RowsDecoder) JSONL(dst []byte, r Rows) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out, err := d.dec.DecodeAll(r.Zstd, dst)
	if err != nil {
		return dst, malformed("rows of %s: %v", r.Source, err)
	}
	got := out[len(dst):]
	if int64(len(got)) != r.Size {
		return dst, malformed("rows of %s: %d bytes where %d were announced", r.Source, len(got), r.Size)
	}
	if n := int64(bytes.Count(got, []byte{'\n'})); n != r.Rows || (len(got) > 0 && got[len(got)-1] != '\n') {
		return dst, malformed("rows of %s: %d rows where %d were announced", r.Source, n, r.Rows)
	}
	return out, nil
}
