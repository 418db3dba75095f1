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
	from int64 // nothing before is asked for
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
		if err := w.load(off); err != nil {
			return nil, err
		}
	}
	have := w.buf[off-w.at:]
	return have[:min(n, len(have))], nil
}

// rest returns what the window has at off, or else what it has after moving
// there: at least n bytes, unless the file ends.
func (w *window) rest(off int64, n int) ([]byte, error) {
	if _, err := w.view(off, n); err != nil || off >= w.size {
		return nil, err
	}
	return w.buf[off-w.at:], nil
}

// load moves the window to off, which is before the end of the file.
func (w *window) load(off int64) error {
	if w.mem == nil {
		w.mem = make([]byte, min(windowSize, w.size-w.from))
	}
	n, err := w.r.ReadAt(w.mem[:min(int64(len(w.mem)), w.size-off)], off)
	if err != nil && !errors.Is(err, io.EOF) {
		w.buf = nil
		return err
	}
	w.at, w.buf = off, w.mem[:n]
	return nil
}

// ReadAt reads through the window.
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		b, err := w.rest(off+int64(done), 1)
		if err != nil {
			return done, err
		}
		if len(b) == 0 {
			return done, io.EOF
		}
		done += copy(p[done:], b)
	}
	return done, nil
}

// find returns where the bytes of a signature next begin, from off up to end, or
// -1.
func (w *window) find(sig string, off, end int64) (int64, error) {
	for off+int64(len(sig)) <= end {
		b, err := w.rest(off, len(sig))
		if err != nil {
			return -1, err
		}
		b = b[:min(int64(len(b)), end-off)]
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
