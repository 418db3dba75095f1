package fsxtest

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"

	"satchel/internal/fsx"
)

// node is a file or a directory. It is guarded by FS.mu.
type node struct {
	// A file:
	live, durable []byte
	pending       []change // from durable towards live, less what a failed sync lost

	// A directory has names:
	names, durableNames map[string]*node
	pendingNames        []map[string]*node // steps; nil removes
}

// change is a write, or a truncation if data is nil.
type change struct {
	off  int64
	data []byte
}

func newDir() *node {
	return &node{names: map[string]*node{}, durableNames: map[string]*node{}}
}

func (n *node) dir() bool { return n.names != nil }

func (n *node) info(name string) fs.FileInfo {
	return info{name: name, size: int64(len(n.live)), dir: n.dir()}
}

// size returns the bytes of all files below.
func (n *node) size() int64 {
	s := int64(len(n.live))
	for _, c := range n.names {
		s += c.size()
	}
	return s
}

// set changes names in one step; nil removes one.
func (n *node) set(step map[string]*node) {
	apply(n.names, step)
	n.pendingNames = append(n.pendingNames, step)
}

func apply(names, step map[string]*node) {
	for name, c := range step {
		if c == nil {
			delete(names, name)
			continue
		}
		names[name] = c
	}
}

// syncNames makes the names durable.
func (n *node) syncNames() {
	for _, step := range n.pendingNames {
		apply(n.durableNames, step)
	}
	n.pendingNames = nil
}

// change does a write or truncation.
func (n *node) change(c change) {
	n.live = c.apply(n.live)
	n.pending = append(n.pending, c)
}

func (n *node) truncate(size int64) { n.change(change{off: size}) }

// apply returns b with the change.
func (c change) apply(b []byte) []byte {
	end := c.off + int64(len(c.data))
	switch {
	case int64(len(b)) < end:
		b = append(b, make([]byte, end-int64(len(b)))...)
	case c.data == nil:
		b = b[:end]
	}
	copy(b[c.off:], c.data)
	return b
}

// sync makes the content durable.
func (n *node) sync() {
	for _, c := range n.pending {
		n.durable = c.apply(n.durable)
	}
	n.pending = nil
}

// crash makes live what is durable, and with rng what chance lets survive besides.
func (n *node) crash(rng *rand.Rand) {
	if rng != nil {
		n.survive(rng)
	}
	n.pending, n.pendingNames = nil, nil
	if !n.dir() {
		n.live = slices.Clone(n.durable)
		return
	}
	n.names = maps.Clone(n.durableNames)
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		n.names[name].crash(rng)
	}
}

// survive lets part of what is pending become durable.
func (n *node) survive(rng *rand.Rand) {
	if n.dir() {
		for _, step := range n.pendingNames[:rng.IntN(len(n.pendingNames)+1)] {
			apply(n.durableNames, step)
		}
		return
	}
	for _, c := range n.pending {
		switch rng.IntN(4) {
		case 0: // lost
		case 1: // torn
			if c.data != nil {
				c.data = c.data[:rng.IntN(len(c.data)+1)]
				if len(c.data) == 0 {
					continue
				}
			}
			n.durable = c.apply(n.durable)
		case 2: // the size came, the bytes did not
			if c.data != nil {
				c.data = make([]byte, len(c.data))
				if int64(len(n.durable)) > c.off {
					continue // they would overwrite what is durable
				}
			}
			n.durable = c.apply(n.durable)
		case 3:
			n.durable = c.apply(n.durable)
		}
	}
}

// file is an open file.
type file struct {
	fs   *FS
	boot int
	n    *node
	name string
	flag int

	pos    int64 // guarded by fs.mu
	closed bool  // guarded by fs.mu
}

var _ fsx.File = (*file)(nil)

// check is called with fs.mu held.
func (f *file) check(op string) error {
	switch {
	case f.closed:
		return pathError(op, f.name, fs.ErrClosed)
	case f.boot != f.fs.boot:
		return pathError(op, f.name, ErrCrashed)
	}
	return nil
}

// Name implements fsx.File.
func (f *file) Name() string { return f.name }

// Close implements fsx.File.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}

// Stat implements fsx.File.
func (f *file) Stat() (fs.FileInfo, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("stat"); err != nil {
		return nil, err
	}
	return f.n.info(f.name), nil
}

// Read implements fsx.File.
func (f *file) Read(p []byte) (int, error) {
	f.fs.mu.Lock()
	at := f.pos
	f.fs.mu.Unlock()
	n, err := f.ReadAt(p, at)
	f.fs.mu.Lock()
	f.pos = at + int64(n)
	f.fs.mu.Unlock()
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt implements fsx.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if _, fault := f.fs.begin(OpRead, f.name, len(p)); fault != nil {
		return 0, pathError("read", f.name, fault.Err)
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("read"); err != nil {
		return 0, err
	}
	if f.flag&os.O_WRONLY != 0 {
		return 0, pathError("read", f.name, syscall.EBADF)
	}
	if off >= int64(len(f.n.live)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.n.live[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Write implements fsx.File.
func (f *file) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	at := f.pos
	if f.flag&os.O_APPEND != 0 {
		at = int64(len(f.n.live))
	}
	f.fs.mu.Unlock()
	n, err := f.WriteAt(p, at)
	f.fs.mu.Lock()
	f.pos = at + int64(n)
	f.fs.mu.Unlock()
	return n, err
}

// WriteAt implements fsx.File. On a disk that is full it writes what there is room for and fails with ENOSPC.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	_, fault := f.fs.begin(OpWrite, f.name, len(p))
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("write"); err != nil {
		return 0, err
	}
	if f.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return 0, pathError("write", f.name, syscall.EBADF)
	}
	n := len(p)
	var err error
	if fault != nil {
		n, err = min(n, fault.Short), pathError("write", f.name, fault.Err)
	} else if f.fs.limit >= 0 {
		grow := off + int64(n) - int64(len(f.n.live))
		if left := f.fs.limit - f.fs.root.size(); grow > max(0, left) {
			n, err = max(0, n-int(grow-max(0, left))), pathError("write", f.name, syscall.ENOSPC)
		}
	}
	if n > 0 {
		f.n.change(change{off: off, data: slices.Clone(p[:n])})
	}
	return n, err
}

// Seek implements fsx.File.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("seek"); err != nil {
		return 0, err
	}
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += int64(len(f.n.live))
	}
	if offset < 0 {
		return 0, pathError("seek", f.name, fs.ErrInvalid)
	}
	f.pos = offset
	return offset, nil
}

// Sync implements fsx.File.
func (f *file) Sync() error {
	_, fault := f.fs.begin(OpSync, f.name, 0)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("sync"); err != nil {
		return err
	}
	if fault != nil {
		f.n.pending = nil
		return pathError("sync", f.name, fault.Err)
	}
	f.n.sync()
	return nil
}

// Truncate implements fsx.File.
func (f *file) Truncate(size int64) error {
	_, fault := f.fs.begin(OpTruncate, f.name, 0)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("truncate"); err != nil {
		return err
	}
	if fault != nil {
		return pathError("truncate", f.name, fault.Err)
	}
	if size < 0 {
		return pathError("truncate", f.name, fs.ErrInvalid)
	}
	f.n.truncate(size)
	return nil
}
