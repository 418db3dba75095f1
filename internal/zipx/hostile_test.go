package zipx

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"
)

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
		switch {
		case !errors.As(err, &corrupt) || !errors.Is(err, ErrCorrupt):
			t.Errorf("%s: %v", c.name, err)
		case corrupt.Member != c.member:
			t.Errorf("%s: names %q: %v", c.name, corrupt.Member, err)
		case c.offset != 0 && corrupt.Offset != int64(c.offset):
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
	b = appendDirectory(b, members, "")
	r := &counting{ReaderAt: bytes.NewReader(b)}
	a, err := Open(r, int64(len(b)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := a.Lookup("same"); err != nil || m.Size != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if r.bytes > 10*int64(len(b)) {
		t.Errorf("%d bytes read of %d", r.bytes, len(b))
	}
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
