package zipx

import (
	"bytes"
	"errors"
	"io"
)

// windowSize is how much of a file a walk keeps in memory.
const windowSize = 512 << 10

// window is an io.ReaderAt that keeps a part of the file, for one goroutine that
// mostly moves forward in small steps.
type window struct {
	r    io.ReaderAt
	size int64 // of the file
	at   int64 // of buf
	buf  []byte
	mem  []byte
}

// view returns up to n bytes at off, fewer only where the file ends. They are
// valid until the next call.
func (w *window) view(off int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), w.size-off)))
	if n == 0 {
		return nil, nil
	}
	if off < w.at || off+int64(n) > w.at+int64(len(w.buf)) {
		if w.mem == nil {
			w.mem = make([]byte, windowSize)
		}
		k := int(min(int64(len(w.mem)), w.size-off))
		got, err := w.r.ReadAt(w.mem[:k], off)
		if err != nil && !errors.Is(err, io.EOF) {
			w.buf = nil
			return nil, err
		}
		w.at, w.buf = off, w.mem[:got]
	}
	have := w.buf[off-w.at:]
	return have[:min(n, len(have))], nil
}

// ReadAt reads through the window.
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	b, err := w.view(off, min(len(p), windowSize))
	n := copy(p, b)
	if err == nil && n < len(p) && n < windowSize {
		err = io.EOF
	}
	return n, err
}

// find returns where the four bytes of a signature next begin, from off up to
// end, or -1.
func (w *window) find(sig string, off, end int64) (int64, error) {
	for off+int64(len(sig)) <= end {
		b, err := w.view(off, int(min(windowSize, end-off)))
		if err != nil {
			return -1, err
		}
		if len(b) < len(sig) {
			return -1, nil
		}
		if i := bytes.Index(b, []byte(sig)); i >= 0 {
			return off + int64(i), nil
		}
		off += int64(len(b) - len(sig) + 1)
	}
	return -1, nil
}
