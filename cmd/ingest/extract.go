package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/internal/zipx"
)

// A container of a few bytes may declare a sparse file of any size. Above
// plausibleSize one must hold at least one byte for plausibleRatio of its own.
const (
	plausibleSize  = 64 << 30
	plausibleRatio = 100_000
)

// maxNameBytes bounds one part of a name, as most file systems do.
const maxNameBytes = 255

// hashInName is what a container adds to a name that it has already.
var hashInName = regexp.MustCompile(`~[0-9a-f]{16}(\.[^.]*)?$`)

// extractor copies uploads below one directory and nowhere else.
type extractor struct {
	dir  string
	root *os.Root
	goos string
	made map[string]string // directories by the name that was wanted
}

func newExtractor(dir string) (*extractor, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return &extractor{dir: dir, root: root, goos: runtime.GOOS, made: make(map[string]string)}, nil
}

// Close closes the directory.
func (x *extractor) Close() error { return x.root.Close() }

// evidenceError is an error of what is in the container; others are of the disk
// that is written to.
type evidenceError struct {
	code command.Code
	err  error
}

func (e *evidenceError) Error() string { return e.err.Error() }
func (e *evidenceError) Unwrap() error { return e.err }

// extract copies one upload and returns where to. Of a damaged one the part
// that can be read is copied, with an *evidenceError.
func (x *extractor) extract(ctx context.Context, r *container.Reader, u container.UploadInfo) (file string, err error) {
	if u.Size > plausibleSize && u.Size/max(u.StoredSize, 1) > plausibleRatio {
		return "", &evidenceError{command.Salvaged, fmt.Errorf("it says it has %d bytes, of which %d are stored: not expanded", u.Size, u.StoredSize)}
	}
	in, err := r.OpenUpload(u)
	if err != nil {
		return "", &evidenceError{command.Salvaged, err}
	}
	defer in.Close()
	name, out, err := x.create(x.safeName(nameOf(u)))
	if err != nil {
		return "", err
	}
	sum, readErr, err := copySparse(ctx, out, in, max(u.Size, plausibleSize))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	if !u.Modified.IsZero() {
		_ = x.root.Chtimes(name, u.Modified, u.Modified) // a file system without times keeps the file
	}
	file = filepath.Join(x.dir, filepath.FromSlash(name))
	switch {
	case ctx.Err() != nil:
		return file, context.Cause(ctx)
	case readErr != nil:
		return file, &evidenceError{command.Salvaged, fmt.Errorf("damaged: %w", readErr)}
	case u.Complete && !u.Sparse && u.SHA256 != "" && !strings.EqualFold(u.SHA256, sum):
		return file, &evidenceError{command.Failed, fmt.Errorf("its SHA-256 is %s, not the one that was written", sum)}
	}
	return file, nil
}

// nameOf gives the accessor and the parts of the path. A container never has two
// members whose names differ in case only, so the later one has a hash in its
// name that the path has not. JSON cannot tell bytes that are not UTF-8: they
// come from the name of the member.
func nameOf(u container.UploadInfo) []string {
	parts := u.Components[1:]
	if last := len(parts) - 1; last > 0 {
		base := hashInName.ReplaceAllString(parts[last], "$1")
		if base != "" && !strings.HasSuffix(u.Path, parts[last]) && strings.HasSuffix(u.Path, base) {
			return append(append([]string(nil), parts[:last]...), base)
		}
	}
	for _, p := range parts {
		if strings.ContainsRune(p, utf8.RuneError) {
			raw := strings.Split(u.Member, "/")
			if len(raw) != len(u.Components) {
				return parts
			}
			for i := range raw {
				text, err := zipx.UnescapeComponent(raw[i])
				if err != nil {
					return parts
				}
				raw[i] = text
			}
			return raw[1:]
		}
	}
	return parts
}

// create makes a new file below the directory. A name that is taken, also by
// one that differs in case on a file system without case, gets a number.
func (x *extractor) create(name string) (string, *os.File, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", nil, fmt.Errorf("write %q: the name leads out of the directory", name)
	}
	dir, err := x.makeDir(path.Dir(name))
	if err != nil {
		return "", nil, fmt.Errorf("write %s: %w", name, err)
	}
	name = path.Join(dir, path.Base(name))
	for n := 1; ; n++ {
		try := name
		if n > 1 {
			try = numbered(name, n)
		}
		f, err := x.root.OpenFile(try, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return try, f, nil
		}
		if !errors.Is(err, fs.ErrExist) || n == 100_000 {
			return "", nil, fmt.Errorf("write %s: %w", name, err)
		}
	}
}

// numbered gives the n-th form of a name, the last part of which stays short
// enough.
func numbered(name string, n int) string {
	number := fmt.Sprintf(".%d", n)
	dir, base := path.Split(name)
	if over := len(base) + len(number) - maxNameBytes; over > 0 {
		base = cutText(base, len(base)-over)
	}
	return dir + base + number
}

// cutText cuts s between characters to at most n bytes.
func cutText(s string, n int) string {
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:min(n, len(s))]
}

// makeDir makes a directory part by part. Where a file stands in the way, as
// when one path was collected as a file and later as a directory, the part gets
// a number.
func (x *extractor) makeDir(dir string) (string, error) {
	if made, ok := x.made[dir]; ok {
		return made, nil
	}
	at := ""
	for _, part := range strings.Split(dir, "/") {
		for n := 1; ; n++ {
			try := path.Join(at, part)
			if n > 1 {
				try = numbered(try, n)
			}
			err := x.root.Mkdir(try, 0o700)
			if errors.Is(err, fs.ErrExist) {
				var info fs.FileInfo
				if info, err = x.root.Lstat(try); err == nil && !info.IsDir() && n < 1000 {
					continue
				}
			}
			if err != nil {
				return "", err
			}
			at = try
			break
		}
	}
	if len(x.made) > 10_000 {
		clear(x.made)
	}
	x.made[dir] = at
	return at, nil
}

// safeName gives the name below the directory for the components of an upload:
// what this system can store stays as it is, the rest is written as %XX.
func (x *extractor) safeName(components []string) string {
	parts := make([]string, 0, len(components))
	for _, c := range components {
		if len(parts) == 100 { // deeper than any file system: the rest in one name
			parts[99] = x.safePart(parts[99] + "_" + c)
			continue
		}
		parts = append(parts, x.safePart(c))
	}
	return path.Join(parts...)
}

func (x *extractor) safePart(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if x.unsafe(r, size) || (r == '.' || r == ' ') && x.goos == "windows" && i+1 == len(s) {
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
		if b.Len() > 4*maxNameBytes {
			break
		}
	}
	name := b.String()
	switch {
	case s == "":
		return "%"
	case name == ".":
		return "%2E"
	case name == "..":
		return "%2E%2E"
	case x.goos == "windows" && !filepath.IsLocal(name):
		return "%" + name // CON, NUL, COM1 ...
	}
	if len(name) > maxNameBytes || len(s) > maxNameBytes {
		sum := sha256.Sum256([]byte(s))
		name = cutText(name, maxNameBytes-17) + "~" + hex.EncodeToString(sum[:8])
	}
	return name
}

// unsafe says whether a character cannot or should not be in a file name here.
func (x *extractor) unsafe(r rune, size int) bool {
	switch {
	case r == utf8.RuneError && size <= 1, r == '/', r == '\\', r == 0:
		return true
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
		return true
	}
	return x.goos == "windows" && strings.ContainsRune(`<>:"|?*`, r)
}

// copySparse copies in to out, leaves holes where in has long runs of zeros,
// and returns the SHA-256 of all of it. readErr is of in, also when it has more
// than limit bytes, err of out.
func copySparse(ctx context.Context, out *os.File, in io.Reader, limit int64) (sum string, readErr, err error) {
	const block = 64 << 10
	h := sha256.New()
	buf, zeros := make([]byte, block), make([]byte, block)
	var at int64
	for ctx.Err() == nil {
		n, rerr := fill(in, buf)
		h.Write(buf[:n])
		if n == block && bytes.Equal(buf, zeros) {
			_, err = out.Seek(block, io.SeekCurrent)
		} else {
			_, err = out.Write(buf[:n])
		}
		if err != nil {
			return "", nil, err
		}
		at += int64(n)
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr == nil && at > limit {
			rerr = fmt.Errorf("it is longer than the %d bytes that it says it has", limit)
		}
		if rerr != nil {
			readErr = rerr
			break
		}
	}
	if err := out.Truncate(at); err != nil {
		return "", nil, err
	}
	return hex.EncodeToString(h.Sum(nil)), readErr, nil
}

// fill reads until buf is full. Unlike io.ReadFull it tells the end of a stream
// (io.EOF) from one that broke off.
func fill(in io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = in.Read(buf[n:])
		n += m
	}
	return n, err
}
