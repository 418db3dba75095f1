package entry

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"satchel/internal/flow"
)

func drawTime(t *rapid.T, name string) time.Time {
	if rapid.Bool().Draw(t, name+" known") {
		return time.Time{}
	}
	return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns")).UTC()
}

func drawString(t *rapid.T, name string) string {
	return string(rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, name))
}

func drawHash(t *rapid.T, name string) (h [32]byte) {
	copy(h[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
	return h
}

func drawSize(t *rapid.T, name string) int64 { return rapid.Int64Range(0, 1<<63-1).Draw(t, name) }

func drawMember(t *rapid.T) Member {
	return Member{
		UploadID: rapid.Uint64().Draw(t, "id"), Name: drawString(t, "name"), Method: rapid.Uint16().Draw(t, "method"), Flags: rapid.Uint16().Draw(t, "flags"),
		CRC32: rapid.Uint32().Draw(t, "crc"), Stored: drawSize(t, "stored"), Size: drawSize(t, "size"), Offset: drawSize(t, "offset"), Length: drawSize(t, "length"),
		Modified: drawTime(t, "modified"), Descriptor: rapid.Bool().Draw(t, "descriptor"), RawSHA256: drawHash(t, "raw"), SHA256: drawHash(t, "sha"),
	}
}

func drawUpload(t *rapid.T) Upload {
	u := Upload{
		ID: rapid.Uint64().Draw(t, "id"), Member: drawString(t, "member"), Parts: rapid.IntRange(0, MaxParts).Draw(t, "parts"), StoredSize: drawSize(t, "stored"),
		SHA256: drawHash(t, "sha"), MD5: optional(rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "md5")), SHA1: optional(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "sha1")),
		Started: drawTime(t, "started"), Ended: drawTime(t, "ended"), Complete: rapid.Bool().Draw(t, "complete"), Error: drawString(t, "error"),
	}
	u.Upload = flow.Upload{
		Source: drawString(t, "source"), Accessor: drawString(t, "accessor"), Path: drawString(t, "path"), Size: rapid.Int64().Draw(t, "logical"),
		Modified: drawTime(t, "m"), Accessed: drawTime(t, "a"), Changed: drawTime(t, "c"), Born: drawTime(t, "b"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "components") {
		u.Upload.Components = append(u.Upload.Components, drawString(t, "component"))
	}
	for range rapid.IntRange(0, 4).Draw(t, "ranges") {
		u.Upload.Ranges = append(u.Upload.Ranges, flow.Range{Offset: drawSize(t, "offset"), Length: drawSize(t, "length"), Sparse: rapid.Bool().Draw(t, "sparse")})
	}
	return u
}

func optional(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMember(t)
		gotM, err := DecodeMember(AppendMember(nil, &m))
		if err != nil || gotM != m {
			t.Fatalf("member: %v, %s", err, cmp.Diff(m, gotM))
		}
		u := drawUpload(t)
		gotU, err := DecodeUpload(AppendUpload(nil, &u))
		if d := cmp.Diff(u, gotU); err != nil || d != "" {
			t.Fatalf("upload: %v, %s", err, d)
		}
		p := Progress{Upload: u}
		if rapid.Bool().Draw(t, "has member") {
			p.Member = &m
		}
		gotP, err := DecodeProgress(AppendProgress(nil, &p))
		if d := cmp.Diff(p, gotP); err != nil || d != "" {
			t.Fatalf("progress: %v, %s", err, d)
		}
		c := Chunk{UploadID: m.UploadID, Offset: m.Offset, Data: []byte(u.Member)}
		gotC, err := DecodeChunk(AppendChunk(nil, c))
		if err != nil || gotC.UploadID != c.UploadID || gotC.Offset != c.Offset || !bytes.Equal(gotC.Data, c.Data) {
			t.Fatalf("chunk: %v, %+v", err, gotC)
		}
	})
}

func TestCutRecordsAreMalformed(t *testing.T) {
	t.Parallel()
	m := Member{UploadID: 300, Name: "uploads/file/x", Stored: 1 << 40, Modified: time.Unix(5, 6)}
	u := Upload{ID: 1, Upload: flow.Upload{Path: "/x", Components: []string{"x"}, Ranges: []flow.Range{{Length: 5}}}, Member: "m", MD5: []byte{1}}
	for _, tt := range []struct {
		name   string
		body   []byte
		decode func([]byte) error
	}{
		{"member", AppendMember(nil, &m), func(b []byte) error { _, err := DecodeMember(b); return err }},
		{"upload", AppendUpload(nil, &u), func(b []byte) error { _, err := DecodeUpload(b); return err }},
		{"progress", AppendProgress(nil, &Progress{Upload: u, Member: &m}), func(b []byte) error { _, err := DecodeProgress(b); return err }},
	} {
		for n := range len(tt.body) {
			if err := tt.decode(tt.body[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut at %d: %v", tt.name, n, err)
			}
		}
		if err := tt.decode(append(bytes.Clone(tt.body), "fields of a later version"...)); err != nil {
			t.Errorf("%s with more fields: %v", tt.name, err)
		}
	}
}

func TestHostileLengths(t *testing.T) {
	t.Parallel()
	huge := bytes.Repeat([]byte{0xff}, 9)
	for _, body := range [][]byte{
		append(append([]byte{0}, huge...), 1),        // name longer than anything
		append([]byte{0, 1, 'x', 0, 0, 0}, huge...),  // size that does not end
		append([]byte{1, 0, 0, 0}, 0xff, 0xff, 0x7f), // count of components
		{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0x03, 1, 1, 1},
	} {
		if _, err := DecodeMember(body); err == nil {
			t.Errorf("member %x is taken", body)
		}
		if _, err := DecodeUpload(body); err == nil {
			t.Errorf("upload %x is taken", body)
		}
	}
}

// The example of docs/format/entry.md in bytes: what is on disk stays readable.
func TestMemberOnDisk(t *testing.T) {
	t.Parallel()
	m := Member{UploadID: 1, Name: "uploads/file/a", Method: 8, Flags: 8, CRC32: 0xdeadbeef, Stored: 5, Size: 3, Offset: 300, Length: 80, Modified: time.Unix(1700000000, 7).UTC(), Descriptor: true}
	m.RawSHA256[0], m.SHA256[31] = 1, 2
	const want = "010e75706c6f6164732f66696c652f610808effdb6f50d0503ac02500180c49fd50c070101" +
		"00000000000000000000000000000000000000000000000000000000000000" +
		"0000000000000000000000000000000000000000000000000000000000000002"
	if got := hex.EncodeToString(AppendMember(nil, &m)); got != want {
		t.Errorf("a member is\n%s, was\n%s", got, want)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	enc, err := NewRowsEncoder()
	if err != nil {
		t.Fatal(err)
	}
	dec, err := NewRowsDecoder()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching(`\{"[a-z]{0,9}":"[a-zé ]{0,40}"\}`), 0, 50).Draw(t, "rows")
		b := flow.RowBatch{Rows: len(lines), First: drawTime(t, "first"), Last: drawTime(t, "last")}
		for _, l := range lines {
			b.JSONL = append(b.JSONL, l+"\n"...)
		}
		body, err := enc.Append(nil, "A/B", b)
		if err != nil {
			t.Fatal(err)
		}
		r, err := DecodeRows(body)
		if err != nil || r.Source != "A/B" || r.Rows != int64(b.Rows) || !r.First.Equal(b.First) || !r.Last.Equal(b.Last) {
			t.Fatalf("%+v, %v", r, err)
		}
		got, err := dec.JSONL([]byte("before"), r)
		if err != nil || string(got) != "before"+string(b.JSONL) {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

func TestRowsThatLie(t *testing.T) {
	t.Parallel()
	enc, err := NewRowsEncoder()
	if err != nil {
		t.Fatal(err)
	}
	dec, err := NewRowsDecoder()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enc.Append(nil, "A", flow.RowBatch{JSONL: []byte(`{}`), Rows: 1}); err == nil {
		t.Error("a batch without its last newline is taken")
	}
	if _, err := enc.Append(nil, "A", flow.RowBatch{JSONL: make([]byte, MaxRowsBytes+1)}); err == nil {
		t.Error("a batch over the limit is taken")
	}
	bomb := enc.enc.EncodeAll(bytes.Repeat([]byte("{}\n"), 8<<20), nil)
	good := enc.enc.EncodeAll([]byte("{}\n{}\n"), nil)
	for _, tt := range []struct {
		name string
		rows Rows
	}{
		{"bomb", Rows{Rows: 2, Size: 6, Zstd: bomb}},
		{"fewer rows", Rows{Rows: 3, Size: 6, Zstd: good}},
		{"another size", Rows{Rows: 2, Size: 7, Zstd: good}},
		{"no frame", Rows{Rows: 2, Size: 6, Zstd: []byte("no zstd")}},
	} {
		if out, err := dec.JSONL(nil, tt.rows); !errors.Is(err, ErrMalformed) || len(out) > 0 {
			t.Errorf("%s: %d bytes, %v", tt.name, len(out), err)
		}
	}
}

func TestSplitRows(t *testing.T) {
	t.Parallel()
	row := `{"A":"` + strings.Repeat("x", 1<<20) + `"}` + "\n"
	b := flow.RowBatch{JSONL: []byte(strings.Repeat(row, 30)), Rows: 30}
	var got []byte
	rows, pieces := 0, 0
	err := SplitRows(b, func(p flow.RowBatch) error {
		pieces++
		rows += p.Rows
		got = append(got, p.JSONL...)
		if len(p.JSONL) > MaxRowsBytes {
			return fmt.Errorf("a piece has %d bytes", len(p.JSONL))
		}
		return nil
	})
	if err != nil || rows != 30 || pieces < 3 || !bytes.Equal(got, b.JSONL) {
		t.Errorf("%d rows in %d pieces, %v", rows, pieces, err)
	}
	if SplitRows(flow.RowBatch{JSONL: make([]byte, MaxRowsBytes+1), Rows: 1}, func(flow.RowBatch) error { return nil }) == nil {
		t.Error("a row over the limit is taken")
	}
}

func TestLogsAndReports(t *testing.T) {
	t.Parallel()
	l := flow.LogLine{Time: time.Unix(3, 4).UTC(), Level: flow.LevelAlert, Source: "A/B", Message: "x\ny"}
	b, err := AppendLog(nil, l)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeLog(b); err != nil || got != l {
		t.Errorf("%+v, %v", got, err)
	}
	r := flow.Report{Time: l.Time, Source: "A", Target: "/x", Outcome: flow.Denied, Detail: "no", Rows: 1, Uploads: 2, Bytes: 3, Logs: 4, Started: l.Time, Duration: time.Second}
	if b, err = AppendReport(nil, r); err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeReport(b); err != nil || got != r {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "[]", `{"t":5}`} {
		if _, err := DecodeLog([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("log %q: %v", bad, err)
		}
	}
	if _, err := DecodeReport([]byte("x")); !errors.Is(err, ErrMalformed) {
		t.Errorf("report: %v", err)
	}
}

// FuzzDecode gives every decoder any bytes: what is taken must come back the
// same when it is encoded again.
func FuzzDecode(f *testing.F) {
	m := Member{UploadID: 3, Name: "n", Size: 4}
	u := Upload{ID: 1, Upload: flow.Upload{Path: "/x", Components: []string{"x"}, Ranges: []flow.Range{{Length: 5}}}}
	f.Add(AppendMember(nil, &m))
	f.Add(AppendUpload(nil, &u))
	f.Add(AppendProgress(nil, &Progress{Upload: u, Member: &m}))
	f.Add(AppendChunk(nil, Chunk{UploadID: 1, Offset: 2, Data: []byte("x")}))
	enc, err := NewRowsEncoder()
	if err != nil {
		f.Fatal(err)
	}
	rows, err := enc.Append(nil, "A", flow.RowBatch{JSONL: []byte("{}\n"), Rows: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rows)
	dec, err := NewRowsDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if m, err := DecodeMember(body); err == nil {
			if again, err := DecodeMember(AppendMember(nil, &m)); err != nil || again != m {
				t.Errorf("member %+v comes back as %+v, %v", m, again, err)
			}
		}
		if p, err := DecodeProgress(body); err == nil {
			if again, err := DecodeProgress(AppendProgress(nil, &p)); err != nil || cmp.Diff(p, again) != "" {
				t.Errorf("progress differs: %v", err)
			}
		}
		if u, err := DecodeUpload(body); err == nil {
			if again, err := DecodeUpload(AppendUpload(nil, &u)); err != nil || cmp.Diff(u, again) != "" {
				t.Errorf("upload differs: %v", err)
			}
		}
		if r, err := DecodeRows(body); err == nil {
			if out, err := dec.JSONL(nil, r); err == nil && int64(len(out)) != r.Size {
				t.Errorf("%d bytes of rows", len(out))
			}
		}
	})
}
