package zipx

import (
	"bytes"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain proves that no goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is a member to be built.
type file struct {
	name   string
	data   []byte
	method uint16
	stream bool // in blocks, with a descriptor
	block  int
	mod    time.Time
}

// build makes an archive of files with this package's own functions.
func build(t testing.TB, files ...file) ([]byte, []Member) {
	t.Helper()
	var out []byte
	var members []Member
	for _, f := range files {
		var m Member
		out, m = appendFile(t, out, f)
		members = append(members, m)
	}
	return appendDirectory(out, members, ""), members
}

// appendFile appends the record of one file.
func appendFile(t testing.TB, out []byte, f file) ([]byte, Member) {
	t.Helper()
	m := Member{
		Name: f.name, Method: f.method, Offset: uint64(len(out)), Modified: f.mod, Descriptor: f.stream,
		CRC32: crc32.ChecksumIEEE(f.data), Size: uint64(len(f.data)),
	}
	if !f.stream {
		var data []byte
		var err error
		switch f.method {
		case Deflate:
			data, m.Method, err = CompressWhole(nil, f.data, 6)
		case Zstd:
			data, err = new(Compressor).Frame(nil, f.data, 3)
		default:
			data = f.data
		}
		if err != nil {
			t.Fatal(err)
		}
		m.CompressedSize = uint64(len(data))
		return append(AppendLocal(out, &m), data...), m
	}
	out = AppendLocal(out, &m)
	w, err := NewStreamWriter(new(Compressor), func(p []byte) error { out = append(out, p...); return nil },
		StreamOptions{Method: f.method, Level: 6, Block: f.block})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(f.data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Fill(&m)
	return AppendDescriptor(out, &m), m
}

// appendDirectory ends an archive.
func appendDirectory(out []byte, members []Member, comment string) []byte {
	start := len(out)
	for i := range members {
		out = AppendCentral(out, &members[i])
	}
	return AppendEnd(out, uint64(len(members)), int64(start), int64(len(out)-start), comment)
}

// someText returns n bytes that compress well, the same for the same seed.
func someText(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := []string{"host", "process", "explorer.exe", "0x7ff6", "timestamp", "2026-11-22", "\n", " ", "path", "svchost"}
	var b []byte
	for len(b) < n {
		b = append(b, words[r.IntN(len(words))]...)
		b = append(b, byte('a'+r.IntN(26)))
	}
	return b[:n]
}

// someNoise returns n bytes that do not compress.
func someNoise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

var someTime = time.Date(2026, 11, 22, 12, 34, 56, 0, time.UTC)

// sample is an archive with every form of member that a writer makes.
func sample() []file {
	return []file{
		{name: "satchel.json", data: []byte(`{"format":1}` + "\n"), mod: someTime},
		{name: "uploads/file/etc/passwd", data: someText(1, 3000), method: Deflate, mod: someTime},
		{name: "uploads/file/empty", method: Deflate, mod: time.Time{}},
		{name: "uploads/file/dir/", mod: someTime},
		{name: "uploads/file/noise", data: someNoise(2, 500), method: Deflate, mod: someTime},
		{name: "uploads/file/big", data: someText(3, 20000), method: Deflate, stream: true, block: 4096, mod: someTime},
		{name: "uploads/file/empty-stream", method: Deflate, stream: true, mod: someTime},
		{name: "uploads/file/stored", data: someText(4, 700), method: Store, stream: true, mod: someTime},
		{name: "uploads/file/naïve 文件 😀", data: []byte("unicode\n"), method: Deflate, mod: someTime},
		{name: "results/Linux.Sys%2FUsers.json", data: someText(5, 900), method: Deflate, stream: true, block: 256, mod: time.Unix(1, 0)},
	}
}

// withZstd adds members that only some readers know.
func withZstd() []file {
	return append(sample(),
		file{name: "uploads/file/z-whole", data: someText(6, 4000), method: Zstd, mod: someTime},
		file{name: "uploads/file/z-stream", data: someText(7, 9000), method: Zstd, stream: true, block: 2048, mod: someTime},
		file{name: "uploads/file/z-empty", method: Zstd, stream: true},
	)
}

// openBytes opens an archive in memory.
func openBytes(t testing.TB, b []byte) *Archive {
	t.Helper()
	a, err := Open(bytes.NewReader(b), int64(len(b)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// listAll returns all members.
func listAll(t testing.TB, a *Archive) []Member {
	t.Helper()
	var all []Member
	for m, err := range a.Members() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// content reads a member whole.
func content(a *Archive, m *Member) ([]byte, error) {
	r, err := a.Open(m)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	if e := r.Close(); err == nil {
		err = e
	}
	return b, err
}
