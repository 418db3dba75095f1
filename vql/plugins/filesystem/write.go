package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"satchel/vql"
)

func writeList() []vql.Registration {
	return []vql.Registration{tempfileFunction(), tempdirFunction(), rmFunction(), copyFunction(), writeFileFunction()}
}

// modeOf reads what artifacts give as permissions: any of the letters r, w and
// x. Files are readable and writable for their owner alone unless w is left out.
func modeOf(permissions string) fs.FileMode {
	mode := fs.FileMode(0o600)
	if permissions != "" && !strings.Contains(permissions, "w") && strings.Contains(permissions, "r") {
		mode = 0o400
	}
	if strings.Contains(permissions, "x") {
		mode |= 0o100
	}
	return mode
}

type tempfileArgs struct {
	Data        []string `vql:"data"`
	Extension   string   `vql:"extension"`
	Permissions string   `vql:"permissions"`
	RemoveLast  bool     `vql:"remove_last"`
}

func tempfileFunction() vql.Function {
	return vql.NewFunction("tempfile", func(_ context.Context, s *vql.Scope, a tempfileArgs) (any, error) {
		if strings.ContainsAny(a.Extension, `/\*`) {
			return nil, fmt.Errorf("extension %q: %w", a.Extension, ErrRange)
		}
		f, err := os.CreateTemp("", "tmp*"+a.Extension)
		if err != nil {
			return nil, err
		}
		name := f.Name()
		s.OnEnd(func() { _ = os.Remove(name) })
		for _, d := range a.Data {
			if _, err := f.WriteString(d); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		return name, os.Chmod(name, modeOf(a.Permissions))
	}, vql.Permission("FILESYSTEM_WRITE"), vql.Impure(), vql.Doc("Makes a file with the data, to be removed at the end of the query, and returns its name."))
}

func tempdirFunction() vql.Function {
	type args struct {
		RemoveLast bool `vql:"remove_last"`
	}
	return vql.NewFunction("tempdir", func(_ context.Context, s *vql.Scope, _ args) (any, error) {
		name, err := os.MkdirTemp("", "tmp")
		if err != nil {
			return nil, err
		}
		s.OnEnd(func() { _ = os.RemoveAll(name) })
		return name, nil
	}, vql.Permission("FILESYSTEM_WRITE"), vql.Impure(), vql.Doc("Makes a directory, to be removed at the end of the query, and returns its name."))
}

func rmFunction() vql.Function {
	type args struct {
		Filename string `vql:"filename,required"`
	}
	return vql.NewFunction("rm", func(_ context.Context, s *vql.Scope, a args) (any, error) {
		if err := os.Remove(a.Filename); err != nil {
			s.Warn(err)
			return false, nil
		}
		return true, nil
	}, vql.Permission("FILESYSTEM_WRITE"), vql.Impure(), vql.Doc("Removes a file and says whether that worked."))
}

// destination says where and how to write a file.
type destination struct {
	Dest              string `vql:"dest,required"`
	Permissions       string `vql:"permissions"`
	DirPermissions    string `vql:"dir_permissions"`
	Append            bool   `vql:"append"`
	CreateDirectories bool   `vql:"create_directories"`
}

// write makes the file from the reader and returns its name.
func (d destination) write(in io.Reader) (any, error) {
	if d.CreateDirectories {
		if err := os.MkdirAll(filepath.Dir(d.Dest), 0o700); err != nil {
			return nil, err
		}
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if d.Append {
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	f, err := os.OpenFile(d.Dest, flags, modeOf(d.Permissions))
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(f, in); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d.Dest, f.Close()
}

type copyArgs struct {
	Filename vql.Path `vql:"filename,required"`
	Accessor string   `vql:"accessor"`
	destination
}

func copyFunction() vql.Function {
	return vql.NewFunction("copy", func(ctx context.Context, s *vql.Scope, a copyArgs) (any, error) {
		f, err := openFile(ctx, s, a.Accessor, a.Filename)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return a.write(f)
	}, vql.Permission("FILESYSTEM_WRITE", "FILESYSTEM_READ"), vql.Impure(), vql.Doc("Copies a file to a place on this system and returns that."))
}

type writeFileArgs struct {
	Data string `vql:"data,required"`
	destination
}

func writeFileFunction() vql.Function {
	return vql.NewFunction("write_file", func(_ context.Context, _ *vql.Scope, a writeFileArgs) (any, error) {
		return a.write(strings.NewReader(a.Data))
	}, vql.Permission("FILESYSTEM_WRITE", "FILESYSTEM_READ"), vql.Impure(), vql.Doc("Writes text into a file on this system and returns its name."))
}
