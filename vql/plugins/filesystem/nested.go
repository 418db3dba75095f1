package filesystem

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"iter"
	"sync"

	"satchel/vql"
)

// container opens what a nested path lies in: its delegate, or without one the
// same path by the default accessor.
func container(ctx context.Context, s *vql.Scope, p vql.Path) (vql.Accessor, vql.Path, error) {
	name, inner := "", p
	if d := p.Delegate(); d != nil {
		name, inner = d.Accessor, d.Path
	}
	a, err := s.Accessor(ctx, name)
	return a, inner, err
}

// packed reads files that are compressed as a whole, by gzip or bzip2. A file
// that is not compressed is read as it is, so that a log and its rotated
// successors can be read by one query.
type packed struct {
	scope *vql.Scope
	name  string
	magic []byte
	open  func(io.Reader) (io.Reader, error)
}

var _ vql.Accessor = packed{}

func gzipReader(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

func bzip2Reader(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }

func (packed) Parse(text string) (vql.Path, error) { return vql.ParsePath(style(), text), nil }

func (a packed) Open(ctx context.Context, p vql.Path) (vql.File, error) {
	accessor, inner, err := container(ctx, a.scope, p)
	if err != nil {
		return nil, err
	}
	u := &unpacked{path: p, size: -1, open: func() (vql.File, io.Reader, error) {
		f, err := accessor.Open(ctx, inner)
		if err != nil {
			return nil, nil, err
		}
		in := bufio.NewReaderSize(f, 64<<10)
		if head, _ := in.Peek(len(a.magic)); !bytes.Equal(head, a.magic) {
			return f, in, nil
		}
		r, err := a.open(in)
		if err != nil {
			_ = f.Close()
			return nil, nil, fmt.Errorf("%s %s: %w", a.name, inner, err)
		}
		return f, contextReader{ctx, r}, nil
	}}
	return u, u.rewind()
}

func (a packed) Lstat(ctx context.Context, p vql.Path) (vql.Info, error) {
	accessor, inner, err := container(ctx, a.scope, p)
	if err != nil {
		return vql.Info{}, err
	}
	info, err := accessor.Lstat(ctx, inner)
	info.Path = p
	if info.Mode.IsRegular() {
		info.Size = -1
	}
	return info, err
}

func (a packed) ReadDir(ctx context.Context, p vql.Path) iter.Seq2[vql.Info, error] {
	accessor, inner, err := container(ctx, a.scope, p)
	if err != nil || p.Delegate() != nil {
		return noDirectory(a.name)
	}
	return accessor.ReadDir(ctx, inner)
}

// unpacked is a stream that can be read from its beginning again.
type unpacked struct {
	path vql.Path
	size int64 // -1 where it is not known
	open func() (vql.File, io.Reader, error)

	mu  sync.Mutex
	f   vql.File
	in  io.Reader
	at  int64 // offset of in
	pos int64 // of Read
}

var _ vql.File = (*unpacked)(nil)

// rewind begins at the start. It is called with mu held, or before use.
func (u *unpacked) rewind() error {
	if u.f != nil {
		_ = u.f.Close()
	}
	u.at = 0
	var err error
	u.f, u.in, err = u.open()
	return err
}

// readAt reads some bytes at the offset. It is called with mu held.
func (u *unpacked) readAt(p []byte, at int64) (int, error) {
	if u.f == nil {
		return 0, ErrClosed
	}
	if at < u.at {
		if err := u.rewind(); err != nil {
			return 0, err
		}
	}
	if skip := at - u.at; skip > 0 {
		n, err := io.CopyN(io.Discard, u.in, skip)
		u.at += n
		if err != nil {
			return 0, err
		}
	}
	n, err := io.ReadFull(u.in, p)
	u.at += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// Read reads the next bytes.
func (u *unpacked) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := u.readAt(p, u.pos)
	u.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt reads at an offset. Going back means to unpack from the start.
func (u *unpacked) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 {
		return 0, fmt.Errorf("read at %d: %w", at, ErrRange)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.readAt(p, at)
}

// Stat describes the compressed file, with the size of what is in it.
func (u *unpacked) Stat() (vql.Info, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.f == nil {
		return vql.Info{}, ErrClosed
	}
	info, err := u.f.Stat()
	info.Path, info.Size = u.path, u.size
	return info, err
}

// Close ends the use of the file.
func (u *unpacked) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.f == nil {
		return nil
	}
	f := u.f
	u.f = nil
	return f.Close()
}

func nestedAccessors() []vql.Registration {
	return []vql.Registration{
		vql.NewAccessor("gzip", func(_ context.Context, s *vql.Scope) (vql.Accessor, error) {
			return packed{s, "gzip", []byte{0x1f, 0x8b}, gzipReader}, nil
		}, vql.Impure(), vql.Doc("Reads files that gzip compressed, and others as they are.")),
		vql.NewAccessor("bzip2", func(_ context.Context, s *vql.Scope) (vql.Accessor, error) {
			return packed{s, "bzip2", []byte("BZh"), bzip2Reader}, nil
		}, vql.Impure(), vql.Doc("Reads files that bzip2 compressed, and others as they are.")),
		vql.NewAccessor("zip", func(_ context.Context, s *vql.Scope) (vql.Accessor, error) {
			open := s.Shared(openZipsKey{}, func() any { return &openZips{zips: map[string]*openZip{}} }).(*openZips)
			return zipAccessor{s, open}, nil
		}, vql.Impure(), vql.Doc("Reads the members of ZIP archives.")),
		vql.NewAccessor("sparse", func(_ context.Context, s *vql.Scope) (vql.Accessor, error) { return sparseAccessor{s}, nil },
			vql.Impure(), vql.Doc("Reads the ranges of a file that the path lists as JSON, and zeros between them.")),
		vql.NewAccessor("offset", func(_ context.Context, s *vql.Scope) (vql.Accessor, error) { return offsetAccessor{s}, nil },
			vql.Impure(), vql.Doc("Reads a file from the offset that the path tells.")),
	}
}
