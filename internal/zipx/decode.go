package zipx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

const (
	// inputBuffer is how much compressed data is read at a time.
	inputBuffer = 32 << 10
	// maxZstdWindow bounds what a hostile frame may make its decoder keep.
	maxZstdWindow = 8 << 20
)

// decoders keeps decoders for the next member.
type decoders struct {
	inputs  sync.Pool // of *bufio.Reader
	inflate sync.Pool // of io.ReadCloser that is a flate.Resetter
	zstd    sync.Pool // of *zstd.Decoder
}

// source reads a part of the file in order. An error that is not about the
// file's length is kept, so that it is not taken for damage.
type source struct {
	r            io.ReaderAt
	at, off, end int64
	err          error
}

func newSource(r io.ReaderAt, at, end int64) *source { return &source{r: r, at: at, off: at, end: end} }

// Read reads the next bytes; a file that ends before its time is
// io.ErrUnexpectedEOF.
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.off >= s.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), s.end-s.off)]
	n, err := s.r.ReadAt(p, s.off)
	s.off += int64(n)
	switch {
	case n > 0 && (err == nil || errors.Is(err, io.EOF)):
		return n, nil
	case len(p) == 0:
		return 0, nil
	case err == nil || errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	s.err = err
	return n, err
}

// decoder yields the plain bytes of one member's data.
type decoder struct {
	pool    *decoders
	section *source
	input   *bufio.Reader
	inflate io.ReadCloser
	zstd    *zstd.Decoder
	plain   io.Reader
}

// open returns a decoder for the data in section. The error is ErrMethod or
// ErrEncrypted.
func (p *decoders) open(section *source, method uint16) (*decoder, error) {
	d := &decoder{pool: p, section: section}
	switch method {
	case Store:
		d.plain = section
		return d, nil
	case AES:
		return nil, ErrEncrypted
	case Deflate, Zstd:
	default:
		return nil, fmt.Errorf("%w %d", ErrMethod, method)
	}
	if d.input, _ = p.inputs.Get().(*bufio.Reader); d.input == nil {
		d.input = bufio.NewReaderSize(nil, inputBuffer)
	}
	d.input.Reset(section)
	if method == Deflate {
		return d, d.openInflate()
	}
	return d, d.openZstd()
}

func (d *decoder) openInflate() error {
	d.inflate, _ = d.pool.inflate.Get().(io.ReadCloser)
	if d.inflate == nil {
		d.inflate = flate.NewReader(d.input)
	} else if err := d.inflate.(flate.Resetter).Reset(d.input, nil); err != nil {
		return fmt.Errorf("reset inflater: %w", err)
	}
	d.plain = d.inflate
	return nil
}

func (d *decoder) openZstd() error {
	var err error
	if d.zstd, _ = d.pool.zstd.Get().(*zstd.Decoder); d.zstd == nil {
		d.zstd, err = zstd.NewReader(d.input, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	} else {
		err = d.zstd.Reset(d.input)
	}
	if err != nil {
		return fmt.Errorf("start zstd decoder: %w", err)
	}
	d.plain = d.zstd
	return nil
}

// Read reads plain bytes.
func (d *decoder) Read(p []byte) (int, error) { return d.plain.Read(p) }

// consumed returns how many compressed bytes were used so far. It is exact for
// Store and Deflate; a zstd decoder reads ahead until its end.
func (d *decoder) consumed() int64 {
	at := d.section.off - d.section.at
	if d.input != nil {
		at -= int64(d.input.Buffered())
	}
	return at
}

// close gives the parts back. The decoder must not be used afterwards.
func (d *decoder) close() {
	if d.inflate != nil {
		d.pool.inflate.Put(d.inflate)
	}
	if d.zstd != nil {
		if d.zstd.Reset(nil) == nil {
			d.pool.zstd.Put(d.zstd)
		}
	}
	if d.input != nil {
		d.input.Reset(nil)
		d.pool.inputs.Put(d.input)
	}
	d.inflate, d.zstd, d.input = nil, nil, nil
}
