package zipx

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// DefaultLevel is the compression level used for one outside 0 to 9.
const DefaultLevel = 5

// DeflateEnd returns the two bytes that end a Deflate stream made of blocks: an
// empty final block.
func DeflateEnd() []byte { return []byte{3, 0} }

// zstdWindow bounds what a decoder of our Zstandard frames must keep.
const zstdWindow = 1 << 20

// Compressor compresses members and blocks of members. It keeps its encoders
// for the next call. The zero value is ready to use, and many goroutines may
// share one.
type Compressor struct {
	deflate [10]sync.Pool // of *deflater, by level
	zstd    [3]sync.Pool  // of *zstd.Encoder, by strength
}

// deflater is an encoder and the slice it appends to.
type deflater struct {
	w   *flate.Writer
	out []byte
}

// Write appends p to the output.
func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// Block appends plain as an independent run of Deflate blocks, ended by a sync
// flush: it begins and ends on a byte, refers to no bytes before it and is not
// final. Any number of them, followed by [DeflateEnd], are one Deflate stream.
// An empty plain appends nothing.
func (c *Compressor) Block(dst, plain []byte, level int) ([]byte, error) {
	if len(plain) == 0 {
		return dst, nil
	}
	return c.run(dst, plain, level, (*flate.Writer).Flush)
}

// Whole appends the whole of a member's data and returns the method: Deflate, or
// Store when level is 0 or Deflate does not make it smaller.
func (c *Compressor) Whole(dst, plain []byte, level int) (out []byte, method uint16, err error) {
	start := len(dst)
	if level == 0 || len(plain) == 0 {
		return append(dst, plain...), Store, nil
	}
	out, err = c.run(dst, plain, level, (*flate.Writer).Close)
	if err != nil {
		return dst, Store, err
	}
	if len(out)-start >= len(plain) {
		return append(out[:start], plain...), Store, nil
	}
	return out, Deflate, nil
}

// run deflates plain with a kept encoder and ends it by end.
func (c *Compressor) run(dst, plain []byte, level int, end func(*flate.Writer) error) ([]byte, error) {
	level = normalLevel(level)
	d, _ := c.deflate[level].Get().(*deflater)
	if d == nil {
		w, err := flate.NewWriter(nil, level)
		if err != nil {
			return dst, fmt.Errorf("deflate level %d: %w", level, err)
		}
		d = &deflater{w: w}
	}
	d.out = dst
	d.w.Reset(d)
	_, err := d.w.Write(plain)
	if err == nil {
		err = end(d.w)
	}
	out := d.out
	d.out = nil
	if err != nil {
		return dst, fmt.Errorf("deflate %d bytes: %w", len(plain), err)
	}
	c.deflate[level].Put(d)
	return out, nil
}

// Frame appends plain as one Zstandard frame with a checksum. Frames follow
// each other without anything between or behind them; a decoder can start at
// any frame. Levels 1 and 2 are the fastest, 7 to 9 the smallest.
func (c *Compressor) Frame(dst, plain []byte, level int) ([]byte, error) {
	strength, speed := 1, zstd.SpeedDefault
	switch level = normalLevel(level); {
	case level <= 2:
		strength, speed = 0, zstd.SpeedFastest
	case level >= 7:
		strength, speed = 2, zstd.SpeedBetterCompression
	}
	e, _ := c.zstd[strength].Get().(*zstd.Encoder)
	if e == nil {
		var err error
		e, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
		if err != nil {
			return dst, fmt.Errorf("zstd level %d: %w", level, err)
		}
	}
	dst = e.EncodeAll(plain, dst)
	c.zstd[strength].Put(e)
	return dst, nil
}

// CompressWhole is [Compressor.Whole] for a single call; use a Compressor where
// there are many.
func CompressWhole(dst, plain []byte, level int) (out []byte, method uint16, err error) {
	return new(Compressor).Whole(dst, plain, level)
}

func normalLevel(level int) int {
	if level < 0 || level > 9 {
		return DefaultLevel
	}
	return level
}
