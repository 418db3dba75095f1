package filesystem

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/vql"
)

// tree makes files (and directories, where a name ends in a slash) in a new
// directory.
func tree(t testing.TB, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		full := filepath.Join(root, filepath.FromSlash(name))
		dir := filepath.Dir(full)
		if strings.HasSuffix(name, "/") {
			dir = full
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir != full {
			if err := os.WriteFile(full, []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// found runs glob below root and returns the sorted paths relative to it.
func found(t *testing.T, q *query, root, args string) []string {
	t.Helper()
	q.env = []vql.Var{{Name: "Root", Value: root}}
	var out []string
	for _, row := range q.must(t, "SELECT OSPath FROM glob("+args+")") {
		var r struct{ OSPath string }
		if err := json.Unmarshal([]byte(row), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimPrefix(filepath.ToSlash(r.OSPath), filepath.ToSlash(root)+"/"))
	}
	slices.Sort(out)
	return out
}

func TestGlob(t *testing.T) {
	t.Parallel()
	root := tree(t, "a/1.txt", "a/2.log", "a/b/3.txt", "a/b/c/4.txt", "x/.hid", "x/y/z/", `x/back\slash`, "x/{curly}", "x/star*")
	for _, c := range []struct {
		args string
		want []string
	}{
		{"globs=Root + '/a/*.txt'", []string{"a/1.txt"}},
		{"globs=Root + '/a/**/*.txt'", []string{"a/1.txt", "a/b/3.txt", "a/b/c/4.txt"}},
		{"globs='**/*.txt', root=Root", []string{"a/1.txt", "a/b/3.txt", "a/b/c/4.txt"}},
		{"globs='a/**1/*.txt', root=Root", []string{"a/1.txt", "a/b/3.txt"}},
		{"globs='a/**2', root=Root", []string{"a/1.txt", "a/2.log", "a/b", "a/b/3.txt", "a/b/c"}},
		{"globs='a/**', root=Root", []string{"a/1.txt", "a/2.log", "a/b", "a/b/3.txt", "a/b/c", "a/b/c/4.txt"}},
		{"globs='**/b/**/*.txt', root=Root", []string{"a/b/3.txt", "a/b/c/4.txt"}},
		{"globs=['a/*.txt', 'a/1*', 'a/{1,2}.*'], root=Root", []string{"a/1.txt", "a/2.log"}},
		{"globs='a/1.txt', root=Root", []string{"a/1.txt"}},
		{"globs='a/1.txt/none', root=Root", nil},
		{"globs='nope/*', root=Root", nil},
		{"globs='x/*', root=Root", []string{"x/.hid", `x/back\slash`, "x/star*", "x/y", "x/{curly}"}},
		{`globs='x/back\\slash', root=Root`, []string{`x/back\slash`}},
		{"globs='x/{curly}', root=Root", []string{"x/{curly}"}},
		{"globs='x/star[*]', root=Root", []string{"x/star*"}},
		{"globs='x/y/**', root=Root", []string{"x/y/z"}},
		{"globs='[ab]/?.txt', root=Root", []string{"a/1.txt"}},
	} {
		if d := cmp.Diff(c.want, found(t, &query{}, root, c.args)); d != "" {
			t.Errorf("%s: %s", c.args, d)
		}
	}
}

func TestGlobRow(t *testing.T) {
	t.Parallel()
	root := tree(t, "file")
	at := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	if err := os.Chtimes(filepath.Join(root, "file"), at.Add(time.Hour), at); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	q := &query{env: []vql.Var{{Name: "Root", Value: root}}}
	got := q.must(t, "SELECT Name, Size, Mode, IsDir, IsLink, Mtime, Atime, Data.Link AS Link, Globs FROM glob(globs='*', root=Root) ORDER BY Name")
	want := []string{
		`{"Name":"file","Size":4,"Mode":"-rw-r--r--","IsDir":false,"IsLink":false,"Mtime":"2020-01-02T03:04:05.000006Z","Atime":"2020-01-02T04:04:05.000006Z","Link":null,"Globs":["*"]}`,
		`{"Name":"link","Size":4,"Mode":"Lrwxrwxrwx","IsDir":false,"IsLink":true,`,
	}
	if len(got) != 2 || got[0] != want[0] || !strings.HasPrefix(got[1], want[1]) || !strings.Contains(got[1], `"Link":"file"`) {
		t.Errorf("got %s", strings.Join(got, "\n"))
	}
}

func TestGlobReports(t *testing.T) {
	t.Parallel()
	root := tree(t, "a/1", "a/2")
	q := &query{sink: &sink{}}
	found(t, q, root, "globs=['a/*', 'b/*', 'a/3', '*'], root=Root")
	if d := cmp.Diff([]string{"* collected", "a/* collected", "a/3 missing", "b/* missing"}, q.sink.outcomes()); d != "" {
		t.Error(d)
	}
	// a query that stops early says nothing about what it did not look for
	for i := range 5000 {
		if err := os.WriteFile(filepath.Join(root, "a", fmt.Sprint("f", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q = &query{sink: &sink{}}
	q.env = []vql.Var{{Name: "Root", Value: root}}
	if rows := q.must(t, "SELECT * FROM glob(globs=['a/*', 'zzz'], root=Root) LIMIT 1"); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
	if got := q.sink.outcomes(); got != nil {
		t.Errorf("reports %v", got)
	}
}

func TestGlobRecursionCallback(t *testing.T) {
	t.Parallel()
	root := tree(t, "a/skip/x", "a/take/x", "skip/x")
	got := found(t, &query{}, root, "globs='**/x', root=Root, recursion_callback='x=>NOT x.Name =~ \"skip\"'")
	if d := cmp.Diff([]string{"a/take/x"}, got); d != "" {
		t.Error(d)
	}
}

func TestGlobBadPattern(t *testing.T) {
	t.Parallel()
	for _, glob := range []string{"/**0/x", strings.Repeat("{a,b}", 20)} {
		q := &query{env: []vql.Var{{Name: "G", Value: glob}}}
		if _, err := q.run(t, "SELECT * FROM glob(globs=G)"); err == nil {
			t.Errorf("%.20s: no error", glob)
		}
	}
}

// TestGlobStreams walks 50,000 entries of one directory and holds the memory
// that is alive meanwhile.
func TestGlobStreams(t *testing.T) {
	t.Parallel()
	const n = 50_000
	root := t.TempDir()
	for i := range n {
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("f%05d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := newFileAccessor(time.Minute, false)
	_, places, err := planGlob(a, globArgs{Globs: []any{root + "/*"}})
	if err != nil {
		t.Fatal(err)
	}
	count, most := 0, 0
	w := &walk{accessor: a, problem: func(_ vql.Path, err error, _ []state) { t.Error(err) }}
	w.found = func(vql.Path, *entry, []int) bool {
		count++
		return true
	}
	l, err := a.list(t.Context(), vql.ParsePath(style(), root))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for {
		entries, err := l.next(func(string, os.FileMode) need { return needAll })
		most = max(most, len(entries))
		if err != nil {
			break
		}
	}
	if most > batch {
		t.Errorf("%d entries at once, want at most %d", most, batch)
	}
	if err := w.run(t.Context(), places[0].root, places[0].states); err != nil {
		t.Fatal(err)
	}
	if count != n {
		t.Errorf("%d entries, want %d", count, n)
	}
}

func BenchmarkGlob(b *testing.B) {
	root := b.TempDir()
	for d := range 100 {
		dir := filepath.Join(root, fmt.Sprint("d", d))
		_ = os.Mkdir(dir, 0o700)
		for f := range 100 {
			_ = os.WriteFile(filepath.Join(dir, fmt.Sprint("f", f)), nil, 0o600)
		}
	}
	a := newFileAccessor(time.Minute, false)
	for b.Loop() {
		_, places, err := planGlob(a, globArgs{Globs: []any{root + "/**"}})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		w := &walk{accessor: a, found: func(vql.Path, *entry, []int) bool { n++; return true }, problem: func(p vql.Path, err error, _ []state) { b.Error(err) }}
		if err := w.run(b.Context(), places[0].root, places[0].states); err != nil {
			b.Fatal(err)
		}
		if n != 10100 {
			b.Fatal(n)
		}
	}
}

func TestGlobTellsWhereItStopped(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", defaultDepth+1)
	root := tree(t, deep+"f")
	for pattern, told := range map[string]bool{"**": true, "**/f": true, "**40": false, "d/*": false} {
		q := &query{sink: &sink{}}
		found(t, q, root, "globs='"+pattern+"', root=Root")
		got := 0
		for _, l := range q.logs {
			if strings.Contains(l, "no further") {
				got++
			}
		}
		if (got == 1) != told || got > 1 {
			t.Errorf("%s: told %d times, %v", pattern, got, q.logs)
		}
	}
}
