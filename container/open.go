package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"satchel/internal/zipx"
)

func (o ReadOptions) limits() zipx.Limits {
	l := zipx.Limits{}
	if o.MaxMembers > 0 {
		l.MaxMembers = uint64(o.MaxMembers)
	}
	if o.MaxRatio > 0 {
		l.MaxRatio = uint64(o.MaxRatio)
	}
	return l
}

// OpenFile opens a container: a whole one; a cut one, with the spool beside it
// or without; or a spool alone. Nothing of it is changed. What is no container
// gives ErrNotContainer, an encrypted one ErrEncrypted.
func OpenFile(path string, o ReadOptions) (*Reader, error) {
	zipPath := strings.TrimSuffix(path, SpoolSuffix)
	zip, zipSize, err := openInput(zipPath)
	if err != nil && (zipPath == path || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	spool, spoolSize, err := openInput(zipPath + SpoolSuffix)
	if err != nil && (zip == nil || !errors.Is(err, fs.ErrNotExist)) {
		return nil, errors.Join(err, closeAll(zip))
	}
	r, err := open(zip, zipSize, spool, spoolSize, o)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Join(err, closeAll(zip, spool)))
	}
	r.closers = append(r.closers, asCloser(zip), asCloser(spool))
	return r, nil
}

// openInput opens a regular file.
func openInput(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("open %s: not a regular file: %w", path, ErrNotContainer)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Size(), nil
}

func asCloser(f *os.File) io.Closer {
	if f == nil {
		return io.NopCloser(nil)
	}
	return f
}

func closeAll(files ...*os.File) error {
	var err error
	for _, f := range files {
		err = errors.Join(err, asCloser(f).Close())
	}
	return err
}

// Open is OpenFile for input that is no file. spool may be nil.
func Open(zip io.ReaderAt, zipSize int64, spool io.ReaderAt, spoolSize int64, o ReadOptions) (*Reader, error) {
	if zip == nil {
		zip, zipSize = bytes.NewReader(nil), 0
	}
	arch, err := zipx.Open(zip, zipSize, o.limits())
	if err == nil && wholeArchive(arch, zip) {
		return newReader(arch, zip, zipSize, zipSize, nil)
	}
	if err != nil && !errors.Is(err, zipx.ErrNotZip) && !errors.Is(err, zipx.ErrCorrupt) {
		return nil, err
	}
	return openCut(zip, zipSize, spool, spoolSize, o)
}

func open(zip *os.File, zipSize int64, spool *os.File, spoolSize int64, o ReadOptions) (*Reader, error) {
	var z, s io.ReaderAt
	if zip != nil {
		z = zip
	}
	if spool != nil {
		s = spool
	}
	return Open(z, zipSize, s, spoolSize, o)
}

// wholeArchive says whether the directory at the end belongs to the file and
// not to an archive that was uploaded last before the cut: one of ours begins
// with its header at offset 0.
func wholeArchive(a *zipx.Archive, r io.ReaderAt) bool {
	head := make([]byte, 30+len(memberHeader))
	n, err := r.ReadAt(head, 0)
	if n < len(head) && err != nil || !bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return true // foreign bytes in front: not one of ours
	}
	if a.Base() != 0 {
		return false
	}
	if string(head[30:]) != memberHeader {
		return true
	}
	m, err := a.Lookup(memberHeader)
	return err == nil && m.Offset == 0
}

// openCut opens what a crash left: the file up to the cut, and everything that
// Close would have written made beside it.
func openCut(zip io.ReaderAt, zipSize int64, spool io.ReaderAt, spoolSize int64, o ReadOptions) (*Reader, error) {
	var fr frames
	if spool != nil {
		fr = fileFrames{spool, spoolSize}
	}
	b, err := rebuild(zip, zipSize, fr, o)
	if errors.Is(err, errOtherSpool) && zipSize > 0 {
		other := err
		if b, err = rebuild(zip, zipSize, nil, o); err == nil {
			b.problem("", other.Error()+"; it was left out", -1)
		}
	}
	if err != nil {
		return nil, err
	}
	t := &tailStore{dir: o.TempDir}
	out := newOutput(t)
	out.off = b.cut
	if err := b.writeTail(context.Background(), out, 1, workers(), b.ended); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if _, err := out.flush(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	c := &composite{base: zip, cut: b.cut, tail: t}
	arch, err := zipx.Open(c, b.cut+t.size, o.limits())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the rebuilt container: %w", err), t.Close())
	}
	var head *storedHeader
	if b.headFound {
		head = &b.head
	}
	r, err := newReader(arch, c, b.cut+t.size, zipSize+spoolSize, head)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	r.info.Complete = false
	r.info.Problems = b.problems
	r.head = r.info
	r.cut, r.rebuilt = true, b
	r.closers = append(r.closers, t)
	return r, nil
}

func workers() int { return runtime.GOMAXPROCS(0) }

// tailMemory is how much of a tail is kept in memory; a longer one goes to a
// temporary file.
const tailMemory = 32 << 20

// tailStore holds what was made beside a cut container.
type tailStore struct {
	dir  string
	mem  []byte
	file *os.File
	size int64
}

func (t *tailStore) Write(p []byte) (int, error) {
	if t.file == nil && len(t.mem)+len(p) > tailMemory {
		f, err := os.CreateTemp(t.dir, "satchel-tail-")
		if err != nil {
			return 0, fmt.Errorf("make room for the rebuilt part: %w", err)
		}
		t.file = f
		if _, err := f.Write(t.mem); err != nil {
			return 0, err
		}
		t.mem = nil
	}
	t.size += int64(len(p))
	if t.file != nil {
		return t.file.Write(p)
	}
	t.mem = append(t.mem, p...)
	return len(p), nil
}

func (t *tailStore) ReadAt(p []byte, off int64) (int, error) {
	if t.file != nil {
		return t.file.ReadAt(p, off)
	}
	return bytes.NewReader(t.mem).ReadAt(p, off)
}

// Close removes the temporary file.
func (t *tailStore) Close() error {
	if t.file == nil {
		return nil
	}
	return errors.Join(t.file.Close(), os.Remove(t.file.Name()))
}

// composite is the evidence up to the cut with the tail behind it.
type composite struct {
	base io.ReaderAt
	cut  int64
	tail *tailStore
}

func (c *composite) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.cut {
		return c.tail.ReadAt(p, off-c.cut)
	}
	n := min(int64(len(p)), c.cut-off)
	got, err := c.base.ReadAt(p[:n], off)
	if int64(got) < n || int64(len(p)) == n {
		if int64(got) == n {
			err = nil
		}
		return got, err
	}
	more, err := c.tail.ReadAt(p[n:], 0)
	return got + more, err
}
