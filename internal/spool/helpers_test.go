package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/internal/frame"
	"satchel/internal/fsx"
	"satchel/internal/fsx/fsxtest"
)

// epoch is what the clock of the tests says.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// randomness returns a source that is the same in every run.
func randomness(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// options returns options for tests on f.
func options(f fsx.FS) Options {
	return Options{FS: f, Now: func() time.Time { return epoch }, Rand: randomness(1), BufferBytes: 256}
}

// record is what a test appends and expects back.
type record struct {
	Seq  uint64
	Kind frame.Kind
	Body string
}

func (r record) String() string {
	return fmt.Sprintf("%d kind %d %.20q(%d)", r.Seq, r.Kind, r.Body, len(r.Body))
}

// recordOf copies a frame.
func recordOf(f frame.Frame) record { return record{f.Seq, f.Kind, string(f.Body)} }

// body returns a body for the n-th record, of up to limit bytes, different from all others.
func body(n, limit int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 9))
	return bytes.Repeat(fmt.Appendf(nil, "%d.", n), 1+rng.IntN(max(1, limit/4)))
}

// add appends a record and fails the test if that fails.
func add(t testing.TB, l *Log, k frame.Kind, b []byte) record {
	t.Helper()
	seq, err := l.Append(t.Context(), k, b)
	if err != nil {
		t.Fatal(err)
	}
	return record{seq, k, string(b)}
}

// addMany appends n records and syncs.
func addMany(t testing.TB, l *Log, n, limit int) []record {
	t.Helper()
	var out []record
	for range n {
		i := int(l.LastSeq()) + 1
		out = append(out, add(t, l, frame.Kind(1+i%8), body(i, limit)))
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	return out
}

// contents is what an iteration yielded.
type contents struct {
	records []record
	damage  []CorruptError
	gaps    []GapError
	err     error
}

// stored reads what is durable in a log from seq on.
func stored(t tester, l *Log, seq uint64) contents {
	t.Helper()
	var c contents
	for f, err := range l.Stored(t.Context(), seq) {
		c.take(f, err)
	}
	return c
}

// take notes one step of an iteration.
func (c *contents) take(f frame.Frame, err error) {
	var ce *CorruptError
	var ge *GapError
	switch {
	case err == nil:
		c.records = append(c.records, recordOf(f))
	case errors.As(err, &ce):
		c.damage = append(c.damage, *ce)
	case errors.As(err, &ge):
		c.gaps = append(c.gaps, *ge)
	default:
		c.err = err
	}
}

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// scanned reads a spool file.
func scanned(t tester, s *Scanner) []record {
	t.Helper()
	var out []record
	for s.Next() {
		out = append(out, recordOf(s.Frame()))
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return out
}

// same fails the test if got is not want.
func same(t tester, what string, want, got []record) {
	t.Helper()
	if !slices.Equal(want, got) {
		t.Fatalf("%s:\nwant %v\ngot  %v", what, want, got)
	}
}

// mustFile opens a spool file.
func mustFile(t testing.TB, path string, o Options) *Log {
	t.Helper()
	l, err := OpenFile(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// mustDir opens a spool directory.
func mustDir(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := OpenDir(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// mustClose closes a log.
func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// segmentFiles lists the segments in a directory.
func segmentFiles(t testing.TB, f fsx.FS, dir string) []string {
	t.Helper()
	entries, err := f.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), segmentSuffix) {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// read returns the content of a file.
func read(t testing.TB, m *fsxtest.FS, name string) []byte {
	t.Helper()
	b, err := m.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write makes the content of a file.
func write(t testing.TB, m *fsxtest.FS, name string, b []byte) {
	t.Helper()
	if err := m.WriteFile(name, b); err != nil {
		t.Fatal(err)
	}
}
