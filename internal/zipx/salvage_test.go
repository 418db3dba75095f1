package zipx

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// salvaged is what a walk gave, with the content of each member.
type salvaged struct {
	found     []Found
	content   [][]byte
	directory int64
	trailing  int64
}

// salvage walks and reads everything, and checks what must hold for any input.
func salvage(t testing.TB, b []byte, from int64) salvaged {
	t.Helper()
	s := NewSalvager(bytes.NewReader(b), from, int64(len(b)), Limits{})
	var out salvaged
	at := from
	for f, err := range s.Members() {
		if err != nil {
			t.Fatalf("walk: %v", err)
		}
		if f.Start != at+f.Skipped || f.Start < at || f.Data < f.Start || f.End < f.Data || f.End > int64(len(b)) {
			t.Fatalf("record at %d after %d: %+v", f.Start, at, f)
		}
		if f.Complete == (f.Reason != "") || f.Complete && f.Cut {
			t.Fatalf("%+v", f)
		}
		at = f.End
		out.found = append(out.found, f)
		out.content = append(out.content, readFound(t, s, &f))
	}
	out.directory, out.trailing = s.Directory(), s.Trailing()
	return out
}

// readFound reads a member that was found.
func readFound(t testing.TB, s *Salvager, f *Found) []byte {
	t.Helper()
	r, err := s.Open(f)
	if err != nil {
		if f.Complete {
			t.Fatalf("open %+v: %v", f, err)
		}
		return nil
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	got, err := io.ReadAll(r)
	if err != nil || uint64(len(got)) != f.Prefix {
		t.Fatalf("read %+v: %d bytes, %v", f, len(got), err)
	}
	return got
}

// TestSalvageWhole walks whole archives, ours and Go's.
func TestSalvageWhole(t *testing.T) {
	t.Parallel()
	files := withZstd()
	b, members := build(t, files...)
	a := openBytes(t, b)
	for _, input := range [][]byte{b, b[:a.DirOffset()], b[:a.DirOffset()+70]} {
		out := salvage(t, input, 0)
		if len(out.found) != len(files) || out.trailing != 0 {
			t.Fatalf("%d members, %d bytes left", len(out.found), out.trailing)
		}
		for i, f := range out.found {
			m := members[i]
			m.Flags, m.Dir = m.flags(), strings.HasSuffix(m.Name, "/")
			if m.Modified.IsZero() != f.Member.Modified.IsZero() || !m.Modified.Equal(f.Member.Modified) {
				t.Errorf("%s: %v", m.Name, f.Member.Modified)
			}
			m.Modified = f.Member.Modified
			if !f.Complete || f.Resynced || f.Skipped != 0 || f.Member != m || !bytes.Equal(out.content[i], files[i].data) {
				t.Errorf("%+v, want %+v", f, m)
			}
			if from, to, err := a.RecordSpan(&m); err != nil || from != f.Start || to != f.End {
				t.Errorf("%s: %d to %d, want %d to %d, %v", m.Name, f.Start, f.End, from, to, err)
			}
		}
		if want := a.DirOffset(); len(input) > int(want) && out.directory != want || len(input) == int(want) && out.directory != -1 {
			t.Errorf("directory at %d, want %d", out.directory, want)
		}
	}
	out := salvage(t, goArchive(t, ""), 0)
	if len(out.found) != 4 || !bytes.Equal(out.content[3], []byte("the second of that name")) {
		t.Errorf("%+v", out.found)
	}
	if out := salvage(t, b, int64(members[4].Offset)); len(out.found) != len(files)-4 || !out.found[0].Complete {
		t.Errorf("from the fifth: %d members", len(out.found))
	}
}

// TestSalvageForms finds records in the forms of other writers.
func TestSalvageForms(t *testing.T) {
	t.Parallel()
	data := []byte(strings.Repeat("PK\x07\x08 in stored data ", 20))
	packed, err := inflatable(data)
	if err != nil {
		t.Fatal(err)
	}
	stored := Member{Name: "s", Descriptor: true, CRC32: crcOf(data), Size: uint64(len(data)), CompressedSize: uint64(len(data))}
	deflated := stored
	deflated.Method, deflated.CompressedSize = Deflate, uint64(len(packed))
	wide := func(m *Member) []byte {
		large := *m
		large.Size += 1 << 40
		d := AppendDescriptor(nil, &large)
		d[21] = 0
		return d
	}
	for name, c := range map[string]struct {
		m          Member
		data, desc []byte
	}{
		"deflate":                 {deflated, packed, AppendDescriptor(nil, &deflated)},
		"deflate, no signature":   {deflated, packed, AppendDescriptor(nil, &deflated)[4:]},
		"deflate, wide":           {deflated, packed, wide(&deflated)},
		"deflate, wide, unsigned": {deflated, packed, wide(&deflated)[4:]},
		"stored":                  {stored, data, AppendDescriptor(nil, &stored)},
		"stored, wide":            {stored, data, wide(&stored)},
	} {
		b := bytes.Join([][]byte{AppendLocal(nil, &c.m), c.data, c.desc}, nil)
		next := Member{Name: "next"}
		b = append(b, AppendLocal(nil, &next)...)
		out := salvage(t, b, 0)
		if len(out.found) != 2 || !out.found[0].Complete || !out.found[1].Complete || out.found[1].Resynced || !bytes.Equal(out.content[0], data) {
			t.Errorf("%s: %+v", name, out.found)
		}
	}
}

// TestSalvageGaps: bytes that belong to nothing, torn records in the middle, and
// zeros where a file was not written back.
func TestSalvageGaps(t *testing.T) {
	t.Parallel()
	one, _ := appendFile(t, nil, file{name: "one", data: someText(1, 3000), method: Deflate, stream: true, block: 700})
	two, _ := appendFile(t, nil, file{name: "two", data: someText(2, 300), method: Deflate})
	zeros := make([]byte, 70_000)
	cases := []struct {
		name  string
		parts [][]byte
		want  string // name and state: + complete, - damaged, ~ cut
	}{
		{"zeros between", [][]byte{one, zeros, two}, "one+ two+"},
		{"zeros in front", [][]byte{zeros, one, two}, "one+ two+"},
		{"torn in the middle", [][]byte{one[:len(one)/2], two, one}, "one- two+ one+"},
		{"torn, then zeros", [][]byte{one[:len(one)/2], zeros}, "one~"},
		{"torn, zeros, more", [][]byte{one[:len(one)/2], zeros, two}, "one~ two+"},
		{"torn header", [][]byte{one[:20], two, one}, "two+ one+"},
		{"torn behind damage", [][]byte{[]byte("damage"), one[:len(one)-40]}, "one~"},
		{"whole torn by more", [][]byte{two[:len(two)-10], one}, "two- one+"},
		{"nothing", [][]byte{zeros}, ""},
		{"signatures only", [][]byte{[]byte(strings.Repeat("PK\x03\x04", 1000))}, ""},
	}
	for _, c := range cases {
		out := salvage(t, bytes.Join(c.parts, nil), 0)
		var got []string
		for _, f := range out.found {
			state := "-"
			if f.Complete {
				state = "+"
			} else if f.Cut {
				state = "~"
			}
			got = append(got, f.Member.Name+state)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q: %+v", c.name, s, c.want, out.found)
		}
	}
}

// TestSalvageEncrypted steps over a member that cannot be read.
func TestSalvageEncrypted(t *testing.T) {
	t.Parallel()
	for _, streamed := range []bool{false, true} {
		m := Member{Name: "data.zip", Method: AES, Flags: FlagEncrypted, Descriptor: streamed, CompressedSize: 3000, Size: 2972}
		b := append(AppendLocal(nil, &m), someNoise(1, 3000)...)
		if streamed {
			b = AppendDescriptor(b, &m)
		}
		b, _ = appendFile(t, b, file{name: "next", data: someText(1, 100)})
		out := salvage(t, b, 0)
		if len(out.found) != 2 || out.found[0].Reason != ErrEncrypted.Error() || !out.found[1].Complete || out.found[1].Resynced {
			t.Errorf("%+v", out.found)
		}
		s := NewSalvager(bytes.NewReader(b), 0, int64(len(b)), Limits{})
		if _, err := s.Open(&out.found[0]); !errors.Is(err, ErrEncrypted) {
			t.Error(err)
		}
		if _, _, err := s.LastBlock(&out.found[0]); !errors.Is(err, ErrEncrypted) {
			t.Error(err)
		}
	}
}

// TestLastBlock makes a whole member of a torn one, at every cut.
func TestLastBlock(t *testing.T) {
	t.Parallel()
	const block = 500
	for _, method := range []uint16{Deflate, Zstd, Store} {
		f := file{name: "torn", data: someText(1, 2200), method: method, stream: true, block: block}
		b, m := appendFile(t, nil, f)
		data := len(AppendLocal(nil, &m))
		for cut := data + 1; cut < data+int(m.CompressedSize); cut++ {
			s := NewSalvager(bytes.NewReader(b[:cut]), 0, int64(cut), Limits{})
			for found, err := range s.Members() {
				if err != nil {
					t.Fatal(err)
				}
				if found.Complete {
					t.Fatalf("method %d, cut at %d: complete", method, cut)
				}
				compressed, plain, err := s.LastBlock(&found)
				if err != nil {
					t.Fatal(err)
				}
				if found.Prefix < plain || found.Prefix-plain > block || method != Store && plain%block != 0 && plain != uint64(len(f.data)) {
					t.Fatalf("method %d, cut at %d: %d bytes in blocks, %d in all", method, cut, plain, found.Prefix)
				}
				whole := bytes.Clone(b[data : data+int(compressed)])
				if method == Deflate {
					whole = append(whole, DeflateEnd()...)
				}
				if got := unpack(t, method, whole); !bytes.Equal(got, f.data[:plain]) {
					t.Fatalf("method %d, cut at %d: content differs", method, cut)
				}
			}
		}
	}
}

// TestSalvageLimits: limits hold where nothing is declared.
func TestSalvageLimits(t *testing.T) {
	t.Parallel()
	b, _ := build(t,
		file{name: "zeros", data: make([]byte, 3<<20), method: Deflate, stream: true, block: 1 << 20},
		file{name: "declared", data: make([]byte, 3<<20), method: Deflate},
		file{name: "a rather long name"},
	)
	collect := func(l Limits) (found []Found, last error) {
		for f, err := range Salvage(bytes.NewReader(b), 0, int64(len(b)), l) {
			if err != nil {
				return found, err
			}
			found = append(found, f)
		}
		return found, nil
	}
	found, err := collect(Limits{MaxSize: 1 << 20})
	if err != nil || len(found) != 3 || found[0].Complete || found[0].Prefix != 1<<20 || found[1].Complete || found[1].Prefix > 1<<20 || !found[2].Complete {
		t.Errorf("MaxSize: %v, %+v", err, found)
	}
	found, err = collect(Limits{MaxRatio: 100})
	if err != nil || len(found) != 3 || found[0].Complete || found[1].Complete || !found[2].Complete {
		t.Errorf("MaxRatio: %v, %+v", err, found)
	}
	if found, err = collect(Limits{MaxMembers: 2}); !errors.Is(err, ErrLimit) || len(found) != 2 {
		t.Errorf("MaxMembers: %v, %+v", err, found)
	}
	if found, err = collect(Limits{MaxName: 10}); err != nil || len(found) != 2 {
		t.Errorf("MaxName: %v, %+v", err, found)
	}
}

// TestSalvagedDirectory makes an archive of what was salvaged that others open.
func TestSalvagedDirectory(t *testing.T) {
	t.Parallel()
	files := sample()
	b, _ := build(t, files...)
	cut := bytes.Index(b, []byte("PK\x01\x02"))
	var members []Member
	for f, err := range Salvage(bytes.NewReader(b), 0, int64(cut), Limits{}) {
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, f.Member)
	}
	again := appendDirectory(bytes.Clone(b[:cut]), members, "")
	if !bytes.Equal(again, b) {
		t.Error("the directory is not that of the writer")
	}
	if _, err := zip.NewReader(bytes.NewReader(again), int64(len(again))); err != nil {
		t.Error(err)
	}
}
