package zipx

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
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

// nested is an archive in an archive, stored as it is: its records must not be
// taken for those of the outer one.
func nested(t testing.TB, stream bool) ([]file, []byte) {
	t.Helper()
	inner, _ := build(t, file{name: "inner/one", data: someText(8, 500), method: Deflate}, file{name: "inner/two", data: someNoise(9, 100)})
	files := []file{
		{name: "before", data: someText(1, 400), method: Deflate},
		{name: "inner.zip", data: append(someNoise(3, 5000), inner...), method: Deflate, stream: stream, block: 8000},
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
	const size = 2 << 20
	repeat := func(b []byte) []byte { return bytes.Repeat(b, size/len(b)) }
	stored := AppendLocal(nil, &Member{Name: "s", Descriptor: true})
	deflated := append(AppendLocal(nil, &Member{Name: "d", Descriptor: true, Method: Deflate}), 0, 10, 0, 0xf5, 0xff)
	long := AppendLocal(nil, &Member{Name: strings.Repeat("n", 60_000)})[:localLen]
	claims := AppendLocal(nil, &Member{Name: "c", Method: Deflate, CompressedSize: size, Size: size})
	zeros, err := new(Compressor).Block(nil, make([]byte, 20<<20), 9)
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
		start := time.Now()
		n := 0
		for f, err := range Salvage(r, 0, int64(len(b)), Limits{}) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n++; f.Complete {
				t.Errorf("%s: complete: %+v", name, f)
			}
		}
		if r.bytes > 400*size {
			t.Errorf("%s: read %d bytes of %d", name, r.bytes, len(b))
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		t.Logf("%s: %d found, %d times the file read, %v", name, n, r.bytes/int64(len(b)), time.Since(start))
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
