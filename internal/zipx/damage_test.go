package zipx

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// nested is an archive in an archive, stored as it is: its records must not be
// taken for those of the outer one.
func nested(t testing.TB, stream bool) ([]file, []byte) {
	t.Helper()
	inner, _ := build(t, file{name: "inner/one", data: someText(8, 500), method: Deflate}, file{name: "inner/two", data: someNoise(9, 100)})
	files := []file{
		{name: "before", data: someText(1, 400), method: Deflate},
		{name: "inner.zip", data: append(someNoise(3, 1500), inner...), method: Deflate, stream: stream, block: 8000},
		{name: "after", data: someText(2, 400), method: Deflate, stream: true, block: 300},
		{name: "last", data: []byte("last"), method: Deflate},
	}
	b, _ := build(t, files...)
	if !bytes.Contains(b, []byte("inner/one")) {
		t.Fatal("the inner archive is not visible")
	}
	return files, b
}

// TestSalvageCutEverywhere cuts an archive after every byte: all records before
// the cut are found, the torn one yields a prefix, nothing is invented.
func TestSalvageCutEverywhere(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		files, b := nested(t, stream)
		cutEverywhere(t, files, b)
	}
	files := smallSample()
	b, _ := build(t, files...)
	cutEverywhere(t, files, b)
}

func cutEverywhere(t *testing.T, files []file, b []byte) {
	t.Helper()
	a := openBytes(t, b)
	var ends []int64
	for m, err := range a.Members() {
		if err != nil {
			t.Fatal(err)
		}
		_, to, err := a.RecordSpan(&m)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, to)
	}
	for cut := range len(b) + 1 {
		out := salvage(t, b[:cut], 0)
		for i, f := range out.found {
			want := files[i]
			if f.Member.Name != want.name || f.Resynced || f.Skipped != 0 {
				t.Fatalf("cut at %d: member %d is %+v", cut, i, f)
			}
			if whole := int64(cut) >= ends[i]; f.Complete != whole || f.Cut == whole {
				t.Fatalf("cut at %d, ends at %d: %+v", cut, ends[i], f)
			}
			got := out.content[i]
			if want.method == Store && want.stream { // it may be data that looks like a descriptor
				for _, sig := range []string{"P", "PK", "PK\x07"} {
					got = bytes.TrimSuffix(got, []byte(sig))
				}
			}
			if !bytes.HasPrefix(want.data, got) || f.Complete && len(out.content[i]) != len(want.data) {
				t.Fatalf("cut at %d: %s has other content", cut, want.name)
			}
		}
		n := 0
		for n < len(ends) && ends[n] <= int64(cut) {
			n++
		}
		if len(out.found) < n || len(out.found) > n+1 {
			t.Fatalf("cut at %d: %d members, %d are whole", cut, len(out.found), n)
		}
		if cut < len(b) {
			// Right behind the inner archive this is one, with much in front of it.
			if a, err := Open(bytes.NewReader(b[:cut]), int64(cut), Limits{}); err == nil && a.Base() == 0 {
				t.Fatalf("cut at %d: opens", cut)
			}
		}
	}
}

// smallSample has all forms in few bytes.
func smallSample() []file {
	return []file{
		{name: "satchel.json", data: []byte(`{"format":1}`), mod: someTime},
		{name: "a/deflated", data: someText(1, 200), method: Deflate, mod: someTime},
		{name: "a/streamed", data: someText(2, 300), method: Deflate, stream: true, block: 100},
		{name: "a/dir/"},
		{name: "a/stored", data: []byte("stored with descriptor"), stream: true},
		{name: "a/empty", method: Deflate, stream: true},
		{name: "a/zstd", data: someText(3, 300), method: Zstd, stream: true, block: 100},
		{name: "a/zwhole", data: someText(4, 100), method: Zstd},
		{name: "a/last", data: someText(5, 200), method: Deflate},
	}
}

// TestFlipEveryByte changes every byte of an archive: the reader returns an error
// or what was there, and salvage loses one member at most.
func TestFlipEveryByte(t *testing.T) {
	t.Parallel()
	files := smallSample()
	good, _ := build(t, files...)
	want := map[string][]byte{}
	for _, f := range files {
		want[f.name] = f.data
	}
	a := openBytes(t, good)
	for at := range good {
		for _, mask := range []byte{1 << (at % 8), 0xff} {
			b := bytes.Clone(good)
			b[at] ^= mask
			flipRead(t, b, want, fmt.Sprintf("byte %d ^ %02x", at, mask))
			if int64(at) < a.DirOffset() {
				flipSalvage(t, b, files, fmt.Sprintf("byte %d ^ %02x", at, mask))
			}
		}
	}
}

// flipRead reads a damaged archive.
func flipRead(t *testing.T, b []byte, want map[string][]byte, what string) {
	t.Helper()
	a, err := Open(bytes.NewReader(b), int64(len(b)), Limits{})
	if err != nil {
		return
	}
	n := 0
	for m, err := range a.Members() {
		if err != nil {
			return
		}
		n++
		got, err := content(a, &m)
		if err != nil {
			continue
		}
		if data, known := want[m.Name]; !known || !bytes.Equal(got, data) {
			t.Fatalf("%s: %q reads as other content without error", what, m.Name)
		}
	}
	if n != len(want) {
		t.Fatalf("%s: %d members without error", what, n)
	}
}

// flipSalvage salvages a damaged archive.
func flipSalvage(t *testing.T, b []byte, files []file, what string) {
	t.Helper()
	out := salvage(t, b, 0)
	known := 0
	for i, f := range out.found {
		if !f.Complete {
			continue
		}
		// A name is protected by nothing: one may differ, its content not.
		for _, want := range files {
			if bytes.Equal(out.content[i], want.data) && len(f.Member.Name) == len(want.name) {
				known++
				break
			}
		}
	}
	complete := 0
	for _, f := range out.found {
		if f.Complete {
			complete++
		}
	}
	if known != complete {
		t.Fatalf("%s: something was invented: %+v", what, out.found)
	}
	if complete < len(files)-1 {
		t.Fatalf("%s: %d members of %d: %+v", what, complete, len(files), out.found)
	}
}

// TestSalvageNestedDamage damages a member that has an archive inside: what a
// search finds in there is marked.
func TestSalvageNestedDamage(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		_, good := nested(t, stream)
		from, to := bytes.Index(good, []byte("inner.zip")), bytes.Index(good, []byte("after"))-localLen
		for at := from - localLen; at < to; at++ {
			b := bytes.Clone(good)
			b[at] ^= 0x55
			out := salvage(t, b, 0)
			after := 0
			for _, f := range out.found {
				if strings.HasPrefix(f.Member.Name, "inner/") && !f.Resynced {
					t.Fatalf("byte %d: %+v", at, f)
				}
				if f.Complete && (f.Member.Name == "after" || f.Member.Name == "last") {
					after++
				}
			}
			if after != 2 {
				t.Fatalf("byte %d: what follows is lost: %+v", at, out.found)
			}
		}
	}
}

// counting counts what is read of a file.
type counting struct {
	io.ReaderAt
	bytes int64
}

// ReadAt counts.
func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes += int64(n)
	return n, err
}

// TestSalvageWork: input made to be read again and again is not.
func TestSalvageWork(t *testing.T) {
	t.Parallel()
	const size = 512 << 10
	repeat := func(b []byte) []byte { return bytes.Repeat(b, size/len(b)) }
	stored := AppendLocal(nil, &Member{Name: "s", Descriptor: true})
	deflated := append(AppendLocal(nil, &Member{Name: "d", Descriptor: true, Method: Deflate}), 0, 10, 0, 0xf5, 0xff)
	long := AppendLocal(nil, &Member{Name: strings.Repeat("n", 60_000)})[:localLen]
	claims := AppendLocal(nil, &Member{Name: "c", Method: Deflate, CompressedSize: size, Size: size})
	zeros, err := new(Compressor).Block(nil, make([]byte, 20<<20), 6)
	if err != nil {
		t.Fatal(err)
	}
	expanding := append(bytes.Clone(deflated[:localLen+1]), zeros...)
	distance := []byte("PK\x07\x08")
	for name, b := range map[string][]byte{
		"streamed, stored":      repeat(stored),
		"streamed, deflated":    repeat(deflated),
		"long names":            repeat(long),
		"large claims":          repeat(claims),
		"expanding, not ending": repeat(expanding),
		"descriptors":           append(repeat(stored)[:size/2], repeat(distance)[:size/2]...),
		"directories":           append(repeat(stored)[:size/2], repeat(AppendCentral(nil, &Member{Name: "s"}))[:size/2]...),
	} {
		r := &counting{ReaderAt: bytes.NewReader(b)}
		s := NewSalvager(r, 0, int64(len(b)), Limits{})
		n := 0
		for f, err := range s.Members() {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n++; f.Complete {
				t.Errorf("%s: complete: %+v", name, f)
			}
		}
		// Once more than the budget, each byte is decoded once, to 1032 at most.
		if most := s.budget + 1100*size; r.bytes > 300*size || s.scanned > s.budget+2*size || s.decoded > most {
			t.Errorf("%s: read %d bytes of %d, searched %d and decoded %d", name, r.bytes, len(b), s.scanned, s.decoded)
		}
		t.Logf("%s: %d found, file read %d times, searched %d, decoded %d", name, n, r.bytes/int64(len(b)), s.scanned/size, s.decoded/size)
	}
}
