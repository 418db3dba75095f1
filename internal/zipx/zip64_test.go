package zipx

import (
	"archive/zip"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sparse is a file of which only some parts are not zero.
type sparse struct {
	size  int64
	parts map[int64][]byte
}

// ReadAt reads parts and zeros.
func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.size-off))
	clear(p[:n])
	for at, b := range s.parts {
		if from := max(at, off); from < min(at+int64(len(b)), off+int64(n)) {
			copy(p[from-off:n], b[from-at:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// gib is a gibibyte.
const gib = 1 << 30

// largeArchive has members past 4 GiB, and members longer than that, in a file
// that is mostly a hole.
func largeArchive(small []byte) ([]Member, *sparse) {
	members := []Member{
		{Name: "whole", Method: Store, Size: 5 * gib, CompressedSize: 5 * gib, Modified: someTime},
		{Name: "streamed", Method: Deflate, Descriptor: true, Size: 9 * gib, CompressedSize: 6 * gib, Offset: 6 * gib},
		{Name: "small", Method: Store, Size: uint64(len(small)), CompressedSize: uint64(len(small)), CRC32: crc32.ChecksumIEEE(small), Offset: 13 * gib},
		{Name: "exactly", Method: Store, Size: max32, CompressedSize: max32, Offset: 14 * gib},
	}
	parts := map[int64][]byte{}
	for i := range members {
		m := &members[i]
		header := AppendLocal(nil, m)
		parts[int64(m.Offset)] = header
		if m.Descriptor {
			parts[int64(m.Offset)+int64(len(header))+int64(m.CompressedSize)] = AppendDescriptor(nil, m)
		}
		if m.Name == "small" {
			parts[int64(m.Offset)] = append(header, small...)
		}
	}
	tail := appendDirectory(nil, members, "")
	const at = 20 * gib
	dirSize := int64(bytes.Index(tail, []byte("PK\x05\x06")))
	tail = AppendEnd(tail[:dirSize], uint64(len(members)), at, dirSize, "")
	parts[at] = tail
	return members, &sparse{size: at + int64(len(tail)), parts: parts}
}

// TestZIP64 reads it, as archive/zip does.
func TestZIP64(t *testing.T) {
	t.Parallel()
	small := []byte("a small member behind 4 GiB")
	members, r := largeArchive(small)
	a, err := Open(r, r.size, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	std, err := zip.NewReader(r, r.size)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range listAll(t, a) {
		want := members[i]
		want.Flags = want.flags()
		if diff := cmp.Diff(want, m); diff != "" {
			t.Error(diff)
		}
		f := std.File[i]
		if f.UncompressedSize64 != m.Size || f.CompressedSize64 != m.CompressedSize {
			t.Errorf("%s: archive/zip reads sizes %d and %d", m.Name, f.UncompressedSize64, f.CompressedSize64)
		}
		data, err := a.DataOffset(&m)
		if err != nil {
			t.Fatal(err)
		}
		if theirs, err := f.DataOffset(); err != nil || theirs != data {
			t.Errorf("%s: archive/zip reads data at %d, not %d, %v", m.Name, theirs, data, err)
		}
		from, to, err := a.RecordSpan(&m)
		want2 := data + int64(m.CompressedSize)
		if m.Descriptor {
			want2 += 24
		}
		if err != nil || from != int64(m.Offset) || to != want2 {
			t.Errorf("%s: span %d to %d, want to %d, %v", m.Name, from, to, want2, err)
		}
	}
	m, err := a.Lookup("small")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := content(a, &m); err != nil || !bytes.Equal(got, small) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestManyMembers crosses the limit of the plain end record.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{65534, 65535, 65536, 70001} {
		header := Member{Name: "0"}
		b := AppendLocal(nil, &header)
		start := len(b)
		for i := range n {
			b = AppendCentral(b, &Member{Name: nameOf(i)})
		}
		b = AppendEnd(b, uint64(n), int64(start), int64(len(b)-start), "")
		std, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil || len(std.File) != n {
			t.Fatalf("%d: archive/zip: %v", n, err)
		}
		a := openBytes(t, b)
		if all := listAll(t, a); len(all) != n {
			t.Errorf("%d members, want %d", len(all), n)
		}
		for _, i := range []int{0, 1, n / 2, n - 1} {
			if m, err := a.Lookup(nameOf(i)); err != nil || m.Name != nameOf(i) {
				t.Errorf("look up %d: %v, %v", i, m.Name, err)
			}
		}
		if _, err := a.Lookup(nameOf(n)); !errors.Is(err, ErrNotFound) {
			t.Errorf("look up of nothing: %v", err)
		}
	}
}
