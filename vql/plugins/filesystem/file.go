package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"satchel/internal/flow"
	"satchel/vql"
)

var (
	// ErrNotRegular says that something is not a regular file, and that opening
	// it could hang or do something: a FIFO, a socket, a device. The accessor
	// raw_file opens devices.
	ErrNotRegular = errors.New("not a regular file")
	// ErrIsDirectory says that a directory was to be read as a file.
	ErrIsDirectory = errors.New("is a directory")
	// ErrClosed says that a file was used after it was closed.
	ErrClosed = errors.New("file is closed")
)

// bufferBytes is the size of the buffer that an open file reads through.
const bufferBytes = 256 << 10

// maxRanges bounds the runs of a sparse file that are told apart. What lies
// behind counts as one run of data.
const maxRanges = 1 << 16

// fact is what the system tells about a file. Times that it does not tell are
// zero.
type fact struct {
	size, allocated int64 // bytes; allocated is -1 where unknown
	mode            fs.FileMode
	modified        time.Time
	accessed        time.Time
	changed         time.Time
	born            time.Time
	inode, device   uint64
	special         uint64 // the device that a device file stands for
	links           uint64
	uid, gid        int64 // -1 where unknown
	link            string
}

func (f *fact) info(p vql.Path) vql.Info {
	return vql.Info{
		Path: p, Size: f.size, Mode: f.mode, Link: f.link,
		Modified: f.modified, Accessed: f.accessed, Changed: f.changed, Born: f.born,
		Inode: f.inode, Device: f.device,
	}
}

// handle is an open file as the system gives it.
type handle interface {
	// read reads at most len(p) bytes at the offset. At the end it returns
	// io.EOF, with or without bytes.
	read(p []byte, at int64) (int, error)
	fact() (fact, error)
	// ranges lists the runs of a file of that size, nil if none is sparse.
	ranges(size int64) ([]flow.Range, error)
	close() error
}

// file is an open file of a fileAccessor. It reads through a buffer of its own,
// because a call that was abandoned may still write there when its caller is
// long gone.
type file struct {
	patience *patience
	buffers  *sync.Pool
	ctx      context.Context // of Open: Read has none
	name     string
	path     vql.Path
	first    fact  // as the file was when it was opened
	volatile bool  // its size is not what can be read: procfs and the like
	after    *fact // as it was when it had been read whole, if it was read at once

	mu     sync.Mutex
	h      handle // nil once closed or abandoned
	buf    *[]byte
	held   []byte // what of buf is not yet read
	heldAt int64  // offset of held
	pos    int64  // of Read
	end    bool   // held ends at the end of the file
}

var (
	_ vql.File   = (*file)(nil)
	_ vql.Ranger = (*file)(nil)
)

type readAnswer struct {
	n   int
	err error
}

// fill reads the buffer at the offset. It is called with mu held.
func (f *file) fill(at int64) error {
	if f.h == nil {
		return ErrClosed
	}
	if f.buf == nil {
		f.buf = f.buffers.Get().(*[]byte)
	}
	h, buf := f.h, *f.buf
	if left := f.first.size - at; !f.volatile && left > 0 && left < int64(len(buf)) {
		buf = buf[:left] // one call less: the end needs no asking for
	}
	f.held, f.end = nil, false
	a, err := await(f.ctx, f.patience, "read "+f.name, func() readAnswer {
		n, err := fillFrom(h, buf, at)
		return readAnswer{n, err}
	}, func(readAnswer) { _ = h.close() })
	if err != nil {
		if errors.Is(err, ErrAbandoned) {
			f.h, f.buf = nil, nil // the call still owns them
		}
		return err
	}
	f.held, f.heldAt, f.end = buf[:a.n], at, a.err == io.EOF
	if a.err != nil && a.err != io.EOF {
		return fmt.Errorf("read %s at %d: %w", f.name, at, a.err)
	}
	return nil
}

// fillFrom reads until buf is full or the file ends.
func fillFrom(h handle, buf []byte, at int64) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := h.read(buf[n:], at+int64(n))
		n += m
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// window returns bytes at the offset that are good until the next call, as many
// as the buffer has. At the end of the file it returns io.EOF and no bytes. It
// is called with mu held.
func (f *file) window(at int64) ([]byte, error) {
	for range 2 {
		if skip := at - f.heldAt; f.h != nil && skip >= 0 && skip < int64(len(f.held)) {
			return f.held[skip:], nil
		} else if f.h != nil && f.end && skip >= int64(len(f.held)) {
			return nil, io.EOF
		}
		if err := f.fill(at); err != nil {
			if len(f.held) > 0 {
				return f.held, nil // the error comes back with the next call
			}
			return nil, err
		}
	}
	return nil, io.EOF
}

// Read reads the next bytes. It returns an error that wraps ErrAbandoned when
// the system does not answer, and the context's error when that has ended.
func (f *file) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	b, err := f.window(f.pos)
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	f.pos += int64(n)
	return n, nil
}

// ReadAt reads len(p) bytes at the offset, as io.ReaderAt has it.
func (f *file) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 {
		return 0, fmt.Errorf("read %s at %d: negative offset", f.name, at)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(p) {
		b, err := f.window(at + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b)
	}
	return n, nil
}

// Stat describes the file as it is now.
func (f *file) Stat() (vql.Info, error) {
	now, err := f.fact()
	if err != nil {
		return vql.Info{}, err
	}
	return now.info(f.path), nil
}

type factAnswer struct {
	fact fact
	err  error
}

func (f *file) fact() (fact, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.h == nil {
		return fact{}, ErrClosed
	}
	h := f.h
	a, err := await(f.ctx, f.patience, "stat "+f.name, func() factAnswer {
		now, err := h.fact()
		return factAnswer{now, err}
	}, func(factAnswer) { _ = h.close() })
	if errors.Is(err, ErrAbandoned) {
		f.h, f.buf = nil, nil
	}
	if err != nil {
		return fact{}, err
	}
	return a.fact, a.err
}

// Ranges lists the runs of a sparse file by what the file system knows, and
// returns nil if no part of it is sparse, or the file system does not tell.
func (f *file) Ranges() ([]flow.Range, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.h == nil {
		return nil, ErrClosed
	}
	if f.volatile || f.first.allocated < 0 || f.first.allocated >= f.first.size {
		return nil, nil
	}
	type answer struct {
		ranges []flow.Range
		err    error
	}
	h := f.h
	a, err := await(f.ctx, f.patience, "ranges of "+f.name, func() answer {
		r, err := h.ranges(f.first.size)
		return answer{r, err}
	}, func(answer) { _ = h.close() })
	if errors.Is(err, ErrAbandoned) {
		f.h, f.buf = nil, nil
	}
	if err != nil {
		return nil, err
	}
	return a.ranges, a.err
}

// Close ends the use of the file. Closing twice does nothing.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.h
	f.h, f.held = nil, nil
	if f.buf != nil {
		f.buffers.Put(f.buf)
		f.buf = nil
	}
	if h == nil {
		return nil
	}
	return h.close()
}

// sparseRanges lists runs with a function that finds the next data at or after
// an offset, and its end. data reports ok false when there is no more.
func sparseRanges(size int64, data func(at int64) (from, to int64, ok bool, err error)) ([]flow.Range, error) {
	var out []flow.Range
	sparse := false
	for at := int64(0); at < size; {
		from, to, ok, err := data(at)
		if err != nil {
			return nil, err
		}
		if !ok || from > size {
			from, to = size, size
		}
		to = min(to, size)
		if from < at || to < from || from == to && from < size {
			return nil, fmt.Errorf("data at %d found from %d to %d", at, from, to)
		}
		if len(out) >= maxRanges {
			out = append(out, flow.Range{Offset: at, Length: size - at})
			break
		}
		if from > at {
			out = append(out, flow.Range{Offset: at, Length: from - at, Sparse: true})
			sparse = true
		}
		if to > from {
			out = append(out, flow.Range{Offset: from, Length: to - from})
		}
		at = to
	}
	if !sparse {
		return nil, nil
	}
	return out, nil
}
