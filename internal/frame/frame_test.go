package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// genFrame draws a frame that can be encoded.
func genFrame(t *rapid.T) Frame {
	return Frame{
		Kind:  Kind(rapid.ByteRange(1, 255).Draw(t, "kind")),
		Flags: Flags(rapid.ByteRange(0, 3).Draw(t, "flags")),
		Mark:  rapid.Uint16().Draw(t, "mark"),
		Seq:   rapid.Uint64Range(1, MaxSeq).Draw(t, "seq"),
		Body:  rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"),
	}
}

func TestParseAppendRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := genFrame(t)
		rest := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "rest")
		dst := rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "dst")
		b, err := Append(bytes.Clone(dst), f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b, dst) {
			t.Fatal("what was in dst has changed")
		}
		got, n, err := Parse(append(b[len(dst):], rest...))
		if err != nil || n != Size(len(f.Body)) {
			t.Fatalf("Parse: %d, %v", n, err)
		}
		if d := cmp.Diff(f, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		f    Frame
		want error
	}{
		{"kind 0", Frame{Seq: 1}, ErrInvalid},
		{"number 0", Frame{Kind: 1}, ErrInvalid},
		{"number beyond the limit", Frame{Kind: 1, Seq: MaxSeq + 1}, ErrInvalid},
		{"unknown flag", Frame{Kind: 1, Seq: 1, Flags: 4}, ErrInvalid},
		{"body too large", Frame{Kind: 1, Seq: 1, Body: make([]byte, MaxBody+1)}, ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dst := []byte("before")
			b, err := Append(dst, tt.f)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if string(b) != "before" {
				t.Errorf("dst is %q", b)
			}
		})
	}
	if _, err := Append(nil, Frame{Kind: 1, Seq: MaxSeq, Body: make([]byte, MaxBody)}); err != nil {
		t.Errorf("the largest frame: %v", err)
	}
	if _, err := Append(nil, Frame{Kind: KindControl}); err != nil {
		t.Errorf("a control frame before any record: %v", err)
	}
}

// encoded returns the bytes of a frame.
func encoded(t testing.TB, f Frame) []byte {
	t.Helper()
	b, err := Append(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good := encoded(t, Frame{Kind: 1, Seq: 7, Mark: 0x1234, Body: []byte("body")})
	edit := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	tests := []struct {
		name string
		b    []byte
		want Reason
	}{
		{"magic", edit(0, 'X'), ReasonMagic},
		{"not even the start of the magic", []byte("SX"), ReasonMagic},
		{"kind 0", edit(4, 0), ReasonHeader},
		{"flags", edit(5, 0x80), ReasonHeader},
		{"number 0", edit(8, 0), ReasonHeader},
		{"length", edit(16, 1, 0, 0, 1), ReasonLength},
		{"length of 4 GB", edit(16, 255, 255, 255, 255), ReasonLength},
		{"another kind", edit(4, 2), ReasonChecksum},
		{"another mark", edit(6, 9), ReasonChecksum},
		{"another number", edit(8, 8), ReasonChecksum},
		{"shorter", edit(16, 3), ReasonChecksum},
		{"checksum", edit(20, good[20]+1), ReasonChecksum},
		{"body", edit(24, 'B'), ReasonChecksum},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, n, err := Parse(tt.b)
			var ce *CorruptError
			if !errors.As(err, &ce) || !errors.Is(err, ErrCorrupt) || ce.Reason != tt.want || n != 0 {
				t.Errorf("%d, %v; want %q", n, err, tt.want)
			}
		})
	}
}

func TestParseShort(t *testing.T) {
	t.Parallel()
	good := encoded(t, Frame{Kind: 1, Seq: 7, Body: []byte("body")})
	for i := range good {
		f, n, err := Parse(good[:i])
		want := HeaderSize
		if i >= HeaderSize {
			want = len(good)
		}
		if err != ErrShort || n != want || f.Body != nil {
			t.Errorf("cut at %d: %v, %d, %v", i, f, n, err)
		}
	}
}

// TestHash keeps the hash apart from the place of the frame and tied to all the rest.
func TestHash(t *testing.T) {
	t.Parallel()
	f := Frame{Kind: 1, Flags: Sealed, Mark: 1, Seq: 2, Body: []byte("x")}
	same := f
	same.Mark = 2
	if Hash(f) != Hash(same) {
		t.Error("the mark is in the hash")
	}
	seen := map[[32]byte]int{Hash(f): -1}
	for i, g := range []Frame{
		{Kind: 2, Flags: Sealed, Seq: 2, Body: []byte("x")},
		{Kind: 1, Seq: 2, Body: []byte("x")},
		{Kind: 1, Flags: Sealed, Seq: 3, Body: []byte("x")},
		{Kind: 1, Flags: Sealed, Seq: 2, Body: []byte("y")},
		{Kind: 1, Flags: Sealed, Seq: 2, Body: []byte{}},
	} {
		if j, dup := seen[Hash(g)]; dup {
			t.Errorf("%d has the hash of %d", i, j)
		}
		seen[Hash(g)] = i
	}
}

// TestSealData checks that the seal covers the header but for mark and checksum.
func TestSealData(t *testing.T) {
	t.Parallel()
	f := Frame{Kind: 3, Flags: Sealed, Mark: 0xABCD, Seq: 99, Body: []byte("sealed body")}
	want := encoded(t, f)[:20]
	want[6], want[7] = 0, 0
	if got := AppendSealData(nil, f, len(f.Body)); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestSpecExample reads the example of docs/format/frame.md, so that the document and the code say the same.
func TestSpecExample(t *testing.T) {
	t.Parallel()
	f := Frame{Kind: 2, Mark: 0x7A31, Seq: 42, Body: []byte("satchel\n")}
	b := encoded(t, f)
	if got := specBytes(t, "../../docs/format/frame.md", "frame"); !bytes.Equal(got, b) {
		t.Errorf("docs/format/frame.md has\n%s\nthe code makes\n%s", hex.Dump(got), hex.Dump(b))
	}
	if crc := binary.LittleEndian.Uint32(b[20:]); crc != naiveCRC(append(bytes.Clone(f.Body), b[:20]...)) {
		t.Errorf("checksum %#x is not that of the specification", crc)
	}
	h := Hash(f)
	if doc := specBytes(t, "../../docs/format/frame.md", "hash"); !bytes.Equal(doc, h[:]) {
		t.Errorf("docs/format/frame.md has the hash %x, the code makes %x", doc, h)
	}
}

// naiveCRC is CRC-32C as the specification words it, bit by bit.
func naiveCRC(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c)
		for range 8 {
			crc = crc>>1 ^ 0x82F63B78*(crc&1)
		}
	}
	return ^crc
}

// specBytes returns the bytes of the code block "```hex name" of a document: everything up to a "|" on each line.
func specBytes(t *testing.T, file, name string) []byte {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(doc), "```hex "+name+"\n")
	if !ok {
		t.Fatalf("%s has no block %q", file, name)
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

func FuzzParse(f *testing.F) {
	for _, b := range corpus(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, n, err := Parse(b)
		switch {
		case err == nil:
			again, err := Append(nil, got)
			if err != nil || !bytes.Equal(again, b[:n]) {
				t.Fatalf("encodes as %x, %v", again, err)
			}
		case errors.Is(err, ErrShort):
			if n <= len(b) || n > MaxSize {
				t.Fatalf("short of %d bytes with %d", n, len(b))
			}
		case !errors.Is(err, ErrCorrupt):
			t.Fatal(err)
		}
	})
}

// corpus returns seeds for the fuzzers; it is never empty.
func corpus(t testing.TB) [][]byte {
	var log []byte
	for i := range 5 {
		log = append(log, encoded(t, Frame{Kind: Kind(i + 1), Seq: uint64(i + 1), Mark: 5, Body: bytes.Repeat([]byte{byte(i)}, i*9)})...)
	}
	nested := encoded(t, Frame{Kind: 1, Seq: 1, Body: log})
	torn := append(bytes.Clone(log), log[:40]...)
	flipped := bytes.Clone(log)
	flipped[30] ^= 4
	return [][]byte{
		{}, []byte(Magic), []byte("SFR1SFR1SFR1SFR1SFR1SFR1SFR1"), log, log[:len(log)-1], nested, nested[1:], torn, flipped,
		encoded(t, Frame{Kind: KindControl, Body: []byte("own")}),
	}
}
