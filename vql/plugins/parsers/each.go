package parsers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"satchel/internal/flow"
	"satchel/vql"
)

// ErrLimit says that something in a file is larger than what is read of it.
var ErrLimit = errors.New("over the limit")

// errStop ends the reading of files because nobody wants more rows.
var errStop = errors.New("stop")

// eachFile opens the files one after the other. An error of one file is warned
// of and reported, and the next is read.
func eachFile(ctx context.Context, s *vql.Scope, accessor string, files []vql.Path, read func(p vql.Path, f vql.File) error) error {
	a, err := s.Accessor(ctx, accessor)
	if err != nil {
		return err
	}
	for _, p := range files {
		err := oneFile(ctx, a, p, read)
		switch {
		case errors.Is(err, errStop):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			s.Warn(fmt.Errorf("%s: %w", short(p), err))
		}
	}
	return nil
}

func oneFile(ctx context.Context, a vql.Accessor, p vql.Path, read func(p vql.Path, f vql.File) error) error {
	f, err := a.Open(ctx, p)
	if err != nil {
		return err
	}
	defer f.Close()
	return read(p, f)
}

// short is a path for a message: the content of the accessor data is a path
// too.
func short(p vql.Path) string {
	text := p.String()
	const most = 200
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// counted passes on problems of a file, the first few with their place, and
// counts the rest.
type counted struct {
	s    *vql.Scope
	path vql.Path
	n    int
}

const maxProblems = 20

func (c *counted) warn(err error) {
	if c.n++; c.n <= maxProblems {
		c.s.Warn(fmt.Errorf("%s: %w", short(c.path), err))
	}
}

func (c *counted) end() {
	if c.n > maxProblems {
		c.s.Log(flow.LevelWarn, "%s: %d further problems", short(c.path), c.n-maxProblems)
	}
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
