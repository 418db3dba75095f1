package filesystem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"satchel/vql"
)

// ErrNoDirectory says that an accessor knows no directories.
var ErrNoDirectory = errors.New("this accessor has no directories")

func noDirectory(name string) iter.Seq2[vql.Info, error] {
	return func(yield func(vql.Info, error) bool) {
		yield(vql.Info{}, fmt.Errorf("accessor %s: %w", name, ErrNoDirectory))
	}
}

// content is a file in memory.
type content struct {
	*bytes.Reader
	info vql.Info
}

var _ vql.File = content{}

func newContent(p vql.Path, data []byte) content {
	return content{bytes.NewReader(data), vql.Info{Path: p, Size: int64(len(data))}}
}

// Stat describes the content: its size alone.
func (c content) Stat() (vql.Info, error) { return c.info, nil }

// Close does nothing.
func (c content) Close() error { return nil }

// dataAccessor takes the path itself for the content of the file.
type dataAccessor struct{}

// Parse returns a path of one component, whatever the text holds.
func (dataAccessor) Parse(text string) (vql.Path, error) { return single(text), nil }

func single(text string) vql.Path {
	if text == "" {
		return vql.NewPath(vql.Generic)
	}
	return vql.NewPath(vql.Generic, text)
}

// whole returns the text that a path of one component, or another path, stands
// for.
func whole(p vql.Path) string {
	if c := p.Components(); p.Style() == vql.Generic && p.Delegate() == nil && len(c) <= 1 {
		return p.Base()
	}
	return p.String()
}

func (dataAccessor) Open(_ context.Context, p vql.Path) (vql.File, error) {
	return newContent(p, []byte(whole(p))), nil
}

func (a dataAccessor) Lstat(ctx context.Context, p vql.Path) (vql.Info, error) {
	return vql.Info{Path: p, Size: int64(len(whole(p)))}, nil
}

func (dataAccessor) ReadDir(context.Context, vql.Path) iter.Seq2[vql.Info, error] {
	return noDirectory("data")
}

// scopeAccessor takes the path for the name of a variable that holds the
// content.
type scopeAccessor struct {
	scope *vql.Scope
}

func (scopeAccessor) Parse(text string) (vql.Path, error) { return single(text), nil }

func (a scopeAccessor) Open(_ context.Context, p vql.Path) (vql.File, error) {
	name := whole(p)
	v, ok := a.scope.Resolve(name)
	if !ok {
		return nil, fmt.Errorf("there is no variable %q", name)
	}
	if b, ok := v.([]byte); ok {
		return newContent(p, b), nil
	}
	return newContent(p, []byte(a.scope.Text(v))), nil
}

func (a scopeAccessor) Lstat(ctx context.Context, p vql.Path) (vql.Info, error) {
	f, err := a.Open(ctx, p)
	if err != nil {
		return vql.Info{}, err
	}
	return f.Stat()
}

func (scopeAccessor) ReadDir(context.Context, vql.Path) iter.Seq2[vql.Info, error] {
	return noDirectory("scope")
}

func contentAccessors() []vql.Registration {
	return []vql.Registration{
		vql.NewAccessor("data", func(context.Context, *vql.Scope) (vql.Accessor, error) { return dataAccessor{}, nil },
			vql.Doc("Takes the path itself for the content of a file.")),
		vql.NewAccessor("scope", func(_ context.Context, s *vql.Scope) (vql.Accessor, error) { return scopeAccessor{s}, nil },
			vql.Impure(), vql.Doc("Takes the path for the name of a variable that holds the content.")),
	}
}
