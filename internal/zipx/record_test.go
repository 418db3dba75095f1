package zipx

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"errors"
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

func nameOf(i int) string {
	return "uploads/file/directory/" + hex.EncodeToString([]byte{byte(i >> 16), byte(i >> 8), byte(i)})
}
