package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"satchel/vql"
)

// batch is how many entries of a directory are read at a time.
const batch = 256

// fileAccessor reads the files of the running system.
type fileAccessor struct {
	patience patience
	buffers  sync.Pool
	devices  bool     // opens block and character devices too
	volatile sync.Map // device number of a file system -> bool, see unreliableSize
}

var _ vql.Accessor = (*fileAccessor)(nil)

// newFileAccessor returns the accessor of the running system. Calls that take
// longer than stall are given up.
func newFileAccessor(stall time.Duration, devices bool) *fileAccessor {
	return &fileAccessor{
		patience: patience{stall: stall, grace: 2 * time.Second},
		devices:  devices,
		buffers: sync.Pool{New: func() any {
			b := make([]byte, bufferBytes)
			return &b
		}},
	}
}

// style is how paths of the running system are written.
func style() vql.Style {
	if runtime.GOOS == "windows" {
		return vql.Windows
	}
	return vql.Posix
}

// Parse reads a path of the running system. It is taken from the root, whatever
// the working directory is.
func (a *fileAccessor) Parse(text string) (vql.Path, error) { return vql.ParsePath(style(), text), nil }

type openAnswer struct {
	h        handle
	fact     fact
	volatile bool
	err      error
	// Of a small file, what was read at once; nil otherwise.
	buf   *[]byte
	read  int
	after fact // as the file was then
}

// Open opens a file. What is not a regular file is refused before it is opened,
// because opening alone can hang, or set something off.
func (a *fileAccessor) Open(ctx context.Context, p vql.Path) (vql.File, error) {
	f, err := a.open(ctx, p)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (a *fileAccessor) open(ctx context.Context, p vql.Path) (*file, error) {
	name := joinName(p.Components())
	got, err := await(ctx, &a.patience, "open "+name, func() openAnswer { return a.openNow(name) }, func(late openAnswer) {
		if late.h != nil {
			_ = late.h.close()
		}
	})
	if err != nil {
		return nil, err
	}
	if got.err != nil {
		return nil, got.err
	}
	f := &file{
		patience: &a.patience, buffers: &a.buffers, ctx: ctx, name: name, path: p,
		first: got.fact, volatile: got.volatile, h: got.h, buf: got.buf,
	}
	if got.buf != nil {
		f.held, f.after = (*got.buf)[:got.read], &got.after
	}
	return f, nil
}

// readAtOnce reads a small file in the call that opened it: each call that is
// waited for costs more than the reading. What does not come out as expected is
// left to be read, and to fail, as usual.
func (a *fileAccessor) readAtOnce(o *openAnswer) {
	if !o.fact.mode.IsRegular() || o.volatile || o.fact.size <= 0 || o.fact.size > bufferBytes || o.fact.allocated >= 0 && o.fact.allocated < o.fact.size {
		return
	}
	buf := a.buffers.Get().(*[]byte)
	n, err := fillFrom(o.h, (*buf)[:o.fact.size], 0)
	if err == nil {
		o.after, err = o.h.fact()
	}
	if err != nil {
		a.buffers.Put(buf)
		return
	}
	o.buf, o.read = buf, n
}

// openNow opens the file without looking at the clock.
func (a *fileAccessor) openNow(name string) openAnswer {
	before, err := followed(name)
	if err == nil {
		err = a.refuse(name, &before)
	}
	if err != nil {
		return openAnswer{err: err}
	}
	h, err := openHandle(name)
	if err != nil {
		return openAnswer{err: err}
	}
	now, err := h.fact()
	if err == nil && (now.inode != before.inode || now.device != before.device) {
		err = a.refuse(name, &now) // it was exchanged meanwhile
	}
	if err != nil {
		_ = h.close()
		return openAnswer{err: err}
	}
	if now.mode.IsRegular() && a.unreliable(name, now.device) {
		return openAnswer{h: h, fact: now, volatile: true}
	}
	o := openAnswer{h: h, fact: now}
	a.readAtOnce(&o)
	return o
}

func (a *fileAccessor) refuse(name string, f *fact) error {
	mode := f.mode
	switch {
	case mode.IsRegular() || isNull(f):
		return nil
	case mode.IsDir():
		return fmt.Errorf("open %s: %w", name, ErrIsDirectory)
	case a.devices && mode&fs.ModeDevice != 0:
		return nil
	}
	return fmt.Errorf("open %s: %s: %w", name, kindOf(mode), ErrNotRegular)
}

// kindOf names what is not a regular file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeCharDevice != 0:
		return "a character device"
	case mode&fs.ModeDevice != 0:
		return "a block device"
	}
	return "of an unknown kind"
}

// unreliable is unreliableSize, asked once for each file system.
func (a *fileAccessor) unreliable(name string, device uint64) bool {
	if v, ok := a.volatile.Load(device); ok {
		return v.(bool)
	}
	v := unreliableSize(name)
	a.volatile.Store(device, v)
	return v
}

// Lstat describes what is at the path without following a link.
func (a *fileAccessor) Lstat(ctx context.Context, p vql.Path) (vql.Info, error) {
	f, err := a.describe(ctx, p, lstat)
	if err != nil {
		return vql.Info{}, err
	}
	return f.info(p), nil
}

// describe asks the system about a path by lstat or followed.
func (a *fileAccessor) describe(ctx context.Context, p vql.Path, ask func(string) (fact, error)) (fact, error) {
	name := joinName(p.Components())
	got, err := await(ctx, &a.patience, "stat "+name, func() factAnswer {
		f, err := ask(name)
		return factAnswer{f, err}
	}, nil)
	if err != nil {
		return fact{}, err
	}
	return got.fact, got.err
}

// ReadDir streams the entries of a directory.
func (a *fileAccessor) ReadDir(ctx context.Context, p vql.Path) iter.Seq2[vql.Info, error] {
	return func(yield func(vql.Info, error) bool) {
		l, err := a.list(ctx, p)
		if err != nil {
			yield(vql.Info{}, err)
			return
		}
		defer l.close()
		for {
			entries, err := l.next(func(string, fs.FileMode) need { return needAll })
			for i := range entries {
				e := &entries[i]
				if !yield(e.fact.info(p.Join(e.name)), e.err) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(vql.Info{}, err)
				return
			}
		}
	}
}

// need says how much must be known about an entry of a directory.
type need uint8

const (
	needNothing need = iota // pass it over
	needType                // its name and type
	needAll
)

// entry is an entry of a directory. Of an entry for which only the type was
// wanted, the fact holds no more than that.
type entry struct {
	name string
	fact fact
	data *vql.Dict // what an accessor of another kind told
	err  error     // it could not be described
}

// listing is an open directory of the running system.
type listing struct {
	ctx      context.Context
	patience *patience
	name     string
	d        *dir // nil once closed or abandoned
	drives   []entry
}

// list opens a directory, following a link.
func (a *fileAccessor) list(ctx context.Context, p vql.Path) (*listing, error) {
	if runtime.GOOS == "windows" && p.IsRoot() {
		return &listing{ctx: ctx, patience: &a.patience, drives: drives()}, nil
	}
	name := joinName(p.Components())
	type answer struct {
		d   *dir
		err error
	}
	got, err := await(ctx, &a.patience, "open "+name, func() answer {
		d, err := openDir(name)
		return answer{d, err}
	}, func(late answer) {
		if late.d != nil {
			_ = late.d.close()
		}
	})
	if err != nil {
		return nil, err
	}
	if got.err != nil {
		return nil, got.err
	}
	return &listing{ctx: ctx, patience: &a.patience, name: name, d: got.d}, nil
}

// next returns the next entries for which want answers more than needNothing.
// It returns io.EOF at the end, with or without entries.
func (l *listing) next(want func(name string, kind fs.FileMode) need) ([]entry, error) {
	if l.drives != nil {
		out := slices.DeleteFunc(slices.Clone(l.drives), func(e entry) bool { return want(e.name, e.fact.mode) == needNothing })
		l.drives = nil
		return out, io.EOF
	}
	if l.d == nil {
		return nil, ErrClosed
	}
	type answer struct {
		entries []entry
		err     error
	}
	d := l.d
	got, err := await(l.ctx, l.patience, "list "+l.name, func() answer {
		entries, err := d.next(want)
		return answer{entries, err}
	}, func(answer) { _ = d.close() })
	if errors.Is(err, ErrAbandoned) {
		l.d = nil
	}
	if err != nil {
		return nil, err
	}
	return got.entries, got.err
}

func (d *dir) next(want func(name string, kind fs.FileMode) need) ([]entry, error) {
	found, err := d.f.ReadDir(batch)
	var out []entry
	for _, f := range found {
		e := entry{name: f.Name()}
		e.fact.mode = f.Type()
		switch want(e.name, f.Type()) {
		case needNothing:
			continue
		case needAll:
			e.fact, e.err = d.describe(e.name)
			if errors.Is(e.err, os.ErrNotExist) {
				continue // gone between the two calls
			}
			if e.err != nil {
				e.fact.mode = f.Type()
			}
		}
		out = append(out, e)
	}
	return out, err
}

func (l *listing) close() {
	if l.d != nil {
		_ = l.d.close()
		l.d = nil
	}
}
