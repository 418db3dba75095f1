package zipx

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	kzip "github.com/klauspost/compress/zip"
	"pgregory.net/rapid"
)

// TestGolden fixes the bytes of each record.
func TestGolden(t *testing.T) {
	t.Parallel()
	m := Member{
		Name: "a.txt", Method: Deflate, CRC32: 0x11223344, CompressedSize: 5, Size: 9, Offset: 7,
		Modified: time.Date(2026, 11, 22, 12, 34, 57, 999, time.FixedZone("", 3600)),
	}
	streamed := m
	streamed.Descriptor, streamed.Name, streamed.Modified = true, "ü", time.Time{}
	large := m
	large.Size, large.CompressedSize, large.Offset = 1<<32, 2, 1<<33
	largeStreamed := large
	largeStreamed.Descriptor = true
	cases := []struct {
		name, want string
		got        []byte
	}{
		{"local", "504b0304 1400 0000 0800 5c5c 765d 44332211 05000000 09000000 0500 0900 612e747874 5554 0500 0161d3026b", AppendLocal(nil, &m)},
		{"central", "504b0102 2d00 1400 0000 0800 5c5c 765d 44332211 05000000 09000000 0500 0900 0000 0000 0000 00000000 07000000 612e747874 5554 0500 0161d3026b", AppendCentral(nil, &m)},
		{"local, streamed", "504b0304 1400 0808 0800 0000 0000 00000000 00000000 00000000 0200 0000 c3bc", AppendLocal(nil, &streamed)},
		{"central, streamed", "504b0102 2d00 1400 0808 0800 0000 0000 44332211 05000000 09000000 0200 0000 0000 0000 0000 00000000 07000000 c3bc", AppendCentral(nil, &streamed)},
		{"descriptor", "504b0708 44332211 05000000 09000000", AppendDescriptor(nil, &m)},
		{"local, large", "504b0304 2d00 0000 0800 5c5c 765d 44332211 ffffffff ffffffff 0500 1d00 612e747874 0100 1000 0000000001000000 0200000000000000 5554 0500 0161d3026b", AppendLocal(nil, &large)},
		{"central, large", "504b0102 2d00 2d00 0000 0800 5c5c 765d 44332211 02000000 ffffffff 0500 1d00 0000 0000 0000 00000000 ffffffff 612e747874 0100 1000 0000000001000000 0000000002000000 5554 0500 0161d3026b", AppendCentral(nil, &large)},
		{"local, large and streamed", "504b0304 1400 0800 0800 5c5c 765d 00000000 00000000 00000000 0500 0900 612e747874 5554 0500 0161d3026b", AppendLocal(nil, &largeStreamed)},
		{"descriptor, large", "504b0708 44332211 0200000000000000 0000000001000000", AppendDescriptor(nil, &large)},
		{"end", "504b0506 0000 0000 0200 0200 30000000 40000000 0300 686579", AppendEnd(nil, 2, 0x40, 0x30, "hey")},
		{
			"end, large", "504b0606 2c00000000000000 2d00 2d00 00000000 00000000 ffff000000000000 ffff000000000000 3000000000000000 4000000000000000" +
				"504b0607 00000000 7000000000000000 01000000 504b0506 0000 0000 ffff ffff 30000000 40000000 0000",
			AppendEnd(nil, 65535, 0x40, 0x30, ""),
		},
	}
	for _, c := range cases {
		if diff := cmp.Diff(strings.ReplaceAll(c.want, " ", ""), hex.EncodeToString(c.got)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// TestAppendKeepsPrefix proves that records are appended.
func TestAppendKeepsPrefix(t *testing.T) {
	t.Parallel()
	m := Member{Name: "x/", Modified: someTime, Size: 1 << 40}
	for i, f := range []func([]byte) []byte{
		func(b []byte) []byte { return AppendLocal(b, &m) },
		func(b []byte) []byte { return AppendCentral(b, &m) },
		func(b []byte) []byte { return AppendDescriptor(b, &m) },
		func(b []byte) []byte { return AppendEnd(b, 1<<20, 1<<40, 1<<20, "c") },
	} {
		if got, want := f([]byte("before")), append([]byte("before"), f(nil)...); !bytes.Equal(got, want) {
			t.Errorf("%d: %x, want %x", i, got, want)
		}
	}
}

// TestGoReaders reads every form of member with two independent readers.
func TestGoReaders(t *testing.T) {
	t.Parallel()
	files := sample()
	b, members := build(t, files...)
	std, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	other, err := kzip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if len(std.File) != len(files) || len(other.File) != len(files) {
		t.Fatalf("%d and %d members, want %d", len(std.File), len(other.File), len(files))
	}
	for i, f := range files {
		if h := std.File[i].FileHeader; h.Name != f.name || h.CRC32 != members[i].CRC32 || h.NonUTF8 || h.CreatorVersion != 45 {
			t.Errorf("%s: header %+v", f.name, h)
		}
		if got := std.File[i].Modified; !f.mod.IsZero() && !got.Equal(f.mod) {
			t.Errorf("%s: modified %v, want %v", f.name, got, f.mod)
		}
		for _, open := range []func() (io.ReadCloser, error){std.File[i].Open, other.File[i].Open} {
			r, err := open()
			if err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, f.data) {
				t.Errorf("%s: %d bytes, want %d, %v", f.name, len(got), len(f.data), err)
			}
		}
	}
}

// TestTools lets the tools on this machine test an archive.
func TestTools(t *testing.T) {
	t.Parallel()
	b, _ := build(t, sample()...)
	many := make([]Member, 66000)
	for i := range many {
		many[i] = Member{Name: "d/"}
	}
	wide := AppendLocal(nil, &many[0])
	wide = appendDirectory(wide, many, "")
	dir := t.TempDir()
	for name, data := range map[string][]byte{"plain.zip": b, "zip64.zip": wide} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		script := "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); b=z.testzip(); print(len(z.infolist())); sys.exit(b)"
		tools := [][]string{{"python3", "-c", script, path}, {"7z", "t", path}, {"bsdtar", "-tf", path}}
		if name == "plain.zip" { // unzip takes members of one name for a bomb
			tools = append(tools, []string{"unzip", "-tq", path}, []string{"zip", "-T", path})
		}
		for _, tool := range tools {
			if _, err := exec.LookPath(tool[0]); err != nil {
				continue
			}
			if out, err := exec.Command(tool[0], tool[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%s %s: %v\n%.2000s", tool[0], name, err, out)
			}
		}
	}
}

// TestDirectoryIsReproducible rebuilds the directory and the local headers from
// the members that a reader returns.
func TestDirectoryIsReproducible(t *testing.T) {
	t.Parallel()
	b, written := build(t, withZstd()...)
	a := openBytes(t, b)
	var rebuilt []byte
	for i, m := range listAll(t, a) {
		rebuilt = AppendCentral(rebuilt, &m)
		header := AppendLocal(nil, &m)
		if at := int(m.Offset); !bytes.Equal(header, b[at:at+len(header)]) {
			t.Errorf("%s: local header differs", m.Name)
		}
		if data, err := a.DataOffset(&m); err != nil || data != int64(m.Offset)+int64(len(header)) {
			t.Errorf("%s: data at %d, %v", m.Name, data, err)
		}
		again := AppendCentral(nil, &written[i])
		if !bytes.HasSuffix(rebuilt, again) {
			t.Errorf("%s: record of what was written differs", m.Name)
		}
	}
	if got := b[a.DirOffset() : a.DirOffset()+a.DirSize()]; !bytes.Equal(got, rebuilt) {
		t.Error("directory differs")
	}
	end := AppendEnd(nil, a.Count(), a.DirOffset(), a.DirSize(), a.Comment())
	if got := b[a.EndOffset() : a.EndOffset()+a.EndSize()]; !bytes.Equal(got, end) {
		t.Error("end records differ")
	}
	if a.EndOffset()+a.EndSize() != int64(len(b)) {
		t.Error("bytes behind the end")
	}
}

// drawMember makes a member with any values.
func drawMember(t *rapid.T) Member {
	size := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(max32-2, max32+2), rapid.Uint64Range(0, 100))
	m := Member{
		Name:           rapid.StringN(1, 50, 300).Draw(t, "name"),
		Method:         rapid.SampledFrom([]uint16{Store, Deflate, Zstd, AES}).Draw(t, "method"),
		CRC32:          rapid.Uint32().Draw(t, "crc"),
		CompressedSize: size.Draw(t, "compressed"),
		Size:           size.Draw(t, "size"),
		Offset:         size.Draw(t, "offset"),
		Descriptor:     rapid.Bool().Draw(t, "descriptor"),
	}
	if rapid.Bool().Draw(t, "timed") {
		m.Modified = time.Unix(rapid.Int64Range(-1<<34, 1<<34).Draw(t, "unix"), rapid.Int64Range(0, 1e9).Draw(t, "nanoseconds"))
	}
	return m
}

// TestRecordProperty: what is written is read, and written again the same.
func TestRecordProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMember(t)
		b := AppendCentral(nil, &m)
		if n := centralSize(b); n != len(b) {
			t.Fatalf("record of %d bytes says %d", len(b), n)
		}
		c, reason := parseCentral(b)
		if reason != "" {
			t.Fatal(reason)
		}
		got := c.m
		got.Name = string(c.name)
		if again := AppendCentral(nil, &got); !bytes.Equal(again, b) {
			t.Fatalf("rebuilt %x, was %x", again, b)
		}
		want := m
		want.Flags, want.Dir = m.flags(), strings.HasSuffix(m.Name, "/")
		want.Modified = time.Time{}
		if u := m.Modified.Unix(); !m.Modified.IsZero() && u >= 0 && u <= max32 {
			want.Modified = time.Unix(u, 0).UTC()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		d := AppendDescriptor(nil, &m)
		if n := descriptorLen(append(d, "following bytes"...), &m); n != len(d) {
			t.Fatalf("descriptor of %d bytes found as %d", len(d), n)
		}
		l := AppendLocal(nil, &m)
		h := parseLocal(l)
		h.addExtra(l[localLen+h.nameLen:])
		if reason := h.differs(&got); reason != "" || localLen+h.nameLen+h.extraLen != len(l) {
			t.Fatalf("local header: %s", reason)
		}
	})
}

// TestTimes covers the borders of what can be stored.
func TestTimes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		in, extended, dos time.Time
	}{
		{time.Time{}, time.Time{}, time.Time{}},
		{time.Unix(-1, 0), time.Time{}, time.Time{}},
		{time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Unix(0, 0), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(2026, 2, 28, 23, 59, 59, 5, time.UTC), time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC), time.Date(2026, 2, 28, 23, 59, 58, 0, time.UTC)},
		{time.Unix(max32, 0), time.Unix(max32, 0), time.Date(2106, 2, 7, 6, 28, 14, 0, time.UTC)},
		{time.Unix(max32+1, 0), time.Time{}, time.Time{}},
	}
	for _, c := range cases {
		x := parseExtra(appendModified(nil, c.in))
		if !x.unix.Equal(c.extended) {
			t.Errorf("%v: extended %v, want %v", c.in, x.unix, c.extended)
		}
		if got := fromDOS(dosTime(c.in)); !got.Equal(c.dos) {
			t.Errorf("%v: DOS %v, want %v", c.in, got, c.dos)
		}
	}
	if got := fromDOS(0xffff, 0xffff); !got.IsZero() {
		t.Errorf("impossible DOS time is %v", got)
	}
	if got := fromFiletime(0); !got.IsZero() {
		t.Errorf("FILETIME 0 is %v", got)
	}
	if got, want := fromFiletime(116444736000000010), time.Unix(0, 1000); !got.Equal(want) {
		t.Errorf("FILETIME is %v, want %v", got, want)
	}
}

// TestLongNames: what does not fit is cut, so that the archive stays readable.
func TestLongNames(t *testing.T) {
	t.Parallel()
	m := Member{Name: strings.Repeat("n", MaxName+10), Modified: someTime}
	b := appendDirectory(AppendLocal(nil, &m), []Member{m}, strings.Repeat("c", 70000))
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil || len(r.File) != 1 || len(r.File[0].Name) != MaxName || len(r.Comment) != max16 {
		t.Fatalf("%v", err)
	}
	a := openBytes(t, b)
	all := listAll(t, a)
	if got, err := content(a, &all[0]); err != nil || len(got) != 0 {
		t.Error(err)
	}
	if _, err := Open(bytes.NewReader(b[:len(b)-1]), int64(len(b)-1), Limits{}); !errors.Is(err, ErrNotZip) {
		t.Errorf("cut comment: %v", err)
	}
}

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

// TestZIP64 puts members past 4 GiB, and members longer than that, into a file
// that is mostly a hole.
func TestZIP64(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	small := []byte("a small member behind 4 GiB")
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
	r := &sparse{size: at + int64(len(tail)), parts: parts}

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

func nameOf(i int) string {
	return "uploads/file/directory/" + hex.EncodeToString([]byte{byte(i >> 16), byte(i >> 8), byte(i)})
}
