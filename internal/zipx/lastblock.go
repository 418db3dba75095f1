package zipx

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

// LastBlock returns where the last whole block of an incomplete member ends: how
// many compressed bytes from f.Data on, and how many plain bytes they are. Those
// compressed bytes, followed by [DeflateEnd] for Deflate and by nothing for
// Zstd, are a whole member of that size. Both are 0 when no block is whole. The
// error is that of the file, or ErrMethod or ErrEncrypted.
func (s *Salvager) LastBlock(f *Found) (compressed, plain uint64, err error) {
	if f.Member.Flags&FlagEncrypted != 0 {
		return 0, 0, fmt.Errorf("blocks of %.200q: %w", f.Member.Name, ErrEncrypted)
	}
	src := newSource(s.r, f.Data, min(f.Data+int64(f.Member.CompressedSize), s.size))
	switch f.Member.Method {
	case Store:
		return f.Prefix, f.Prefix, nil
	case Deflate:
		compressed, plain, err = s.lastDeflate(src, f.Prefix)
	case Zstd:
		compressed, plain, err = s.lastFrame(f, src)
	default:
		err = ErrMethod
	}
	if err != nil {
		return 0, 0, fmt.Errorf("blocks of %.200q: %w", f.Member.Name, err)
	}
	return compressed, plain, nil
}

// markReader gives bytes to an inflater one by one and remembers the last four.
type markReader struct {
	r    *bufio.Reader
	last uint32 // big endian
	used uint64
}

// ReadByte reads one byte.
func (m *markReader) ReadByte() (byte, error) {
	c, err := m.r.ReadByte()
	if err == nil {
		m.last = m.last<<8 | uint32(c)
		m.used++
	}
	return c, err
}

// Read reads bytes of a stored block.
func (m *markReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	for _, c := range p[max(0, n-4):n] {
		m.last = m.last<<8 | uint32(c)
	}
	m.used += uint64(n)
	return n, err
}

// lastDeflate inflates up to limit plain bytes. The inflater stops at each sync
// flush, which ends with 00 00 FF FF.
func (s *Salvager) lastDeflate(src *source, limit uint64) (compressed, plain uint64, err error) {
	in := &markReader{r: bufio.NewReaderSize(src, inputBuffer)}
	inflate := flate.NewReader(in)
	buf := make([]byte, 64<<10) // more than the inflater keeps
	done := uint64(0)
	for {
		n, err := inflate.Read(buf)
		if done += uint64(n); done > limit {
			break
		}
		if n > 0 && in.last == 0x0000ffff {
			compressed, plain = in.used, done
		}
		if err != nil {
			break
		}
	}
	if src.err != nil || compressed == 0 {
		return 0, 0, src.err
	}
	// The marker could have been data by chance: prove it.
	again := newSource(s.r, src.at, src.at+int64(compressed))
	whole := flate.NewReader(io.MultiReader(again, bytes.NewReader(DeflateEnd())))
	n, err := io.Copy(io.Discard, whole)
	if again.err != nil {
		return 0, 0, again.err
	}
	if err != nil || uint64(n) != plain {
		return 0, 0, nil
	}
	return compressed, plain, nil
}

// lastFrame follows the frames and decodes the whole ones.
func (s *Salvager) lastFrame(f *Found, src *source) (compressed, plain uint64, err error) {
	w := window{r: s.r, from: f.Data, size: src.end}
	end := f.Data
	for end < src.end {
		b, err := w.view(end, 18)
		if err != nil {
			return 0, 0, err
		}
		if len(b) < 5 || string(b[:4]) != zstdMagic {
			break
		}
		next, whole, err := zstdFrame(&w, end, b)
		if err != nil {
			return 0, 0, err
		}
		if !whole {
			break
		}
		end = next
	}
	if end == f.Data {
		return 0, 0, nil
	}
	src.end = end
	d, err := s.a.decoders.open(src, Zstd)
	if err != nil {
		return 0, 0, err
	}
	defer d.close()
	n, err := io.Copy(io.Discard, io.LimitReader(d, int64(min(f.Prefix, 1<<62))))
	if src.err != nil {
		return 0, 0, src.err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, nil
	}
	return uint64(end - f.Data), uint64(n), nil
}
