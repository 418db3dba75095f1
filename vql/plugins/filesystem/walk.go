package filesystem

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"strconv"
	"syscall"

	"satchel/vql"
)

// dirID tells one directory from all others.
type dirID struct {
	device, inode uint64
	// link is empty but for directories entered through a link: then it tells
	// with what states, and where inodes are not known the place that the link
	// names.
	link string
}

// directory is an open directory of any accessor.
type directory interface {
	id() (dirID, bool)
	next(want func(name string, kind fs.FileMode) need) ([]entry, error)
	close()
}

func (l *listing) id() (dirID, bool) {
	if l.d == nil || l.d.self.inode == 0 {
		return dirID{}, false
	}
	return dirID{device: l.d.self.device, inode: l.d.self.inode}, true
}

// pulled is an open directory of an accessor of another kind.
type pulled struct {
	pull func() (vql.Info, error, bool)
	stop func()
}

func newPulled(ctx context.Context, a vql.Accessor, p vql.Path) *pulled {
	next, stop := iter.Pull2(a.ReadDir(ctx, p))
	return &pulled{next, stop}
}

func (d *pulled) id() (dirID, bool) { return dirID{}, false }

func (d *pulled) close() { d.stop() }

func (d *pulled) next(want func(name string, kind fs.FileMode) need) ([]entry, error) {
	var out []entry
	for range batch {
		info, err, ok := d.pull()
		switch {
		case !ok:
			return out, io.EOF
		case err != nil && info.Path.IsRoot():
			return out, err
		case want(info.Name(), info.Mode.Type()) == needNothing:
			continue
		}
		out = append(out, entry{name: info.Name(), fact: factFrom(info), data: info.Data, err: err})
	}
	return out, nil
}

func factFrom(i vql.Info) fact {
	return fact{
		size: i.Size, allocated: -1, mode: i.Mode, link: i.Link, modified: i.Modified, accessed: i.Accessed, changed: i.Changed, born: i.Born,
		inode: i.Inode, device: i.Device, uid: -1, gid: -1,
	}
}

// walk finds what matches patterns, directory by directory, and never holds
// more of a directory than a batch of its entries.
type walk struct {
	accessor      vql.Accessor
	nosymlink     bool
	oneFilesystem bool
	// enters is asked before a directory is entered below a recursive part.
	enters func(p vql.Path, e *entry) bool
	// found is given every match, and the numbers of the expressions that it
	// matches. It answers false to end the walk.
	found func(p vql.Path, e *entry, targets []int) bool
	// problem is given what could not be read.
	problem func(p vql.Path, err error, states []state)

	// deep is told once of a directory that ** of the usual depth does not enter.
	deep func(p vql.Path)

	links map[dirID]bool // directories that were entered through a link
}

// errStop ends a walk because nobody wants more.
var errStop = errors.New("stop")

// level is a directory on the way down.
type level struct {
	id    dirID
	known bool
	up    *level
}

func (l *level) above(id dirID) bool {
	for ; l != nil; l = l.up {
		if l.known && l.id == id {
			return true
		}
	}
	return false
}

// run walks down from the directory. It returns the context's error, or nil.
func (w *walk) run(ctx context.Context, root vql.Path, states []state) error {
	w.links = make(map[dirID]bool)
	err := w.enter(ctx, root, states, nil, false)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// enter follows the states in one directory. link says that it was reached
// through a link.
func (w *walk) enter(ctx context.Context, p vql.Path, states []state, up *level, link bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if names := literals(states); names != nil {
		for _, name := range names {
			if err := w.lookup(ctx, p, name, states, up); err != nil {
				return err
			}
		}
		return nil
	}
	d, err := w.open(ctx, p)
	if err != nil {
		return w.failed(ctx, p, err, states)
	}
	defer d.close()
	here := &level{up: up}
	here.id, here.known = d.id()
	if !w.allowed(here, states, link) {
		return nil
	}
	return w.list(ctx, p, d, states, here)
}

func (w *walk) open(ctx context.Context, p vql.Path) (directory, error) {
	if a, ok := w.accessor.(*fileAccessor); ok {
		return a.list(ctx, p)
	}
	return newPulled(ctx, w.accessor, p), nil
}

// allowed keeps a walk out of loops: below a recursive part it enters no
// directory twice on one way down, and none twice through links.
func (w *walk) allowed(here *level, states []state, link bool) bool {
	if !here.known || !recursing(states) {
		return true
	}
	if up := here.up; w.oneFilesystem && up != nil && up.known && up.id.device != here.id.device {
		return false
	}
	if here.up.above(here.id) {
		return false
	}
	if link {
		id := here.id
		id.link = signature(states)
		if w.links[id] {
			return false
		}
		w.links[id] = true
	}
	return true
}

// signature tells two sets of states apart.
func signature(states []state) string {
	var b []byte
	for _, s := range states {
		b = strconv.AppendInt(append(b, ' '), int64(s.p.number), 10)
		b = strconv.AppendInt(append(b, '.'), int64(s.pos), 10)
	}
	return string(b)
}

// recursing says whether a recursive part has already gone down a level.
func recursing(states []state) bool {
	for _, s := range states {
		if one := s.p.parts[s.pos]; one.kind == recursive && s.left < one.depth {
			return true
		}
	}
	return false
}

// exhausted says whether a ** that nobody gave a depth goes down no further.
func exhausted(states []state) bool {
	for _, s := range states {
		if one := s.p.parts[s.pos]; one.kind == recursive && one.depth == defaultDepth && s.left <= 1 {
			return true
		}
	}
	return false
}

func (w *walk) list(ctx context.Context, p vql.Path, d directory, states []state, here *level) error {
	want := func(name string, kind fs.FileMode) need {
		hit, goes := probe(states, name)
		switch {
		case hit || goes && w.enters != nil:
			return needAll
		case goes && kind&(fs.ModeDir|fs.ModeSymlink|fs.ModeIrregular) != 0:
			return needType
		}
		return needNothing
	}
	var hits []int
	for {
		entries, err := d.next(want)
		for i := range entries {
			e := &entries[i]
			if w.deep != nil && e.fact.mode.IsDir() && exhausted(states) {
				w.deep(p.Join(e.name))
				w.deep = nil
			}
			var down []state
			if hits, down = hits[:0], nil; e.fact.mode&(fs.ModeDir|fs.ModeSymlink) != 0 {
				hits, down = advance(states, e.name, hits)
			} else {
				hits = matches(states, e.name, hits)
			}
			if err := w.entry(ctx, p.Join(e.name), e, hits, down, here); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return w.failed(ctx, p, err, states)
		}
	}
}

// entry hands an entry out if it matches, and goes down into it.
func (w *walk) entry(ctx context.Context, p vql.Path, e *entry, hits []int, down []state, here *level) error {
	if e.err != nil && len(hits) > 0 {
		w.problem(p, e.err, nil)
	}
	if len(hits) > 0 && !w.found(p, e, hits) {
		return errStop
	}
	link := e.fact.mode&fs.ModeSymlink != 0
	if len(down) == 0 || link && w.nosymlink || !link && !e.fact.mode.IsDir() {
		return nil
	}
	if link && !here.known && e.fact.link != "" && recursing(down) {
		// without inodes a link is followed once for each place it leads to
		id := dirID{link: p.Dir().String() + "\x00" + e.fact.link + signature(down)}
		if w.links[id] {
			return nil
		}
		w.links[id] = true
	}
	if w.enters != nil && recursing(down) && !w.enters(p, e) {
		return nil
	}
	return w.enter(ctx, p, down, here, link)
}

// lookup follows a literal name without reading the directory.
func (w *walk) lookup(ctx context.Context, p vql.Path, name string, states []state, up *level) error {
	hits, down := advance(states, name, nil)
	p = p.Join(name)
	if len(hits) == 0 && !w.nosymlink {
		return w.enter(ctx, p, down, nil, false) // what is below tells soon enough
	}
	e := entry{name: name}
	var err error
	if a, ok := w.accessor.(*fileAccessor); ok {
		e.fact, err = a.describe(ctx, p, lstat)
	} else {
		var info vql.Info
		if info, err = w.accessor.Lstat(ctx, p); err == nil {
			e.fact, e.data = factFrom(info), info.Data
		}
	}
	if err != nil {
		return w.failed(ctx, p, err, states)
	}
	return w.entry(ctx, p, &e, hits, down, up)
}

// failed passes an error on, unless it only says that there is nothing there.
func (w *walk) failed(ctx context.Context, p vql.Path, err error, states []state) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return nil
	}
	w.problem(p, err, states)
	return nil
}
