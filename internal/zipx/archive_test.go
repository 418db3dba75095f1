package zipx

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

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

// oddForm is an archive of one member in a form that only other writers make.
type oddForm struct {
	name         string
	body, dir    []byte
	span         int // bytes behind the data
	modifiedYear int
}

// oddForms returns archives of the member "odd" with data.
func oddForms(data []byte) []oddForm {
	le := binary.LittleEndian
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
	return []oddForm{
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
}

// TestOddForms reads them.
func TestOddForms(t *testing.T) {
	t.Parallel()
	data := []byte("content")
	for _, c := range oddForms(data) {
		b := AppendEnd(bytes.Join([][]byte{c.body, c.dir}, nil), 1, int64(len(c.body)), int64(len(c.dir)), "")
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
