package vql

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"time"

	"satchel/internal/flow"
)

// Accessor is a way to read things by path: the file system, the registry, the
// members of an archive. Its methods may be called by several goroutines at
// once and end soon after ctx does.
type Accessor interface {
	// Parse reads a path as a person writes it.
	Parse(text string) (Path, error)
	// Open opens what is at the path for reading.
	Open(ctx context.Context, p Path) (File, error)
	// Lstat describes what is at the path without following a link.
	Lstat(ctx context.Context, p Path) (Info, error)
	// ReadDir streams what is in the directory, in no order. An error ends it,
	// unless it comes with an Info whose path is set: then it is about that
	// one entry.
	ReadDir(ctx context.Context, p Path) iter.Seq2[Info, error]
}

// File is an open file of an [Accessor].
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Stat() (Info, error)
}

// Ranger is a [File] that knows which parts of it are sparse. The ranges cover
// the whole file in order.
type Ranger interface {
	Ranges() ([]flow.Range, error)
}

// Info describes one thing that an accessor finds. Unknown times are zero,
// an unknown size is -1.
type Info struct {
	Path     Path
	Size     int64
	Mode     fs.FileMode
	Link     string // target of a symbolic link
	Modified time.Time
	Accessed time.Time
	Changed  time.Time
	Born     time.Time
	Inode    uint64
	Device   uint64
	Data     *Dict // what else the accessor knows, nil if nothing
}

// Name returns the last component of the path.
func (i Info) Name() string { return i.Path.Base() }

// IsDir says whether it is a directory.
func (i Info) IsDir() bool { return i.Mode.IsDir() }

// IsLink says whether it is a symbolic link.
func (i Info) IsLink() bool { return i.Mode&fs.ModeSymlink != 0 }

// AccessorDef is an accessor as a [Set] holds it.
type AccessorDef struct {
	*accessorDef
}

type accessorDef struct {
	meta
	open func(ctx context.Context, s *Scope) (Accessor, error)
}

// NewAccessor makes an accessor known under the name. open is called when a
// query first uses it, once per run; with the option [Impure] it is called at
// each use, with the scope of that use.
func NewAccessor(name string, open func(ctx context.Context, s *Scope) (Accessor, error), o ...Option) AccessorDef {
	return AccessorDef{&accessorDef{meta: newMeta(name, o), open: open}}
}

func (a *accessorDef) addTo(s *Set) error { return addNamed(s.accessors, "accessor", a.name, a) }
