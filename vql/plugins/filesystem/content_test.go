package filesystem

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"satchel/internal/flow"
	"satchel/vql"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"a.gz": gzipped(t, "zipped text"), "plain": "0123456789", "bad.gz": gzipped(t, "zipped text")[:15],
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q := &query{env: []vql.Var{{Name: "Root", Value: root}, {Name: "Bin", Value: []byte("\xff\x00")}, {Name: "Nest",
		Value: vql.NewPath(vql.Generic, `[{"offset":2,"length":3},{"offset":8,"length":1}]`).WithDelegate("file", vql.ParsePath(style(), root+"/plain"))},
		{Name: "Off", Value: vql.NewPath(vql.Generic, "4").WithDelegate("file", vql.ParsePath(style(), root+"/plain"))},
		{Name: "Zip", Value: vql.ParsePath(style(), "").WithDelegate("file", vql.ParsePath(style(), root+"/a.gz"))}}}
	for expr, want := range map[string]string{
		"read_file(filename='a/b\nc', accessor='data')":                 `"a/b\nc"`,
		"read_file(filename='', accessor='data')":                       `""`,
		"read_file(filename='Root', accessor='scope')":                  `"` + root + `"`,
		"len(list=read_file(filename='Bin', accessor='scope'))":         "2",
		"read_file(filename='Nope', accessor='scope')":                  "null",
		"read_file(filename=Root + '/a.gz', accessor='gzip')":           `"zipped text"`,
		"read_file(filename=Zip, accessor='gzip')":                      `"zipped text"`,
		"read_file(filename=Root + '/plain', accessor='gzip')":          `"0123456789"`,
		"read_file(filename=Root + '/a.gz', accessor='gzip', offset=7)": `"text"`,
		"read_file(filename=Root + '/plain', offset=3, length=4)":       `"3456"`,
		"read_file(filename=Root + '/plain', offset=30)":                `""`,
		"read_file(filename=Nest, accessor='sparse')":                   `"\u0000\u0000234\u0000\u0000\u00008"`,
		"read_file(filename=Off, accessor='offset')":                    `"456789"`,
		"stat(filename=Nest, accessor='sparse').Size":                   "9",
		"stat(filename='abc', accessor='data').Size":                    "3",
		"hash(path='abc', accessor='data', hashselect='MD5').MD5":       `"900150983cd24fb0d6963f7d28e17f72"`,
		"hash(path='abcd', accessor='data', max_size=3)":                "null",
	} {
		q.extra = []vql.Registration{lenFunction()}
		rows, err := q.run(t, "SELECT "+expr+" AS V FROM scope()")
		if err != nil || len(rows) != 1 || rows[0] != `{"V":`+want+`}` {
			t.Errorf("%s: %q, %v; want %s", expr, rows, err, want)
		}
	}
}

func TestUnpackedIsAReader(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("all work and no play ", 5000)
	u := &unpacked{open: func() (vql.File, io.Reader, error) {
		f := newContent(vql.Path{}, []byte(gzipped(t, text)))
		r, err := gzip.NewReader(f)
		return f, r, err
	}}
	if err := u.rewind(); err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(u, []byte(text)); err != nil {
		t.Error(err)
	}
	if err := errors.Join(u.Close(), u.Close()); err != nil {
		t.Error(err)
	}
	if _, err := u.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestFileIsAReader(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "f")
	data := bytes.Repeat([]byte("0123456789abcdef"), 3*bufferBytes/16/2)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := newFileAccessor(stall, false).Open(t.Context(), vql.ParsePath(style(), name))
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(f, data); err != nil {
		t.Error(err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestParseParts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]flow.Range{
		`[]`:                        nil,
		`[{"offset":0,"length":0}]`: nil,
		`[{"Offset":5,"Length":5},{"offset":0,"length":2}]`: {{Offset: 0, Length: 2}, {Offset: 2, Length: 3, Sparse: true}, {Offset: 5, Length: 5}},
		`[{"offset":0,"length":2},{"offset":2,"length":2}]`: {{Offset: 0, Length: 2}, {Offset: 2, Length: 2}},
	} {
		got, err := parseParts(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	for _, text := range []string{
		``, `{}`, `[{"offset":-1,"length":1}]`, `[{"offset":1,"length":-1}]`, `[{"offset":9223372036854775807,"length":1}]`,
		`[{"offset":0,"length":5},{"offset":4,"length":5}]`, `[` + strings.Repeat(`{},`, maxRanges) + `{}]`,
	} {
		if _, err := parseParts(text); err == nil {
			t.Errorf("%.60s: no error", text)
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add(`[{"offset":0,"length":2},{"offset":9,"length":2}]`, int64(1))
	f.Fuzz(func(t *testing.T, text string, at int64) {
		ranges, err := parseParts(text)
		if err != nil || len(ranges) == 0 {
			return
		}
		end := int64(0)
		for _, r := range ranges {
			if r.Offset != end || r.Length <= 0 {
				t.Fatalf("%q gives %+v", text, ranges)
			}
			end += r.Length
		}
		w := &window{File: newContent(vql.Path{}, make([]byte, 100)), ranges: ranges, size: end}
		if n, err := w.ReadAt(make([]byte, 50), at); n < 0 || n > 50 || n < 50 && err == nil {
			t.Fatalf("read %d, %v", n, err)
		}
	})
}

func TestExpand(t *testing.T) {
	t.Parallel()
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"HOME": "/root", "ProgramFiles(x86)": `C:\x86`}[name]
		return v, ok
	}
	for in, want := range map[string]string{
		"$HOME/a": "/root/a", "${HOME}x": "/rootx", "%HOME%": "/root", "%ProgramFiles(x86)%\\a": `C:\x86\a`,
		"$NOPE/%NOPE%/100%": "$NOPE/%NOPE%/100%", "$1": "$1",
	} {
		if got := expandVariables(in, lookup); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestWriting(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	q := &query{env: []vql.Var{{Name: "Root", Value: root}}, extra: []vql.Registration{lenFunction()}}
	rows := q.must(t, `LET A <= tempfile(data=['one', 'two'], extension='.txt', permissions='x')
		LET B <= tempdir()
		SELECT A =~ 'txt$' AS Ext, read_file(filename=A) AS Data, stat(filename=A).Mode AS Mode, stat(filename=B).IsDir AS Dir,
		  copy(filename=A, dest=Root + '/d/copy', create_directories=TRUE) = Root + '/d/copy' AS Copy,
		  write_file(data='x', dest=Root + '/w') AND write_file(data='y', dest=Root + '/w', append=TRUE) AND read_file(filename=Root + '/w') AS W,
		  rm(filename=Root + '/w') AS Rm, rm(filename=Root + '/w') AS Rm2, A, B FROM scope()`)
	if len(rows) != 1 || !strings.HasPrefix(rows[0], `{"Ext":true,"Data":"onetwo","Mode":"-rwx------","Dir":true,"Copy":true,"W":`) || !strings.Contains(rows[0], `"Rm":true,"Rm2":false`) {
		t.Fatalf("rows %s", rows)
	}
	if b, err := os.ReadFile(root + "/d/copy"); err != nil || string(b) != "onetwo" {
		t.Errorf("copy holds %q, %v", b, err)
	}
	names := strings.Split(rows[0], `"`)
	for _, name := range []string{names[len(names)-2], names[len(names)-6]} {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if _, err := q.run(t, "SELECT tempfile(extension='/../x') FROM scope()"); err == nil {
		t.Error("an extension with a slash is taken")
	}
}
