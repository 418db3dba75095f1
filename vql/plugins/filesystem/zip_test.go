package filesystem

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/internal/zipx"
	"satchel/vql"
)

func writeZip(t *testing.T, members ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.zip")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for _, m := range members {
		out, err := w.Create(m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(m, "/") {
			if _, err := out.Write([]byte("content of " + m)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestZipAccessor(t *testing.T) {
	t.Parallel()
	name := writeZip(t, "top.txt", "dir/", "dir/sub/deep.txt", "dir/other.log", "./odd//name", "/abs")
	root := vql.NewPath(vql.Generic).WithDelegate("file", vql.ParsePath(style(), name))
	q := &query{sink: &sink{}, env: []vql.Var{{Name: "Root", Value: root}}}
	paths := func(glob string) string {
		var out []string
		for _, row := range q.must(t, "SELECT join(array=OSPath.Components, sep='/') AS P FROM glob(globs='"+glob+"', root=Root, accessor='zip') ORDER BY P") {
			out = append(out, strings.TrimSuffix(strings.TrimPrefix(row, `{"P":"`), `"}`))
		}
		return strings.Join(out, " ")
	}
	q.extra = []vql.Registration{joinFunction()}
	for glob, want := range map[string]string{
		"**": "abs dir dir/other.log dir/sub dir/sub/deep.txt odd odd/name top.txt", "dir/*": "dir/other.log dir/sub", "**/*.txt": "dir/sub/deep.txt top.txt", "dir/other.log": "dir/other.log", "nope/*": "",
	} {
		if got := paths(glob); got != want {
			t.Errorf("%s: %q, want %q", glob, got, want)
		}
	}
	rows := q.must(t, "SELECT read_file(filename=OSPath, accessor='zip', offset=3) AS D, Size, IsDir, upload(file=OSPath, accessor='zip').Error AS E FROM glob(globs='dir/sub/*', root=Root, accessor='zip')")
	if d := cmp.Diff([]string{`{"D":"tent of dir/sub/deep.txt","Size":27,"IsDir":false,"E":null}`}, rows); d != "" {
		t.Error(d)
	}
	u := q.sink.uploads[0]
	if u.data.String() != "content of dir/sub/deep.txt" || u.Accessor != "zip" || !strings.HasSuffix(strings.Join(u.Components, "/"), "a.zip/dir/sub/deep.txt") {
		t.Errorf("upload %+v", u.Upload)
	}
	bad := vql.NewPath(vql.Generic, "x").WithDelegate("data", vql.NewPath(vql.Generic, "no archive"))
	q = &query{env: []vql.Var{{Name: "Bad", Value: bad}}}
	if rows := q.must(t, "SELECT read_file(filename=Bad, accessor='zip') AS D FROM scope()"); rows[0] != `{"D":null}` || len(q.logs) == 0 {
		t.Errorf("rows %q, logs %q", rows, q.logs)
	}
}

func TestZipTreeIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("d/", 30_000)
	_, err := zipTree(func(yield func(zipx.Member, error) bool) {
		for i := range 100 {
			if !yield(zipx.Member{Name: strings.Repeat("x", i) + "/" + long}, nil) {
				return
			}
		}
	})
	if err == nil {
		t.Error("three million directories are taken")
	}
}
