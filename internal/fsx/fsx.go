// Package fsx is the seam between the packages that must survive a crash and the file system.
//
// FS has the few operations that durable storage needs, with the two that package os does not offer portably: SyncDir,
// which makes the names in a directory durable, and Free, which tells how much room is left. OS returns the real one;
// the fsxtest package has one in memory that loses, tears and reorders what was not synced.
//
// The rules that hold for every FS, and that its users rely on:
//
//   - bytes written are durable after File.Sync returned nil, and not before;
//   - a name created, renamed or removed is durable after SyncDir of its directory returned nil, and not before;
//   - Rename replaces an existing file in one step: after a crash the name shows the old file or the new one;
//   - after File.Sync failed, the bytes written since the last good Sync may be gone for good, even if a later Sync
//     succeeds.
package fsx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLocked is returned by Lock when somebody else holds the lock.
var ErrLocked = errors.New("locked by another process")

// FS is a file system. Names are native paths as package os takes them. Errors are those of package os
// (*fs.PathError, testable with errors.Is against fs.ErrNotExist and the like).
type FS interface {
	// OpenFile opens name with the flags of package os.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename moves o to n and replaces n if it exists.
	Rename(o, n string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// MkdirAll makes a directory and its parents; existing ones are not an error.
	MkdirAll(name string, perm fs.FileMode) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes a file.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable. It does nothing on Windows, where names are.
	SyncDir(name string) error
	// Free returns the bytes that this process may still write to the file system that holds dir.
	Free(dir string) (uint64, error)
	// Lock takes an exclusive lock on the file name (made if need be, never removed) until the Closer is closed or
	// the process ends. It does not wait: a lock that is held gives ErrLocked.
	Lock(name string) (io.Closer, error)
}

// File is an open file. WriteAt is not to be used on files opened with os.O_APPEND.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	// Sync makes the content and the size durable (fdatasync on Linux, F_FULLFSYNC on macOS).
	Sync() error
	// Truncate changes the size.
	Truncate(size int64) error
	// Stat describes the file.
	Stat() (fs.FileInfo, error)
	// Name is the name it was opened with.
	Name() string
}

// OS returns the file system of the machine.
func OS() FS { return osFS{} }

type osFS struct{}

var _ FS = osFS{}

// osFile is an *os.File whose Sync is the cheapest call that makes content durable.
type osFile struct{ *os.File }

var _ File = osFile{}

// Sync implements File.
func (f osFile) Sync() error { return syncData(f.File) }

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(o, n string) error                     { return os.Rename(o, n) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error)   { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }
func (osFS) SyncDir(name string) error                    { return syncDir(name) }
func (osFS) Free(dir string) (uint64, error)              { return free(dir) }
func (osFS) Lock(name string) (io.Closer, error)          { return lock(name) }

// TempSuffix ends the name of the file that WriteFileAtomic writes before it takes its final name. One that is found
// after a crash is worthless and may be removed; the next WriteFileAtomic of the same name overwrites it.
const TempSuffix = ".tmp"

// WriteFileAtomic replaces the content of name by what write writes, so that after a crash at any moment name holds
// either all of the old content or all of the new, and after it returned nil the new for good. It writes a temporary
// file beside name, syncs it, renames it and syncs the directory. Two calls for one name must not run at once. When it
// fails, the old content stands and the temporary file is removed, except that after a failed sync of the directory
// either content may be found after a crash.
func WriteFileAtomic(f FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	tmp := name + TempSuffix
	if err := writeTemp(f, tmp, perm, write); err != nil {
		if rerr := f.Remove(tmp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			return errors.Join(err, fmt.Errorf("remove temporary file: %w", rerr))
		}
		return err
	}
	if err := f.Rename(tmp, name); err != nil {
		return errors.Join(fmt.Errorf("rename into place: %w", err), f.Remove(tmp))
	}
	if err := f.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// writeTemp writes and syncs the temporary file.
func writeTemp(f FS, tmp string, perm fs.FileMode, write func(io.Writer) error) (err error) {
	file, err := f.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return fmt.Errorf("create temporary file: %w", err)
	}
	defer func() {
		if cerr := file.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("close temporary file: %w", cerr)
		}
	}()
	if err := write(file); err != nil {
		return fmt.Errorf("write temporary file: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync temporary file: %w", err)
	}
	return nil
}

// IsNoSpace tells whether err says that the disk, a quota or the largest size of a file is exhausted: a state that
// ends when somebody makes room, unlike an I/O error.
func IsNoSpace(err error) bool { return isNoSpace(err) }
