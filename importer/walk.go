package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"satchel/container"
)

// source is one container on disk: a file, a file with its spool beside it, or
// a spool alone.
type source struct {
	zip, spool string // paths, empty when there is none
	// walked tells that nobody named the file: it may be anything.
	walked bool
}

// name is the path to report.
func (s source) name() string {
	if s.zip != "" {
		return s.zip
	}
	return s.spool
}

// sources finds the containers at path. An error goes with the source whose
// name it has, and is a *refusal.
func (im *Importer) sources(path string) iter.Seq2[source, error] {
	return func(yield func(source, error) bool) {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			yield(source{zip: path}, refuse("%s", reason(err)))
		case info.IsDir():
			im.walk(path, yield)
		case !info.Mode().IsRegular():
			yield(source{zip: path}, refuse("not a regular file"))
		default:
			src := pair(path)
			if key := filepath.Clean(src.name()); !im.seen[key] {
				im.seen[key] = true
				yield(src, nil)
			}
		}
	}
}

// pair finds what belongs to a named file.
func pair(path string) source {
	if zip, ok := strings.CutSuffix(path, container.SpoolSuffix); ok {
		if isFile(zip) {
			return source{zip: zip, spool: path}
		}
		return source{spool: path}
	}
	if spool := path + container.SpoolSuffix; isFile(spool) {
		return source{zip: path, spool: spool}
	}
	return source{zip: path}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// walk yields every file below dir that may be a container. Links are not
// followed, so that a walk ends and stays below dir.
func (im *Importer) walk(dir string, yield func(source, error) bool) {
	skip, _ := os.Stat(im.o.Skip) // none: nothing is skipped
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if !yield(source{zip: path, walked: true}, refuse("%s", reason(err))) {
				return fs.SkipAll
			}
			return nil
		}
		if d.IsDir() {
			if info, err := d.Info(); err == nil && skip != nil && os.SameFile(info, skip) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		src := source{zip: path, walked: true}
		if zip, ok := strings.CutSuffix(path, container.SpoolSuffix); ok {
			if isFile(zip) {
				return nil // comes with its container
			}
			src = source{spool: path, walked: true}
		} else if spool := path + container.SpoolSuffix; isFile(spool) {
			src.spool = spool
		}
		if !yield(src, nil) {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil { // the callback returns none
		yield(source{zip: dir}, refuse("%s", reason(err)))
	}
}

// claims says whether the name of a walked file claims to be a container, so
// that it is worth a line when it proves unreadable.
func claims(name string) bool {
	name = strings.ToLower(name)
	for _, ext := range []string{".zip", ".age", ".tar", ".tar.gz", ".tgz", ".zip" + container.SpoolSuffix} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// looksLikeZip reads the first bytes.
func looksLikeZip(r io.ReaderAt) bool {
	var head [4]byte
	_, err := r.ReadAt(head[:], 0)
	return (err == nil || errors.Is(err, io.EOF)) && bytes.Equal(head[:], []byte("PK\x03\x04"))
}

// opened is a source with its files open.
type opened struct {
	source
	zip, spool *io.SectionReader // nil when there is none
	files      []*os.File
}

func (o *opened) bytes() int64 {
	var n int64
	for _, r := range []*io.SectionReader{o.zip, o.spool} {
		if r != nil {
			n += r.Size()
		}
	}
	return n
}

// Close closes the files.
func (o *opened) Close() error {
	var err error
	for _, f := range o.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// open opens the files of a source; an error is a *refusal.
func (s source) open() (*opened, error) {
	o := &opened{source: s}
	var err error
	if s.zip != "" {
		o.zip, err = o.add(s.zip)
	}
	if err == nil && s.spool != "" {
		o.spool, err = o.add(s.spool)
	}
	if err != nil {
		return nil, errors.Join(refuse("%s", reason(err)), o.Close())
	}
	return o, nil
}

func (o *opened) add(path string) (*io.SectionReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	o.files = append(o.files, f)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return io.NewSectionReader(evidenceFile{f}, 0, info.Size()), nil
}

// evidenceFile tells errors of reading the evidence from all others.
type evidenceFile struct{ f *os.File }

// ReadAt implements io.ReaderAt.
func (e evidenceFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := e.f.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &refusal{offset: off + int64(n), err: fmt.Errorf("cannot be read: %s", reason(err))}
	}
	return n, err
}

// reason is the cause of a path error without the path, which the result has.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
