package parsers

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestParseLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	got := over(t, "one\r\n\ntwo\n"+long+"\nlast", "SELECT * FROM parse_lines(filename=T, accessor='data', buffer_size=64)")
	want := []string{`{"Line":"one"}`, `{"Line":""}`, `{"Line":"two"}`, `{"Line":"` + long[:64] + `"}`, `{"Line":"` + long[64:] + `"}`, `{"Line":"last"}`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	q := &query{}
	if _, err := q.run(t, "SELECT * FROM parse_lines(filename='x', accessor='data', buffer_size=1)"); err == nil {
		t.Error("a buffer of one byte is taken")
	}
	if rows := q.must(t, "SELECT * FROM parse_lines(filename=['/no/such/file', '/dev/null'])"); rows != nil || len(q.logs) != 2 {
		t.Errorf("rows %q, logs %q", rows, q.logs)
	}
}

func TestSplitRecords(t *testing.T) {
	t.Parallel()
	const table = "a:b:c\n1:2:3:4\n\n5:6\n"
	for _, c := range []struct {
		args string
		want []string
	}{
		{"", []string{`{"Column0":"a:b:c"}`, `{"Column0":"1:2:3:4"}`, `{"Column0":"5:6"}`}},
		{"regex=':'", []string{`{"Column0":"a","Column1":"b","Column2":"c"}`, `{"Column0":"1","Column1":"2","Column2":"3","Column3":"4"}`, `{"Column0":"5","Column1":"6"}`}},
		{"regex=':', columns=['X','Y','Z']", []string{`{"X":"a","Y":"b","Z":"c"}`, `{"X":"1","Y":"2","Z":"3","Column3":"4"}`, `{"X":"5","Y":"6","Z":null}`}},
		{"regex=':', first_row_is_headers=TRUE", []string{`{"a":"1","b":"2","c":"3","Column3":"4"}`, `{"a":"5","b":"6","c":null}`}},
		{"regex=':', count=2", []string{`{"Column0":"a","Column1":"b:c"}`, `{"Column0":"1","Column1":"2:3:4"}`, `{"Column0":"5","Column1":"6"}`}},
		{"record_regex='[:\\n]+'", []string{`{"Column0":"a"}`, `{"Column0":"b"}`, `{"Column0":"c"}`, `{"Column0":"1"}`, `{"Column0":"2"}`, `{"Column0":"3"}`, `{"Column0":"4"}`, `{"Column0":"5"}`, `{"Column0":"6"}`}},
	} {
		got := over(t, table, "SELECT * FROM split_records(filenames=T, accessor='data'"+more(c.args)+")")
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.args, d)
		}
	}
	q := &query{}
	if _, err := q.run(t, "SELECT * FROM split_records(filenames='x', accessor='data', regex='(')"); err == nil {
		t.Error("a bad expression is taken")
	}
}

// pieces joins what records gives, whatever the reads are.
func pieces(t *testing.T, r io.Reader, separator string, size int) []string {
	t.Helper()
	var out []string
	if err := records(r, regexp.MustCompile(separator), size, func(b []byte) error {
		out = append(out, string(b))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRecordsAcrossReads(t *testing.T) {
	t.Parallel()
	const text = "alpha--beta---gamma----\n--delta"
	want := []string{"alpha", "beta", "gamma", "\n", "delta"}
	for size := 16; size < 40; size++ {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text)), "half": iotest.HalfReader(strings.NewReader(text)), "eof": iotest.DataErrReader(strings.NewReader(text))} {
			if d := cmp.Diff(want, pieces(t, r, "-+", size)); d != "" {
				t.Errorf("%s, %d: %s", name, size, d)
			}
		}
	}
	if got := pieces(t, strings.NewReader(strings.Repeat("x", 1000)), "-", 16); strings.Join(got, "") != strings.Repeat("x", 1000) {
		t.Errorf("a long piece gives %d parts", len(got))
	}
	err := records(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text))), regexp.MustCompile("-"), 16, func([]byte) error { return nil })
	if !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("error %v", err)
	}
}

func TestParseRecordsWithRegex(t *testing.T) {
	t.Parallel()
	const passwd = "root:x:0:\nann:x:1000:\n"
	for _, c := range []struct {
		args string
		want []string
	}{
		{`regex='(?m)^(?P<User>[a-z]+):[^:]*:(?P<Uid>[0-9]+)'`, []string{`{"User":"root","Uid":"0"}`, `{"User":"ann","Uid":"1000"}`}},
		{`regex='(ROOT):(.)'`, []string{`{"g1":"root","g2":"x"}`}},
		{`regex=['(?P<A>root)', '(?P<B>ann)(?P<C>q)?']`, []string{`{"A":"root"}`, `{"B":"ann","C":""}`}},
	} {
		got := over(t, passwd, "SELECT * FROM parse_records_with_regex(file=T, accessor='data'"+more(c.args)+")")
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.args, d)
		}
	}
}

// TestMatchesKnowLines holds that the start of a buffer, or the end of a match,
// is not the start of a line.
func TestMatchesKnowLines(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("xab\n", 50) + strings.Repeat("ab", 40) + "\nab\n"
	for size := 16; size < 50; size++ {
		n := 0
		if err := matches(strings.NewReader(text), []*regexp.Regexp{regexp.MustCompile("(?m)^ab"), regexp.MustCompile("(?m)^x")}, size, func(int, []string) error {
			n++
			return nil
		}); err != nil || n != 52 {
			t.Fatalf("size %d: %d matches, %v", size, n, err)
		}
	}
}

// TestMatchesAcrossBuffers finds each match once, wherever the buffer ends.
func TestMatchesAcrossBuffers(t *testing.T) {
	t.Parallel()
	for pad := range 80 {
		text := strings.Repeat(".", pad) + "<1>" + strings.Repeat(".", 20) + "<22>" + strings.Repeat(".", 33) + "<3>"
		for _, size := range []int{16, 17, 31, 64} {
			var got []string
			err := matches(iotest.HalfReader(strings.NewReader(text)), []*regexp.Regexp{regexp.MustCompile("<([0-9]+)>")}, size, func(_ int, g []string) error {
				got = append(got, g[0])
				return nil
			})
			if err != nil || strings.Join(got, ",") != "1,22,3" {
				t.Fatalf("pad %d, size %d: %q, %v", pad, size, got, err)
			}
		}
	}
}

func TestEachLine(t *testing.T) {
	t.Parallel()
	in := "a\n" + strings.Repeat("b", 200_000) + "\nc\r\n" + strings.Repeat("d", 70_000) + "\n\nlast"
	var sizes []int
	warned := 0
	err := eachLine(strings.NewReader(in), 100_000, func(err error) {
		if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "line 2 ") {
			t.Error(err)
		}
		warned++
	}, func(n int64, line []byte) error {
		sizes = append(sizes, int(n)*1_000_000+len(line))
		return nil
	})
	if d := cmp.Diff([]int{1_000_001, 3_000_001, 4_070_000, 5_000_000, 6_000_004}, sizes); d != "" || err != nil || warned != 1 {
		t.Error(d, err, warned)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add("a--b-c", "-+", 16)
	f.Add("x", "", 16)
	f.Fuzz(func(t *testing.T, text, separator string, size int) {
		re, err := regexp.Compile(separator)
		if err != nil || size < minBuffer || size > 1000 {
			return
		}
		n := 0
		if err := records(strings.NewReader(text), re, size, func(b []byte) error { n += len(b); return nil }); err != nil || n > len(text) {
			t.Fatalf("%d bytes of %d, %v", n, len(text), err)
		}
		count := 0
		if err := matches(strings.NewReader(text), []*regexp.Regexp{re}, size, func(int, []string) error { count++; return nil }); err != nil || count > len(text)+1 {
			t.Fatalf("%d matches in %d bytes, %v", count, len(text), err)
		}
	})
}
