package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"satchel/internal/frame"
)

// reversioned returns a copy of a spool file whose header says that it is of another version, with a right checksum.
func reversioned(t testing.TB, b []byte, version uint16) []byte {
	t.Helper()
	b = bytes.Clone(b)
	binary.LittleEndian.PutUint16(b[8:], version)
	end := int(binary.LittleEndian.Uint16(b[10:])) - 4
	binary.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func genHeader(t *rapid.T) Header {
	bytesOf := func(n int, name string) []byte { return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, name) }
	return Header{
		Form:    rapid.SampledFrom([]Form{FormFile, FormSegment}).Draw(t, "form"),
		Lane:    Lane(rapid.Byte().Draw(t, "lane")),
		Mark:    rapid.Uint16Range(1, 1<<16-1).Draw(t, "mark"),
		ID:      [16]byte(bytesOf(16, "id")),
		Segment: rapid.Uint64Range(1, 1<<64-1).Draw(t, "segment"),
		First:   rapid.Uint64Range(1, frame.MaxSeq).Draw(t, "first"),
		Created: time.Unix(0, rapid.Int64().Draw(t, "created")).UTC(),
		Prev:    [32]byte(bytesOf(32, "prev")),
		Key:     rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "key"),
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := genHeader(t)
		b, err := h.Append([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		got, n, err := ParseHeader(append(b[1:], "behind"...))
		if err != nil || n != len(b)-1 || n > maxHeader {
			t.Fatal(n, err)
		}
		if d := cmp.Diff(h, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		at := rapid.IntRange(1, len(b)-1).Draw(t, "at")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, _, err := ParseHeader(b[1:]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed: %v", at-1, err)
		}
		if _, _, err := ParseHeader(b[1:at]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", at-1, err)
		}
	})
}

func TestHeaderRefuses(t *testing.T) {
	t.Parallel()
	good := Header{Form: FormFile, Mark: 1, Segment: 1, First: 1, Created: epoch}
	for name, edit := range map[string]func(*Header){
		"form": func(h *Header) { h.Form = 3 }, "mark": func(h *Header) { h.Mark = 0 },
		"segment": func(h *Header) { h.Segment = 0 }, "first": func(h *Header) { h.First = 0 },
		"key": func(h *Header) { h.Key = make([]byte, MaxKey+1) },
	} {
		h := good
		edit(&h)
		if b, err := h.Append([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	good.Key = make([]byte, MaxKey)
	if b, err := good.Append(nil); err != nil || len(b) != maxHeader {
		t.Errorf("largest key: %d bytes, %v", len(b), err)
	}
}

func TestResumeRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := resume{good: rapid.Int64().Draw(t, "good"), size: rapid.Int64().Draw(t, "size"), head: genHeader(t)}
		b, err := r.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseResume(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got, cmp.AllowUnexported(resume{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		for _, b := range [][]byte{append(b, 0), b[:len(b)-1], b[:10], nil} {
			if _, err := parseResume(b); !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
		}
	})
}

func TestLaneString(t *testing.T) {
	t.Parallel()
	for l, want := range map[Lane]string{0: "lane0", LaneRows: "rows", LaneBulk: "bulk", 7: "lane7"} {
		if l.String() != want {
			t.Errorf("%d: %s", l, l)
		}
	}
}
