package zipx

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestReadOwn reads back every form that the writer makes.
func TestReadOwn(t *testing.T) {
	t.Parallel()
	files := withZstd()
	b, written := build(t, files...)
	a := openBytes(t, b)
	all := listAll(t, a)
	if len(all) != len(files) || a.Count() != uint64(len(files)) {
		t.Fatalf("%d members, want %d", len(all), len(files))
	}
	end := int64(0)
	for i, f := range files {
		m := all[i]
		want := written[i]
		want.Flags, want.Dir = want.flags(), strings.HasSuffix(f.name, "/")
		if diff := cmp.Diff(want, m); diff != "" {
			t.Error(diff)
		}
		r, err := a.Open(&m)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r, f.data); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		from, to, err := a.RecordSpan(&m)
		if err != nil || from != end {
			t.Errorf("%s: record begins at %d, want %d, %v", f.name, from, end, err)
		}
		end = to
		if found, err := a.Lookup(f.name); err != nil || found != m {
			t.Errorf("%s: look up: %+v, %v", f.name, found, err)
		}
	}
	if end != a.DirOffset() {
		t.Errorf("records end at %d, directory begins at %d", end, a.DirOffset())
	}
}

// TestRaw reads the stored bytes, and single blocks.
func TestRaw(t *testing.T) {
	t.Parallel()
	b, _ := build(t, withZstd()...)
	a := openBytes(t, b)
	for m, err := range a.Members() {
		if err != nil {
			t.Fatal(err)
		}
		raw, err := a.OpenRaw(&m)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := io.ReadAll(raw)
		if err != nil || uint64(len(packed)) != m.CompressedSize {
			t.Errorf("%s: %d raw bytes, want %d, %v", m.Name, len(packed), m.CompressedSize, err)
		}
		if got := unpack(t, m.Method, packed); crc32.ChecksumIEEE(got) != m.CRC32 {
			t.Errorf("%s: raw bytes are others", m.Name)
		}
		if _, err := a.OpenBlock(&m, m.CompressedSize+1); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: block behind the end: %v", m.Name, err)
		}
	}
	m, err := a.Lookup("uploads/file/big")
	if err != nil {
		t.Fatal(err)
	}
	plain := someText(3, 20000)
	first, err := new(Compressor).Block(nil, plain[:4096], 6)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.OpenBlock(&m, uint64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, plain[4096:]) {
		t.Errorf("second block: %d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// goArchive is an archive made by archive/zip.
func goArchive(t testing.TB, comment string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	add := func(h *zip.FileHeader, data []byte) {
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	add(&zip.FileHeader{Name: "log.json", Method: zip.Deflate}, someText(1, 5000))
	add(&zip.FileHeader{Name: "dir/"}, nil)
	add(&zip.FileHeader{Name: "stored", Method: zip.Store, Modified: someTime}, []byte("stored, with a descriptor"))
	add(&zip.FileHeader{Name: "log.json", Method: zip.Deflate}, []byte("the second of that name"))
	if err := w.SetComment(comment); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGoldenFromGo reads what archive/zip writes, also moved, with a comment that
// looks like an end, and with foreign bytes in front.
func TestGoldenFromGo(t *testing.T) {
	t.Parallel()
	plain := goArchive(t, "")
	trap := goArchive(t, "PK\x05\x06 is no end PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00\x2e\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	junk := []byte("#!/bin/sh\nexec unzip $0\n")
	cases := []struct {
		name string
		b    []byte
		base int64
	}{
		{"as written", plain, 0},
		{"comment", goArchive(t, strings.Repeat("c", 40000)), 0},
		{"comment like an end", trap, 0},
		{"foreign bytes in front", append(junk, plain...), int64(len(junk))},
		{"foreign bytes behind", append(bytes.Clone(plain), junk...), 0},
	}
	for _, c := range cases {
		a, err := Open(bytes.NewReader(c.b), int64(len(c.b)), Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if a.Base() != c.base {
			t.Errorf("%s: base is %d", c.name, a.Base())
		}
		all := listAll(t, a)
		if len(all) != 4 || !all[1].Dir || !all[0].Modified.IsZero() || !all[2].Modified.Equal(someTime) {
			t.Errorf("%s: %+v", c.name, all)
			continue
		}
		for i, want := range [][]byte{someText(1, 5000), {}, []byte("stored, with a descriptor"), []byte("the second of that name")} {
			if got, err := content(a, &all[i]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: member %d: %.20q, %v", c.name, i, got, err)
			}
			if _, _, err := a.RecordSpan(&all[i]); err != nil {
				t.Errorf("%s: member %d: %v", c.name, i, err)
			}
		}
		if m, err := a.Lookup("log.json"); err != nil || m != all[0] {
			t.Errorf("%s: the first of two is not found: %+v, %v", c.name, m, err)
		}
	}
}

// TestOddForms covers forms that only other writers make.
func TestOddForms(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	data := []byte("content")
	m := Member{Name: "odd", Descriptor: true, CRC32: crc32.ChecksumIEEE(data), Size: 7, CompressedSize: 7}
	whole := m
	whole.Descriptor = false
	record := append(AppendLocal(nil, &m), data...)
	narrow := AppendDescriptor(nil, &m)
	wide := le.AppendUint64(le.AppendUint64(bytes.Clone(narrow[:8]), 7), 7)
	zip64Local := AppendLocal(nil, &whole)
	le.PutUint32(zip64Local[18:], max32)
	le.PutUint32(zip64Local[22:], max32)
	le.PutUint16(zip64Local[28:], 20)
	zip64Local = le.AppendUint64(le.AppendUint64(append(zip64Local, 1, 0, 16, 0), 7), 7)
	zip64Central := AppendCentral(nil, &whole)
	le.PutUint32(zip64Central[20:], max32)
	le.PutUint32(zip64Central[24:], max32)
	le.PutUint32(zip64Central[42:], max32)
	le.PutUint16(zip64Central[30:], 28)
	zip64Central = le.AppendUint64(le.AppendUint64(le.AppendUint64(append(zip64Central, 1, 0, 24, 0), 7), 7), 0)
	ntfs := AppendCentral(nil, &m)
	le.PutUint16(ntfs[30:], 36)
	ntfs = append(ntfs, 10, 0, 32, 0, 0, 0, 0, 0, 1, 0, 24, 0)
	ntfs = le.AppendUint64(ntfs, 134000000000000000)
	ntfs = append(ntfs, make([]byte, 16)...)
	broken := AppendCentral(nil, &m)
	le.PutUint16(broken[30:], 6)
	broken = append(broken, 0x55, 0x54, 200, 0, 1, 2)
	filled := append(AppendLocal(nil, &m), data...)
	le.PutUint32(filled[14:], m.CRC32)
	le.PutUint32(filled[18:], 7)
	le.PutUint32(filled[22:], 7)
	sum := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	cases := []struct {
		name         string
		body, dir    []byte
		span         int
		modifiedYear int
	}{
		{"no signature", sum(record, narrow[4:]), AppendCentral(nil, &m), 12, 1},
		{"wide descriptor", sum(record, wide), AppendCentral(nil, &m), 24, 1},
		{"wide, no signature", sum(record, wide[4:]), AppendCentral(nil, &m), 20, 1},
		{"sizes in header too", sum(filled, narrow), AppendCentral(nil, &m), 16, 1},
		{"needless ZIP64", sum(zip64Local, data), zip64Central, 0, 1},
		{"NTFS times", sum(record, narrow), ntfs, 16, 2025},
		{"malformed extra field", sum(record, narrow), broken, 16, 1},
		{"signed directory", sum(record, narrow), append(AppendCentral(nil, &m), "PK\x05\x05\x02\x00xy"...), 16, 1},
		{"zeros before the directory", sum(record, narrow, make([]byte, 100)), AppendCentral(nil, &m), 16, 1},
	}
	for _, c := range cases {
		b := AppendEnd(sum(c.body, c.dir), 1, int64(len(c.body)), int64(len(c.dir)), "")
		a := openBytes(t, b)
		all := listAll(t, a)
		if len(all) != 1 || all[0].Modified.Year() != c.modifiedYear {
			t.Errorf("%s: %+v", c.name, all)
			continue
		}
		if got, err := content(a, &all[0]); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		at, err := a.DataOffset(&all[0])
		if _, to, err2 := a.RecordSpan(&all[0]); err != nil || err2 != nil || to != at+7+int64(c.span) {
			t.Errorf("%s: record ends %d behind the data, want %d, %v, %v", c.name, to-at-7, c.span, err, err2)
		}
	}
}

// TestCountModulo: archives without ZIP64 may have more members than they say.
func TestCountModulo(t *testing.T) {
	t.Parallel()
	const n = 65536 + 5
	b := AppendLocal(nil, &Member{Name: "0"})
	start := len(b)
	for i := range n {
		b = AppendCentral(b, &Member{Name: nameOf(i)})
	}
	b = AppendEnd(b, n&max16, int64(start), int64(len(b)-start), "")
	a := openBytes(t, b)
	if all := listAll(t, a); len(all) != n {
		t.Errorf("%d members", len(all))
	}
	if _, err := a.Lookup(nameOf(n - 1)); err != nil {
		t.Error(err)
	}
}

// TestNotZip: what has no end record.
func TestNotZip(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{nil, []byte("PK"), make([]byte, 22), make([]byte, 200_000), []byte(strings.Repeat("PK\x05\x06", 40_000))} {
		if _, err := Open(bytes.NewReader(b), int64(len(b)), Limits{}); err == nil {
			t.Errorf("%d bytes opened", len(b))
		}
	}
	a := openBytes(t, AppendEnd(nil, 0, 0, 0, "empty"))
	if all := listAll(t, a); len(all) != 0 || a.Comment() != "empty" {
		t.Errorf("%+v, %q", all, a.Comment())
	}
	if _, err := a.Lookup(""); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestCorrupt changes one field and expects a CorruptError that names the member
// and the offset.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	files := []file{
		{name: "first", data: []byte("in front")},
		{name: "victim", data: someText(1, 300), method: Deflate},
		{name: "streamed", data: someText(2, 300), method: Deflate, stream: true, block: 100},
	}
	good, members := build(t, files...)
	a := openBytes(t, good)
	dir, end := int(a.DirOffset()), int(a.EndOffset())
	victim := int(members[1].Offset)
	central := dir + centralLen + len("first")
	data := victim + localLen + len("victim")
	_, to, err := a.RecordSpan(&members[2])
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		at     int
		value  byte
		member string
		offset int
	}{
		{"local signature", victim, 'X', "victim", victim},
		{"local name", victim + localLen, 'V', "victim", victim},
		{"local name length", victim + 26, 5, "victim", victim},
		{"local method", victim + 8, 0, "victim", victim},
		{"local flags", victim + 6, 8, "victim", victim},
		{"local CRC", victim + 14, good[victim+14] ^ 1, "victim", victim},
		{"local size", victim + 22, good[victim+22] ^ 1, "victim", victim},
		{"data", data + 20, good[data+20] ^ 1, "victim", victim},
		{"central name", central + centralLen, 'V', "Victim", victim},
		{"central offset", central + 44, 0xff, "victim", 0},
		{"central offset to another", central + 42, 0, "victim", 0},
		{"central compressed size", central + 22, 9, "victim", victim},
		{"central signature", central, 'X', "", central},
		{"central name length", central + 28, 200, "", central},
		{"descriptor", int(to) - 3, 0x77, "streamed", int(to) - 16},
		{"disk number", end + 4, 1, "", end},
		{"member count", end + 10, 4, "", end},
		{"directory size", end + 12, good[end+12] - 1, "", 0},
		{"directory offset", end + 19, 0x70, "", end},
	}
	for _, c := range cases {
		b := bytes.Clone(good)
		b[c.at] = c.value
		err := readEverything(b)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if name := corrupt.Member; name != c.member && !(c.member == "Victim" && name == "Victim") {
			t.Errorf("%s: names %q: %v", c.name, name, err)
		}
		if c.offset != 0 && corrupt.Offset != int64(c.offset) {
			t.Errorf("%s: offset %d, want %d: %v", c.name, corrupt.Offset, c.offset, err)
		}
	}
}

// readEverything reads all of an archive and returns the first error.
func readEverything(b []byte) error {
	a, err := Open(bytes.NewReader(b), int64(len(b)), Limits{})
	if err != nil {
		return err
	}
	for m, err := range a.Members() {
		if err != nil {
			return err
		}
		if _, err := content(a, &m); err != nil {
			return err
		}
		if _, _, err := a.RecordSpan(&m); err != nil {
			return err
		}
	}
	return nil
}

// TestWrongContent: data that does not agree with the directory.
func TestWrongContent(t *testing.T) {
	t.Parallel()
	plain := someText(1, 400)
	packed, err := inflatable(plain)
	if err != nil {
		t.Fatal(err)
	}
	right := Member{Name: "m", Method: Deflate, CRC32: crc32.ChecksumIEEE(plain), Size: 400, CompressedSize: uint64(len(packed))}
	cases := []struct {
		name   string
		change func(m *Member)
		data   []byte
		reason string
	}{
		{"CRC", func(m *Member) { m.CRC32++ }, packed, "CRC"},
		{"too short", func(m *Member) { m.Size++ }, packed, "data ends after 400 of 401"},
		{"too long", func(m *Member) { m.Size-- }, packed, "goes on"},
		{"empty", func(m *Member) { m.Size, m.CRC32 = 0, 0 }, packed, "goes on"},
		{"bytes behind the stream", func(m *Member) { m.CompressedSize += 3 }, append(bytes.Clone(packed), 1, 2, 3), "compressed data ends"},
		{"cut", func(m *Member) { m.CompressedSize -= 3 }, packed[:len(packed)-3], "cannot be decompressed"},
		{"not Deflate", func(m *Member) { m.CompressedSize = 4 }, []byte("\x07abc"), "cannot be decompressed"},
		{"stored with two sizes", func(m *Member) { m.Method = Store }, packed, "two sizes"},
		{"stored", func(m *Member) { m.Method, m.Size = Store, m.CompressedSize }, packed, "CRC"},
		{"not Zstandard", func(m *Member) { m.Method = Zstd }, packed, "cannot be decompressed"},
	}
	for _, c := range cases {
		m := right
		c.change(&m)
		b := append(AppendLocal(nil, &m), c.data...)
		a := openBytes(t, appendDirectory(b, []Member{m}, ""))
		_, err := content(a, &m)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), c.reason) || corrupt.Member != "m" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func crcOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

func inflatable(plain []byte) ([]byte, error) {
	b, err := new(Compressor).Block(nil, plain, 6)
	return append(b, DeflateEnd()...), err
}

// TestRefused: members that are whole but not readable here.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m    Member
		want error
	}{
		{Member{Name: "data.zip", Method: AES, Flags: FlagEncrypted}, ErrEncrypted},
		{Member{Name: "data.zip", Method: AES}, ErrEncrypted},
		{Member{Name: "zipcrypto", Method: Deflate, Flags: FlagEncrypted}, ErrEncrypted},
		{Member{Name: "lzma", Method: 14}, ErrMethod},
	} {
		a := openBytes(t, appendDirectory(AppendLocal(nil, &c.m), []Member{c.m}, ""))
		all := listAll(t, a)
		if _, err := a.Open(&all[0]); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.m.Name, err)
		}
		if _, err := a.OpenBlock(&all[0], 0); !errors.Is(err, c.want) {
			t.Errorf("%s: block: %v", c.m.Name, err)
		}
		if _, err := a.OpenRaw(&all[0]); err != nil {
			t.Errorf("%s: raw: %v", c.m.Name, err)
		}
	}
}

// TestLimits exceeds each of them.
func TestLimits(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 2<<20)
	b, _ := build(t, file{name: "a long name", data: zeros, method: Deflate}, file{name: "b"})
	for _, c := range []struct {
		limits Limits
		field  string
	}{
		{Limits{MaxMembers: 1}, "MaxMembers"},
		{Limits{MaxName: 10}, "MaxName"},
		{Limits{MaxSize: 1 << 20}, "MaxSize"},
		{Limits{MaxRatio: 500}, "MaxRatio"},
		{Limits{MaxMembers: 2, MaxName: 11, MaxSize: 2 << 20, MaxRatio: 1100}, ""},
	} {
		err := func() error {
			a, err := Open(bytes.NewReader(b), int64(len(b)), c.limits)
			if err != nil {
				return err
			}
			for m, err := range a.Members() {
				if err != nil {
					return err
				}
				if _, err := content(a, &m); err != nil {
					return err
				}
			}
			return nil
		}()
		var limit *LimitError
		switch {
		case c.field == "" && err != nil:
			t.Errorf("within all limits: %v", err)
		case c.field != "" && (!errors.As(err, &limit) || limit.Limit != c.field || !errors.Is(err, ErrLimit)):
			t.Errorf("%s: %v", c.field, err)
		}
	}
}

// TestOverlap: many members over the same bytes are read, unless they stand for
// more than the archive may.
func TestOverlap(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 4<<20)
	for _, c := range []struct {
		copies int
		bomb   bool
	}{{20, false}, {3000, true}} {
		b, members := build(t, file{name: "m", data: zeros, method: Deflate})
		b = b[:bytes.Index(b, []byte("PK\x01\x02"))]
		for range c.copies {
			members = append(members, members[0])
		}
		a := openBytes(t, appendDirectory(b, members, ""))
		n, last := 0, error(nil)
		for _, err := range a.Members() {
			n++
			last = err
		}
		if c.bomb != errors.Is(last, ErrLimit) {
			t.Errorf("%d copies: %d members, %v", c.copies, n, last)
		}
	}
}

// TestHostileCounts: claims do not make the reader allocate.
func TestHostileCounts(t *testing.T) {
	// Not parallel: it measures allocations.
	one := Member{Name: "m"}
	body := AppendLocal(nil, &one)
	dir := AppendCentral(nil, &one)
	plain := bytes.Join([][]byte{body, dir}, nil)
	for _, c := range []struct {
		name         string
		count        uint64
		offset, size int64
	}{
		{"many members", 1 << 40, int64(len(body)), int64(len(dir))},
		{"members up to the limit", 19_999_999, int64(len(body)), int64(len(dir))},
		{"large directory", 1 << 40, 0, 1 << 50},
		{"directory behind the file", 1, 1 << 50, int64(len(dir))},
		{"negative offset", 1, -1, int64(len(dir))},
		{"no directory", 5, int64(len(plain)), 0},
	} {
		b := AppendEnd(bytes.Clone(plain), c.count, c.offset, c.size, "")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := readEverything(b)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", c.name)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes allocated", c.name, used)
		}
	}
}

// TestIndexMemory: the index takes at most 22 bytes a member.
func TestIndexMemory(t *testing.T) {
	t.Parallel()
	for n := uint64(100); n < 20_000_000; n = n*13/10 + 1 {
		if x := float64(n) * 22; n > 1000 && x < float64(slotsFor(n))*8 {
			t.Errorf("%d members take %d bytes", n, slotsFor(n)*8)
		}
	}
}

// slotsFor returns the size of the table without making large ones.
func slotsFor(n uint64) uint64 {
	if n <= 1<<16 {
		return uint64(len(newNameIndex(n).slots))
	}
	return slotsFor(n/2) * 2
}

// TestSameNames: a directory of one name only does not make the index slow.
func TestSameNames(t *testing.T) {
	t.Parallel()
	b := AppendLocal(nil, &Member{Name: "same"})
	members := make([]Member, 60_000)
	for i := range members {
		members[i] = Member{Name: "same", Size: uint64(i)}
	}
	a := openBytes(t, appendDirectory(b, members, ""))
	start := time.Now()
	if m, err := a.Lookup("same"); err != nil || m.Size != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("index took %v", took)
	}
}

// TestConcurrent reads members from many goroutines.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	files := withZstd()
	b, _ := build(t, files...)
	a := openBytes(t, b)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 3 * len(files) {
				f := files[(i+j)%len(files)]
				m, err := a.Lookup(f.name)
				if err != nil {
					t.Error(err)
					continue
				}
				if got, err := content(a, &m); err != nil || !bytes.Equal(got, f.data) {
					t.Errorf("%s: %d bytes, %v", f.name, len(got), err)
				}
			}
		})
	}
	group.Wait()
}

// failing is a file with an error from some offset on.
type failing struct {
	io.ReaderAt
	from int64
	err  error
}

// ReadAt fails for anything that reaches the bad place.
func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestFileErrors: an error of the disk is not taken for damage.
func TestFileErrors(t *testing.T) {
	t.Parallel()
	disk := errors.New("input/output error")
	b, members := build(t, withZstd()...)
	size := int64(len(b))
	if _, err := Open(&failing{bytes.NewReader(b), 100, disk}, size, Limits{}); !errors.Is(err, disk) {
		t.Errorf("open: %v", err)
	}
	var dir []byte
	for i := range members {
		dir = AppendCentral(dir, &members[i])
	}
	for i := range members {
		m := &members[i]
		whole := openBytes(t, b)
		data, err := whole.DataOffset(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []int64{int64(m.Offset) + 3, data + int64(m.CompressedSize)/2} {
			a, err := OpenDirectory(&failing{bytes.NewReader(b), from, disk}, size, dir, uint64(len(members)), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = content(a, m)
			if err == nil && m.CompressedSize < 3 {
				continue
			}
			if !errors.Is(err, disk) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%s from %d: %v", m.Name, from, err)
			}
		}
		for _, err := range Salvage(&failing{bytes.NewReader(b), data, disk}, 0, size, Limits{}) {
			if err != nil && !errors.Is(err, disk) {
				t.Errorf("salvage: %v", err)
			}
		}
	}
	a, err := OpenDirectory(bytes.NewReader(b[:50]), size, dir, uint64(len(members)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := content(a, &members[5]); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("file shorter than told: %v", err)
	}
}

// TestOpenDirectory reads a cut file by a directory in memory.
func TestOpenDirectory(t *testing.T) {
	t.Parallel()
	files := sample()
	b, members := build(t, files...)
	cut := bytes.Index(b, []byte("PK\x01\x02"))
	var dir []byte
	for i := range members {
		dir = AppendCentral(dir, &members[i])
	}
	a, err := OpenDirectory(bytes.NewReader(b[:cut]), int64(cut), dir, uint64(len(members)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range listAll(t, a) {
		if got, err := content(a, &m); err != nil || !bytes.Equal(got, files[i].data) {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	if m, err := a.Lookup(members[3].Name); err != nil || m.Offset != members[3].Offset {
		t.Errorf("%+v, %v", m, err)
	}
	short, err := OpenDirectory(bytes.NewReader(b[:cut]), int64(members[5].Offset)+100, dir, uint64(len(members)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := content(short, &members[5]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("member behind the end: %v", err)
	}
	if _, err := OpenDirectory(nil, 0, dir, 1<<40, Limits{}); !errors.Is(err, ErrLimit) {
		t.Errorf("count: %v", err)
	}
	if _, err := OpenDirectory(nil, 0, dir, 1000, Limits{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("count: %v", err)
	}
}

// TestStopEarly: a consumer may stop an iteration.
func TestStopEarly(t *testing.T) {
	t.Parallel()
	b, _ := build(t, sample()...)
	n := 0
	for range openBytes(t, b).Members() {
		if n++; n == 2 {
			break
		}
	}
	for range Salvage(bytes.NewReader(b), 0, int64(len(b)), Limits{}) {
		if n++; n == 4 {
			break
		}
	}
	if n != 4 {
		t.Errorf("%d members", n)
	}
}
