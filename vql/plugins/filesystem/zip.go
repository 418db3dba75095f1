package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"sync"

	"satchel/internal/zipx"
	"satchel/vql"
)

// maxZipNodes bounds the members and directories of an archive that the
// accessor zip shows.
const maxZipNodes = 2_000_000

// zipAccessor shows the members of ZIP archives. The delegate of a path is the
// archive. Archives stay open until the run ends.
type zipAccessor struct {
	scope *vql.Scope
	open  *openZips
}

var _ vql.Accessor = zipAccessor{}

// openZips are the archives that a run has open.
type openZips struct {
	mu   sync.Mutex
	zips map[string]*openZip
}

type openZip struct {
	once    sync.Once
	err     error
	f       vql.File
	archive *zipx.Archive
	root    *zipNode
}

type openZipsKey struct{}

// Close closes the archives.
func (o *openZips) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []error
	for _, z := range o.zips {
		if z.f != nil {
			all = append(all, z.f.Close())
		}
	}
	clear(o.zips)
	return errors.Join(all...)
}

// zipNode is a member, or a directory that the names of members imply.
type zipNode struct {
	name     string
	member   *zipx.Member // nil for an implied directory
	children map[string]*zipNode
	order    []*zipNode
}

func (n *zipNode) child(name string) *zipNode {
	if c := n.children[name]; c != nil {
		return c
	}
	if n.children == nil {
		n.children = make(map[string]*zipNode)
	}
	c := &zipNode{name: name}
	n.children[name] = c
	n.order = append(n.order, c)
	return c
}

func (n *zipNode) info(p vql.Path) vql.Info {
	i := vql.Info{Path: p, Mode: fs.ModeDir | 0o555}
	m := n.member
	if m == nil {
		return i
	}
	i.Modified = m.Modified
	if !m.Dir && n.children == nil {
		i.Mode, i.Size = 0o444, int64(min(m.Size, 1<<63-1))
		i.Data = vql.NewDict().Set("CompressedSize", m.CompressedSize).Set("Method", int64(m.Method)).Set("CRC32", int64(m.CRC32))
	}
	return i
}

// zipTree lays the members of an archive out as directories. Of members with
// one name the last counts, as it does for unzip.
func zipTree(members iter.Seq2[zipx.Member, error]) (*zipNode, error) {
	root := &zipNode{}
	nodes := 0
	for m, err := range members {
		if err != nil {
			return nil, err
		}
		at := root
		for _, part := range strings.FieldsFunc(m.Name, func(r rune) bool { return r == '/' }) {
			if part == "." {
				continue
			}
			if at.children[part] == nil {
				if nodes++; nodes > maxZipNodes {
					return nil, fmt.Errorf("more than %d members and directories: %w", maxZipNodes, ErrRange)
				}
			}
			at = at.child(part)
		}
		if at != root {
			at.member = &m
		}
	}
	return root, nil
}

// archive opens the delegate of a path, once for each run.
func (a zipAccessor) archive(ctx context.Context, p vql.Path) (*openZip, error) {
	d := p.Delegate()
	if d == nil {
		return nil, fmt.Errorf("%s: the path names no archive: use pathspec(DelegatePath=...)", p)
	}
	key := d.Accessor + "\x00" + d.Path.String()
	a.open.mu.Lock()
	z := a.open.zips[key]
	if z == nil {
		z = &openZip{}
		a.open.zips[key] = z
	}
	a.open.mu.Unlock()
	z.once.Do(func() { z.err = z.load(context.WithoutCancel(ctx), a.scope, p) })
	return z, z.err
}

// load opens the archive. It stays open beyond the call that first asked for
// it, so ctx must not end with that call.
func (z *openZip) load(ctx context.Context, s *vql.Scope, p vql.Path) error {
	f, err := openInner(ctx, s, p)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size < 0 {
		err = fmt.Errorf("an archive must have a known size: %w", ErrRange)
	}
	if err == nil {
		z.archive, err = zipx.Open(f, info.Size, zipx.Limits{})
	}
	if err == nil {
		z.root, err = zipTree(z.archive.Members())
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("zip %s: %w", p.Delegate().Path, err)
	}
	z.f = f
	return nil
}

func (a zipAccessor) node(ctx context.Context, p vql.Path) (*openZip, *zipNode, error) {
	z, err := a.archive(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	n := z.root
	for _, name := range p.Components() {
		if n = n.children[name]; n == nil {
			return nil, nil, &fs.PathError{Op: "open", Path: p.Inner(), Err: fs.ErrNotExist}
		}
	}
	return z, n, nil
}

// Parse reads a pathspec, or a path within an archive.
func (zipAccessor) Parse(text string) (vql.Path, error) { return vql.ParsePath(vql.Generic, text), nil }

func (a zipAccessor) Open(ctx context.Context, p vql.Path) (vql.File, error) {
	z, n, err := a.node(ctx, p)
	if err != nil {
		return nil, err
	}
	if n.member == nil || n.member.Dir {
		return nil, fmt.Errorf("open %s: %w", p, ErrIsDirectory)
	}
	u := &unpacked{path: p, size: int64(min(n.member.Size, 1<<63-1)), open: func() (vql.File, io.Reader, error) {
		r, err := z.archive.Open(n.member)
		if err != nil {
			return nil, nil, err
		}
		return zipMember{ReadCloser: r, info: n.info(p)}, contextReader{ctx, r}, nil
	}}
	return u, u.rewind()
}

// contextReader ends a read when the context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// zipMember is an open member as unpacked wants it.
type zipMember struct {
	io.ReadCloser
	info vql.Info
}

func (m zipMember) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

func (m zipMember) Stat() (vql.Info, error) { return m.info, nil }

func (a zipAccessor) Lstat(ctx context.Context, p vql.Path) (vql.Info, error) {
	_, n, err := a.node(ctx, p)
	if err != nil {
		return vql.Info{}, err
	}
	return n.info(p), nil
}

func (a zipAccessor) ReadDir(ctx context.Context, p vql.Path) iter.Seq2[vql.Info, error] {
	return func(yield func(vql.Info, error) bool) {
		_, n, err := a.node(ctx, p)
		if err != nil {
			yield(vql.Info{}, err)
			return
		}
		for _, c := range n.order {
			if !yield(c.info(p.Join(c.name)), nil) {
				return
			}
		}
	}
}
