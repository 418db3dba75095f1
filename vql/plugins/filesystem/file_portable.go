//go:build !linux

package filesystem

import (
	"io"
	"io/fs"
	"os"

	"satchel/internal/flow"
)

// osHandle is an open file of the standard library.
type osHandle struct {
	f *os.File
}

func openHandle(name string) (handle, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	return osHandle{f}, nil
}

func (h osHandle) read(p []byte, at int64) (int, error) {
	n, err := h.f.ReadAt(p, at)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (h osHandle) fact() (fact, error) {
	i, err := h.f.Stat()
	if err != nil {
		return fact{}, err
	}
	return factOf(i), nil
}

// ranges knows nothing of sparse runs on these systems.
func (h osHandle) ranges(int64) ([]flow.Range, error) { return nil, nil }

func (h osHandle) close() error { return h.f.Close() }

// factOf reads what the standard library knows of a file, and what its system
// adds.
func factOf(i fs.FileInfo) fact {
	f := fact{size: i.Size(), allocated: -1, mode: i.Mode(), modified: i.ModTime().UTC(), uid: -1, gid: -1}
	addSystem(&f, i)
	return f
}

// lstat describes what is at the path without following a link.
func lstat(name string) (fact, error) {
	i, err := os.Lstat(name)
	if err != nil {
		return fact{}, err
	}
	f := factOf(i)
	if f.mode&fs.ModeSymlink != 0 {
		f.link, _ = os.Readlink(name)
	}
	return f, nil
}

// followed describes what a path leads to.
func followed(name string) (fact, error) {
	i, err := os.Stat(name)
	if err != nil {
		return fact{}, err
	}
	return factOf(i), nil
}

// unreliableSize says whether files of the file system that holds the path have
// sizes that say nothing about what can be read.
func unreliableSize(string) bool { return false }

// dir is an open directory.
type dir struct {
	f    *os.File
	self fact
}

func openDir(name string) (*dir, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	i, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &dir{f, factOf(i)}, nil
}

func (d *dir) close() error { return d.f.Close() }

// describe describes an entry of the directory without following a link.
func (d *dir) describe(name string) (fact, error) {
	return lstat(d.f.Name() + string(os.PathSeparator) + name)
}

// isNull says whether a file is the null device of Linux.
func isNull(*fact) bool { return false }
