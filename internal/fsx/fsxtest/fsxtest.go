// Package fsxtest is a file system in memory that fails and crashes as told, for tests of what must survive that.
//
// The model is meaner than any real file system. Bytes survive Crash only if File.Sync returned nil after they were
// written, names only if SyncDir returned nil after they changed. What was not synced may be gone, kept in part, kept
// out of order or replaced by zeros; names change in order, a rename in one step. After a failed Sync the bytes since
// the last good one can still be read, but no later Sync makes them durable. Kill is the end of the process alone:
// everything written stays.
//
// An FS is safe for concurrent use.
package fsxtest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"satchel/internal/fsx"
)

// ErrCrashed is returned by files that were opened before a crash.
var ErrCrashed = errors.New("the machine has crashed since")

// Op is an operation that can be counted and made to fail.
type Op string

// The operations. OpCreate is an OpenFile that makes the file, OpOpen any other.
const (
	OpOpen     Op = "open"
	OpCreate   Op = "create"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "syncdir"
	OpMkdir    Op = "mkdir"
)

// Call is one operation about to be done.
type Call struct {
	Op    Op
	Name  string
	N     int // it is the n-th of this Op, from 1
	Total int // it is the n-th of all that change something (all but open and read), from 1; 0 for those
	Bytes int // of a write
}

// Fault is what happens instead of an operation.
type Fault struct {
	Err   error
	Short int // bytes of a write that are written nevertheless
}

// FailNth fails the n-th operation op, from 1, and no other.
func FailNth(op Op, n int, err error) func(Call) *Fault {
	return func(c Call) *Fault {
		if c.Op != op || c.N != n {
			return nil
		}
		return &Fault{Err: err, Short: c.Bytes / 2}
	}
}

// FailFrom fails the n-th operation op, from 1, and all later ones.
func FailFrom(op Op, n int, err error) func(Call) *Fault {
	return func(c Call) *Fault {
		if c.Op != op || c.N < n {
			return nil
		}
		return &Fault{Err: err, Short: c.Bytes / 2}
	}
}

// FS is the file system. It has one root, and every name is taken as absolute.
type FS struct {
	mu     sync.Mutex
	root   *node
	boot   int // counts crashes
	hook   func(Call) *Fault
	counts map[Op]int
	total  int
	limit  int64 // bytes in all files, -1: none
	locks  map[string]int
}

var _ fsx.FS = (*FS)(nil)

// New returns an empty file system.
func New() *FS {
	return &FS{root: newDir(), counts: map[Op]int{}, locks: map[string]int{}, limit: -1}
}

// Inject makes hook decide about every operation from now on: nil lets it pass. The hook may block; it is called without
// a lock held. A nil hook ends that.
func (f *FS) Inject(hook func(Call) *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// Count returns how often op was called, failed calls included.
func (f *FS) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// Total returns how many operations that change something were called.
func (f *FS) Total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// Limit makes the disk as large as n bytes of content; -1 is without bound.
func (f *FS) Limit(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = n
}

// Crash is a loss of power. With a nil rng everything that was not synced is gone; else chance decides about each piece
// of it. Files that are open give ErrCrashed from then on, locks are free, and injected faults end.
func (f *FS) Crash(rng *rand.Rand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reboot()
	f.root.crash(rng)
}

// Kill is the end of the process: what was written stays, synced or not, but is not durable.
func (f *FS) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reboot()
}

// reboot ends what a process has open.
func (f *FS) reboot() {
	f.boot++
	f.locks = map[string]int{}
	f.hook = nil
}

// ReadFile returns the content of a file as a process sees it. It is neither counted nor made to fail.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find("read", name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(n.live), nil
}

// WriteFile makes the content of a file, durably, together with the directories above it. It is neither counted nor
// made to fail.
func (f *FS) WriteFile(name string, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.root
	parts := split(name)
	if len(parts) == 0 {
		return pathError("write", name, fs.ErrInvalid)
	}
	for _, p := range parts[:len(parts)-1] {
		if d.names[p] == nil {
			d.set(map[string]*node{p: newDir()})
		}
		d.syncNames()
		d = d.names[p]
		if !d.dir() {
			return pathError("write", name, syscall.ENOTDIR)
		}
	}
	n := &node{live: slices.Clone(b), durable: slices.Clone(b)}
	d.set(map[string]*node{parts[len(parts)-1]: n})
	d.syncNames()
	return nil
}

// begin counts an operation and asks the hook. It returns what boot was.
func (f *FS) begin(op Op, name string, bytes int) (boot int, fault *Fault) {
	f.mu.Lock()
	f.counts[op]++
	c := Call{Op: op, Name: name, N: f.counts[op], Bytes: bytes}
	if op != OpOpen && op != OpRead {
		f.total++
		c.Total = f.total
	}
	hook, boot := f.hook, f.boot
	f.mu.Unlock()
	if hook == nil {
		return boot, nil
	}
	return boot, hook(c)
}

// find returns the node of a name. It is called with mu held.
func (f *FS) find(op, name string) (*node, error) {
	n := f.root
	for _, p := range split(name) {
		if !n.dir() {
			return nil, pathError(op, name, syscall.ENOTDIR)
		}
		if n = n.names[p]; n == nil {
			return nil, pathError(op, name, fs.ErrNotExist)
		}
	}
	return n, nil
}

// parent returns the directory of a name and the last part of it. It is called with mu held.
func (f *FS) parent(op, name string) (*node, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", pathError(op, name, fs.ErrInvalid)
	}
	d, err := f.find(op, filepath.Dir(filepath.Clean(name)))
	if err != nil {
		return nil, "", err
	}
	if !d.dir() {
		return nil, "", pathError(op, name, syscall.ENOTDIR)
	}
	return d, parts[len(parts)-1], nil
}

// split returns the parts of a name.
func split(name string) []string {
	name = filepath.ToSlash(filepath.Clean(name))
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// OpenFile implements fsx.FS. It knows the flags O_RDONLY, O_WRONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC and O_APPEND.
func (f *FS) OpenFile(name string, flag int, _ fs.FileMode) (fsx.File, error) {
	f.mu.Lock()
	_, err := f.find("open", name)
	f.mu.Unlock()
	op := OpOpen
	if flag&os.O_CREATE != 0 && err != nil {
		op = OpCreate
	}
	boot, fault := f.begin(op, name, 0)
	if fault != nil {
		return nil, pathError("open", name, fault.Err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find("open", name)
	switch {
	case err == nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, pathError("open", name, fs.ErrExist)
	case err != nil && flag&os.O_CREATE == 0:
		return nil, err
	case err != nil:
		d, last, err := f.parent("open", name)
		if err != nil {
			return nil, err
		}
		n = &node{}
		d.set(map[string]*node{last: n})
	}
	if n.dir() {
		return nil, pathError("open", name, syscall.EISDIR)
	}
	if flag&os.O_TRUNC != 0 {
		n.truncate(0)
	}
	return &file{fs: f, boot: boot, n: n, name: name, flag: flag}, nil
}

// Rename implements fsx.FS.
func (f *FS) Rename(o, n string) error {
	if _, fault := f.begin(OpRename, n, 0); fault != nil {
		return pathError("rename", o, fault.Err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	from, oldName, err := f.parent("rename", o)
	if err != nil {
		return err
	}
	to, newName, err := f.parent("rename", n)
	if err != nil {
		return err
	}
	moved := from.names[oldName]
	switch {
	case moved == nil:
		return pathError("rename", o, fs.ErrNotExist)
	case to.names[newName] == moved:
		return nil
	case to.names[newName] != nil && to.names[newName].dir():
		return pathError("rename", n, fs.ErrExist)
	}
	if from == to {
		from.set(map[string]*node{oldName: nil, newName: moved})
		return nil
	}
	to.set(map[string]*node{newName: moved})
	from.set(map[string]*node{oldName: nil})
	return nil
}

// Remove implements fsx.FS.
func (f *FS) Remove(name string) error {
	if _, fault := f.begin(OpRemove, name, 0); fault != nil {
		return pathError("remove", name, fault.Err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d, last, err := f.parent("remove", name)
	if err != nil {
		return err
	}
	switch n := d.names[last]; {
	case n == nil:
		return pathError("remove", name, fs.ErrNotExist)
	case n.dir() && len(n.names) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	d.set(map[string]*node{last: nil})
	return nil
}

// MkdirAll implements fsx.FS.
func (f *FS) MkdirAll(name string, _ fs.FileMode) error {
	if _, fault := f.begin(OpMkdir, name, 0); fault != nil {
		return pathError("mkdir", name, fault.Err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.root
	for _, p := range split(name) {
		if d.names[p] == nil {
			d.set(map[string]*node{p: newDir()})
		}
		if d = d.names[p]; !d.dir() {
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
	}
	return nil
}

// ReadDir implements fsx.FS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	if _, fault := f.begin(OpRead, name, 0); fault != nil {
		return nil, pathError("readdir", name, fault.Err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !d.dir() {
		return nil, pathError("readdir", name, syscall.ENOTDIR)
	}
	var out []fs.DirEntry
	for p, n := range d.names {
		out = append(out, fs.FileInfoToDirEntry(n.info(p)))
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

// Stat implements fsx.FS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n.info(filepath.Base(name)), nil
}

// SyncDir implements fsx.FS. When it fails, the changes of names since the last good one are forgotten by the disk.
func (f *FS) SyncDir(name string) error {
	_, fault := f.begin(OpSyncDir, name, 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	d, err := f.find("syncdir", name)
	if err != nil {
		return err
	}
	if !d.dir() {
		return pathError("syncdir", name, syscall.ENOTDIR)
	}
	if fault != nil {
		d.pendingNames = nil
		return pathError("syncdir", name, fault.Err)
	}
	d.syncNames()
	return nil
}

// Free implements fsx.FS.
func (f *FS) Free(string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limit < 0 {
		return 1 << 62, nil
	}
	return uint64(max(0, f.limit-f.root.size())), nil
}

// Lock implements fsx.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	file, err := f.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, held := f.locks[filepath.Clean(name)]; held {
		return nil, fmt.Errorf("lock %s: %w", name, fsx.ErrLocked)
	}
	f.locks[filepath.Clean(name)] = f.boot
	return unlocker{f, filepath.Clean(name), f.boot, file}, nil
}

// unlocker gives a lock back.
type unlocker struct {
	fs   *FS
	name string
	boot int
	file fsx.File
}

// Close implements io.Closer.
func (u unlocker) Close() error {
	u.fs.mu.Lock()
	if b, ok := u.fs.locks[u.name]; ok && b == u.boot {
		delete(u.fs.locks, u.name)
	}
	u.fs.mu.Unlock()
	return u.file.Close()
}

// info is what Stat tells.
type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
