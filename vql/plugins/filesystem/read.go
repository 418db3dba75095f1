package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"

	"satchel/vql"
)

// defaultLength is how much read_file reads unless told, in bytes, and
// maxChunk what it reads into one row at most.
const (
	defaultLength = 4 << 20
	defaultChunk  = 64 << 10
	maxChunk      = 256 << 20
)

type readFileArgs struct {
	Length   int64    `vql:"length"`
	Offset   int64    `vql:"offset"`
	Filename vql.Path `vql:"filename,required"`
	Accessor string   `vql:"accessor"`
}

func readFileFunction() vql.Function {
	return vql.NewFunction("read_file", func(ctx context.Context, s *vql.Scope, a readFileArgs) (any, error) {
		if a.Length == 0 {
			a.Length = defaultLength
		}
		if a.Length < 0 || a.Length > maxChunk || a.Offset < 0 {
			return nil, fmt.Errorf("length %d at offset %d: %w", a.Length, a.Offset, ErrRange)
		}
		f, err := openFile(ctx, s, a.Accessor, a.Filename)
		if err != nil {
			s.Warn(err)
			return nil, nil
		}
		defer f.Close()
		if err := skip(f, a.Offset); err != nil {
			s.Warn(fmt.Errorf("%s: %w", a.Filename, err))
			return "", nil
		}
		b, err := io.ReadAll(io.LimitReader(f, a.Length))
		if err != nil {
			s.Warn(fmt.Errorf("%s: %w", a.Filename, err))
			if len(b) == 0 {
				return nil, nil
			}
		}
		return string(b), nil
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads a part of a file as text, at most 4 MiB unless length says more."))
}

// ErrRange says that an offset or a length is out of range.
var ErrRange = errors.New("out of range")

func openFile(ctx context.Context, s *vql.Scope, accessor string, p vql.Path) (vql.File, error) {
	a, err := s.Accessor(ctx, accessor)
	if err != nil {
		return nil, err
	}
	return a.Open(ctx, p)
}

// skip moves the reader of a file to an offset. A file that ends before is at
// its end then.
func skip(f vql.File, offset int64) error {
	if offset == 0 {
		return nil
	}
	if own, ok := f.(*file); ok {
		own.mu.Lock()
		own.pos = offset
		own.mu.Unlock()
		return nil
	}
	if seeker, ok := f.(io.Seeker); ok {
		_, err := seeker.Seek(offset, io.SeekStart)
		return err
	}
	if _, err := io.CopyN(io.Discard, f, offset); err != nil && err != io.EOF {
		return err
	}
	return nil
}

type readFilesArgs struct {
	Chunk     int64      `vql:"chunk"`
	MaxLength int64      `vql:"max_length"`
	Filenames []vql.Path `vql:"filenames,required"`
	Accessor  string     `vql:"accessor"`
}

type readFilesRow struct {
	Data     string
	Offset   int64
	Filename vql.Path
}

func readFilePlugin() vql.Plugin {
	return vql.NewPlugin("read_file", func(ctx context.Context, s *vql.Scope, a readFilesArgs, emit func(*readFilesRow) bool) error {
		if a.Chunk == 0 {
			a.Chunk = defaultChunk
		}
		if a.Chunk < 0 || a.Chunk > maxChunk || a.MaxLength < 0 {
			return fmt.Errorf("chunk %d, max_length %d: %w", a.Chunk, a.MaxLength, ErrRange)
		}
		for _, p := range a.Filenames {
			goOn, err := readChunks(ctx, s, a, p, emit)
			if err != nil {
				if ctx.Err() != nil {
					return err
				}
				s.Warn(err)
			} else if !goOn {
				return nil
			}
		}
		return nil
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads files in chunks of 64 KiB, or of the size that chunk tells, each a row with its offset."))
}

func readChunks(ctx context.Context, s *vql.Scope, a readFilesArgs, p vql.Path, emit func(*readFilesRow) bool) (bool, error) {
	f, err := openFile(ctx, s, a.Accessor, p)
	if err != nil {
		return true, err
	}
	defer f.Close()
	buf := make([]byte, min(a.Chunk, bufferBytes))
	for at := int64(0); a.MaxLength == 0 || at < a.MaxLength; {
		want := a.Chunk
		if a.MaxLength > 0 {
			want = min(want, a.MaxLength-at)
		}
		var data []byte
		for int64(len(data)) < want {
			n, err := f.Read(buf[:min(int64(len(buf)), want-int64(len(data)))])
			data = append(data, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				return true, err
			}
		}
		if len(data) == 0 {
			return true, nil
		}
		if !emit(&readFilesRow{string(data), at, p}) {
			return false, nil
		}
		at += int64(len(data))
	}
	return true, nil
}

type statArgs struct {
	Filename vql.Path `vql:"filename,required"`
	Accessor string   `vql:"accessor"`
}

// stat describes a path without following a link.
func stat(ctx context.Context, s *vql.Scope, a statArgs) (*fileRow, error) {
	accessor, err := s.Accessor(ctx, a.Accessor)
	if err != nil {
		return nil, err
	}
	if own, ok := accessor.(*fileAccessor); ok {
		f, err := own.describe(ctx, a.Filename, lstat)
		if err != nil {
			return nil, err
		}
		row := newFileRow(a.Filename, &f, nil)
		return &row, nil
	}
	info, err := accessor.Lstat(ctx, a.Filename)
	if err != nil {
		return nil, err
	}
	f := factFrom(info)
	row := newFileRow(a.Filename, &f, info.Data)
	return &row, nil
}

func statFunction() vql.Function {
	return vql.NewFunction("stat", func(ctx context.Context, s *vql.Scope, a statArgs) (any, error) {
		row, err := stat(ctx, s, a)
		if err != nil {
			s.Warn(err)
			return nil, nil
		}
		return row, nil
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Describes a file: size, mode, times, owner. A link is not followed."))
}

func statPlugin() vql.Plugin {
	return vql.NewPlugin("stat", func(ctx context.Context, s *vql.Scope, a statArgs, emit func(*fileRow) bool) error {
		row, err := stat(ctx, s, a)
		if err != nil {
			s.Warn(err)
			return ctx.Err()
		}
		emit(row)
		return nil
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Describes a file; the function of that name as a plugin."))
}
