package spool

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/internal/frame"
)

const spec = "../../docs/format/spool.md"

// specBytes returns the bytes of the code block "```hex name" of the specification: everything up to a "|" on each line.
func specBytes(t *testing.T, name string) []byte {
	t.Helper()
	doc, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(doc), "```hex "+name+"\n")
	if !ok {
		t.Fatalf("%s has no block %q", spec, name)
	}
	block, _, _ = strings.Cut(block, "```")
	var digits strings.Builder
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, "|")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSpecExamples makes the files that docs/format/spool.md shows, so that the document and the code say the same.
func TestSpecExamples(t *testing.T) {
	t.Parallel()
	m := newDisk(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := Options{FS: m, Now: func() time.Time { return now }, Rand: bytes.NewReader([]byte{0x31, 0x7A, 0xC4, 0x09})}
	check := func(name, file string) {
		t.Helper()
		if doc, got := specBytes(t, name), read(t, m, file); !bytes.Equal(doc, got) {
			t.Errorf("%s: %s has\n%s\nthe code makes\n%s", spec, name, hex.Dump(doc), hex.Dump(got))
		}
	}
	l := mustFile(t, file, o)
	add(t, l, 2, []byte("satchel\n"))
	mustClose(t, l)
	now = now.Add(time.Minute)
	whole := read(t, m, file)
	write(t, m, file, append(whole, "SFR1"...)) // a torn frame
	l = mustFile(t, file, o)
	mustClose(t, l)
	check("file", file)

	o.Lane, o.ID, o.SegmentBytes = LaneBulk, [16]byte([]byte("0123456789abcdef")), 1
	l = mustDir(t, dir, o)
	add(t, l, 2, []byte("satchel\n"))
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	o.Rand = bytes.NewReader([]byte{0x34, 0x12})
	l.o.Rand = o.Rand
	if err := l.Ack(1); err != nil {
		t.Fatal(err)
	}
	check("segment", filepath.Join(dir, "000000000002.seg"))
	check("ack", filepath.Join(dir, "ack"))
	mustClose(t, l)
	if h, _, err := ParseHeader(specBytes(t, "segment")); err != nil || h.Prev != frame.Hash(frame.Frame{Kind: 2, Seq: 1, Body: []byte("satchel\n")}) {
		t.Errorf("%+v, %v", h, err)
	}
}
