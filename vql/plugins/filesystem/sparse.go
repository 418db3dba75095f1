package filesystem

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"satchel/internal/flow"
	"satchel/vql"
)

// sparseAccessor shows parts of a file, and zeros between them. The path is a
// JSON list of parts, {"offset": N, "length": N}, and its delegate the file.
type sparseAccessor struct {
	scope *vql.Scope
}

var _ vql.Accessor = sparseAccessor{}

// Parse reads a pathspec, or the list of parts alone.
func (sparseAccessor) Parse(text string) (vql.Path, error) {
	if strings.HasPrefix(text, "{") {
		return vql.ParsePath(vql.Generic, text), nil
	}
	return single(text), nil
}

// parseParts reads the parts and returns the ranges of the whole file.
func parseParts(text string) ([]flow.Range, error) {
	if len(text) > maxRanges*64 {
		return nil, fmt.Errorf("%d bytes of ranges: %w", len(text), ErrRange)
	}
	var parts []struct{ Offset, Length int64 }
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		return nil, fmt.Errorf("list of ranges: %w", err)
	}
	if len(parts) > maxRanges/2 {
		return nil, fmt.Errorf("%d ranges: %w", len(parts), ErrRange)
	}
	slices.SortStableFunc(parts, func(a, b struct{ Offset, Length int64 }) int { return cmp.Compare(a.Offset, b.Offset) })
	var out []flow.Range
	end := int64(0)
	for _, p := range parts {
		if p.Offset < end || p.Length < 0 || p.Length > math.MaxInt64-p.Offset {
			return nil, fmt.Errorf("range of %d bytes at %d: %w", p.Length, p.Offset, ErrRange)
		}
		if p.Length == 0 {
			continue
		}
		if p.Offset > end {
			out = append(out, flow.Range{Offset: end, Length: p.Offset - end, Sparse: true})
		}
		out = append(out, flow.Range{Offset: p.Offset, Length: p.Length})
		end = p.Offset + p.Length
	}
	return out, nil
}

func (a sparseAccessor) Open(ctx context.Context, p vql.Path) (vql.File, error) {
	text := strings.Join(p.Components(), "/")
	ranges, err := parseParts(text)
	if err != nil {
		return nil, err
	}
	f, err := openInner(ctx, a.scope, p)
	if err != nil {
		return nil, err
	}
	size := int64(0)
	if n := len(ranges); n > 0 {
		size = ranges[n-1].Offset + ranges[n-1].Length
	}
	return &window{File: f, path: p, ranges: ranges, size: size}, nil
}

// openInner opens the delegate of a path.
func openInner(ctx context.Context, s *vql.Scope, p vql.Path) (vql.File, error) {
	d := p.Delegate()
	if d == nil {
		return nil, fmt.Errorf("%s: the path names no file: use pathspec(DelegatePath=...)", p)
	}
	accessor, err := s.Accessor(ctx, d.Accessor)
	if err != nil {
		return nil, err
	}
	return accessor.Open(ctx, d.Path)
}

func lstatOpen(ctx context.Context, a vql.Accessor, p vql.Path) (vql.Info, error) {
	f, err := a.Open(ctx, p)
	if err != nil {
		return vql.Info{}, err
	}
	defer f.Close()
	return f.Stat()
}

func (a sparseAccessor) Lstat(ctx context.Context, p vql.Path) (vql.Info, error) {
	return lstatOpen(ctx, a, p)
}

func (sparseAccessor) ReadDir(context.Context, vql.Path) iter.Seq2[vql.Info, error] {
	return noDirectory("sparse")
}

// offsetAccessor shows a file from an offset on.
type offsetAccessor struct {
	scope *vql.Scope
}

// Parse reads a pathspec whose path is the offset.
func (offsetAccessor) Parse(text string) (vql.Path, error) {
	return vql.ParsePath(vql.Generic, text), nil
}

func (a offsetAccessor) Open(ctx context.Context, p vql.Path) (vql.File, error) {
	at, err := strconv.ParseInt(p.Base(), 0, 64)
	if err != nil || at < 0 {
		return nil, fmt.Errorf("offset %q: %w", p.Base(), ErrRange)
	}
	f, err := openInner(ctx, a.scope, p)
	if err != nil {
		return nil, err
	}
	return &window{File: f, path: p, shift: at, size: -1}, nil
}

func (a offsetAccessor) Lstat(ctx context.Context, p vql.Path) (vql.Info, error) {
	return lstatOpen(ctx, a, p)
}

func (offsetAccessor) ReadDir(context.Context, vql.Path) iter.Seq2[vql.Info, error] {
	return noDirectory("offset")
}

// window is a view of another file: from an offset on, or of its ranges.
type window struct {
	vql.File
	path   vql.Path
	shift  int64
	ranges []flow.Range
	size   int64 // -1: as far as the file goes

	mu  sync.Mutex
	pos int64
}

var _ vql.Ranger = (*window)(nil)

// Ranges tells which parts are shown, nil if all of them.
func (w *window) Ranges() ([]flow.Range, error) { return w.ranges, nil }

// Stat describes the file with the size of the view.
func (w *window) Stat() (vql.Info, error) {
	info, err := w.File.Stat()
	info.Path = w.path
	if w.size >= 0 {
		info.Size = w.size
	} else if info.Size >= 0 {
		info.Size = max(0, info.Size-w.shift)
	}
	return info, err
}

// Read reads the next bytes of the view.
func (w *window) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.ReadAt(p, w.pos)
	w.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt reads at an offset of the view. Where the file ends before a range
// does, the view ends.
func (w *window) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at > math.MaxInt64-w.shift {
		return 0, fmt.Errorf("read at %d: %w", at, ErrRange)
	}
	if w.size < 0 {
		return w.File.ReadAt(p, at+w.shift)
	}
	i, _ := slices.BinarySearchFunc(w.ranges, at, func(r flow.Range, at int64) int {
		if r.Offset+r.Length <= at {
			return -1
		}
		return 1
	})
	n := 0
	for ; n < len(p) && i < len(w.ranges); i++ {
		r := w.ranges[i]
		part := p[n:min(int64(len(p)), int64(n)+r.Offset+r.Length-at)]
		m, err := len(part), error(nil)
		if r.Sparse {
			clear(part)
		} else if m, err = w.File.ReadAt(part, at); m == len(part) {
			err = nil
		}
		n += m
		at += int64(m)
		if err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
