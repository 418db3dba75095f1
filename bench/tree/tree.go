// Package tree makes the reference tree that the measures in
// docs/performance.md are taken on: by default 50,000 files of 1 to 8 KiB and 20
// of 50 MB, 1.23 GB in all. Half of either kind is random and does not shrink,
// the other half is a log of near-equal lines and shrinks to a few hundredths.
//
//	small/text/000/0000.log ...   small/random/000/0000.bin ...
//	large/text/00.log ...         large/random/00.bin ...
//
// The same Spec gives the same bytes on every machine.
package tree

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
)

// Spec says what to make. SmallFiles and LargeFiles are halved between text and
// random.
type Spec struct {
	Seed       uint64
	SmallFiles int
	SmallMin   int64 // bytes
	SmallMax   int64 // bytes
	LargeFiles int
	LargeBytes int64
}

// Reference is the tree of the published numbers.
func Reference() Spec {
	return Spec{Seed: 1, SmallFiles: 50_000, SmallMin: 1 << 10, SmallMax: 8 << 10, LargeFiles: 20, LargeBytes: 50_000_000}
}

// Tree is what Make made.
type Tree struct {
	Spec  Spec
	Files int
	Bytes int64
}

const (
	filesPerFolder = 500
	stampName      = "tree.json" // beside the four folders' parents, written last
)

// Make writes the tree into dir, which it creates. A tree of the same Spec that
// is there whole is left alone; a different or unfinished one is an error.
func Make(dir string, s Spec) (Tree, error) {
	t, err := existing(dir, s)
	if err != nil || t.Files > 0 {
		return t, err
	}
	t.Spec = s
	for i := range s.SmallFiles {
		size := s.SmallMin
		if span := s.SmallMax - s.SmallMin; span > 0 {
			size += rand.New(rand.NewPCG(s.Seed, uint64(i))).Int64N(span + 1)
		}
		if err := t.file(dir, "small", i, size); err != nil {
			return t, err
		}
	}
	for i := range s.LargeFiles {
		if err := t.file(dir, "large", i, s.LargeBytes); err != nil {
			return t, err
		}
	}
	stamp, err := json.Marshal(t)
	if err != nil {
		return t, err
	}
	return t, os.WriteFile(filepath.Join(dir, stampName), stamp, 0o644)
}

func existing(dir string, s Spec) (Tree, error) {
	var t Tree
	data, err := os.ReadFile(filepath.Join(dir, stampName))
	if errors.Is(err, os.ErrNotExist) {
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			return t, fmt.Errorf("%s holds something that is no whole tree: remove it first", dir)
		}
		return t, nil
	}
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("read %s: %w", stampName, err)
	}
	if !reflect.DeepEqual(t.Spec, s) {
		return Tree{}, fmt.Errorf("%s holds a tree of another specification: remove it first", dir)
	}
	return t, nil
}

func (t *Tree) file(dir, size string, i int, bytes int64) error {
	kind, ext := "text", "log"
	if i%2 == 1 {
		kind, ext = "random", "bin"
	}
	n := i / 2
	folder, name := filepath.Join(dir, size, kind), fmt.Sprintf("%02d.%s", n, ext)
	if size == "small" {
		folder, name = filepath.Join(folder, fmt.Sprintf("%03d", n/filesPerFolder)), fmt.Sprintf("%04d.%s", n, ext)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(folder, name), Content(t.Spec.Seed, uint64(i), kind == "text"), bytes); err != nil {
		return err
	}
	t.Files++
	t.Bytes += bytes
	return nil
}

func writeFile(name string, content io.Reader, bytes int64) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.CopyN(f, content, bytes)
	return err
}

// Content returns the endless content of file number i: random bytes, or lines
// of a log that differ in little more than a counter.
func Content(seed, i uint64, text bool) io.Reader {
	if !text {
		var key [32]byte
		for n := range 8 {
			key[n], key[8+n] = byte(seed>>(8*n)), byte(i>>(8*n))
		}
		return rand.NewChaCha8(key)
	}
	return bufio.NewReaderSize(&lines{file: i}, 64<<10)
}

type lines struct {
	file, line uint64
	rest       []byte
}

// Read fills p with lines; it never fails.
func (l *lines) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(l.rest) == 0 {
			l.rest = fmt.Appendf(l.rest[:0], "2026-01-01T00:00:00Z host-%04d service[%d]: request accepted from 192.0.2.1 after 12 ms, nothing else to say\n", l.file%10_000, l.line/64)
			l.line++
		}
		c := copy(p[n:], l.rest)
		l.rest = l.rest[c:]
		n += c
	}
	return n, nil
}
