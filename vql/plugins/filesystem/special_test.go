//go:build unix

package filesystem

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/vql"
)

// TestSpecialFiles holds the accessor to refusing, at once, what could hang or
// set something off.
func TestSpecialFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Symlink("fifo", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	a := newFileAccessor(5*time.Second, false)
	raw := newFileAccessor(5*time.Second, true)
	for name, want := range map[string]error{
		root + "/fifo": ErrNotRegular, root + "/sock": ErrNotRegular, root + "/link": ErrNotRegular,
		"/dev/zero": ErrNotRegular, root: ErrIsDirectory, root + "/nope": os.ErrNotExist,
	} {
		_, err := a.Open(t.Context(), vql.ParsePath(vql.Posix, name))
		if !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", name, err, want)
		}
	}
	if _, err := raw.Open(t.Context(), vql.ParsePath(vql.Posix, root+"/fifo")); !errors.Is(err, ErrNotRegular) {
		t.Errorf("raw_file opens a FIFO: %v", err)
	}
	f, err := raw.Open(t.Context(), vql.ParsePath(vql.Posix, "/dev/zero"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(io.LimitReader(f, 10)); err != nil || string(b) != strings.Repeat("\x00", 10) {
		t.Errorf("read of a device: %q, %v", b, err)
	}
}

func TestUploadSpecialFiles(t *testing.T) {
	t.Parallel()
	root := tree(t, "plain")
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	q := &query{sink: &sink{}, env: []vql.Var{{Name: "Root", Value: root}}}
	rows := q.must(t, "SELECT upload(file=OSPath).Error AS E FROM glob(globs='*', root=Root) ORDER BY Name")
	if len(rows) != 2 || !strings.Contains(rows[0], "FIFO") || rows[1] != `{"E":null}` {
		t.Errorf("rows %q", rows)
	}
	if d := cmp.Diff([]string{"* collected", root + "/fifo not_applicable"}, q.sink.outcomes()); d != "" {
		t.Error(d)
	}
	if len(q.sink.uploads) != 1 || q.sink.uploads[0].data.String() != "plain" {
		t.Errorf("uploads %+v", q.sink.uploads)
	}
}

// TestSymlinkLoops walks trees that lead into themselves.
func TestSymlinkLoops(t *testing.T) {
	t.Parallel()
	root := tree(t, "a/b/file", "c/file")
	for link, to := range map[string]string{
		"a/b/up": "..", "a/b/top": root, "self": "self", "a/c": "../c", "c/a": "../a", "d": "c", "dangling": "nowhere",
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	got := found(t, &query{}, root, "globs='**/file', root=Root")
	counts := map[string]int{}
	for _, p := range got {
		counts[p]++
	}
	if counts["a/b/file"] != 1 || counts["c/file"] != 1 || len(got) > 40 {
		t.Errorf("%d files: %q", len(got), got)
	}
	if d := cmp.Diff([]string{"a/b/file", "c/file"}, found(t, &query{}, root, "globs='**/file', root=Root, nosymlink=TRUE")); d != "" {
		t.Error(d)
	}
	// a link that is named is followed, unless that is forbidden
	if d := cmp.Diff([]string{"d/file"}, found(t, &query{}, root, "globs='d/*le', root=Root")); d != "" {
		t.Error(d)
	}
	if got := found(t, &query{}, root, "globs='d/*le', root=Root, nosymlink=TRUE"); got != nil {
		t.Errorf("followed %q", got)
	}
}

// TestSameLinkTwice asks for the same directory by two expressions that reach
// it by links: each finds its own.
func TestSameLinkTwice(t *testing.T) {
	t.Parallel()
	root := tree(t, "real/deep/x.a", "real/deep/y.b", "one/keep", "two/keep")
	for _, link := range []string{"one/link", "two/link"} {
		if err := os.Symlink(filepath.Join(root, "real"), filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	got := found(t, &query{}, root, "globs=['one/**/*.a', 'two/**/*.b'], root=Root")
	if d := cmp.Diff([]string{"one/link/deep/x.a", "two/link/deep/y.b"}, got); d != "" {
		t.Error(d)
	}
}

func TestPermissionDenied(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		runAsNobody(t)
		return
	}
	deniedTests(t)
}

func deniedTests(t *testing.T) {
	root := tree(t, "closed/file", "open/file")
	closed := filepath.Join(root, "closed")
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(closed, 0o700)
	if err := os.Chmod(filepath.Join(root, "open/file"), 0); err != nil {
		t.Fatal(err)
	}
	q := &query{sink: &sink{}}
	got := found(t, q, root, "globs=['*/file', 'closed/*', 'closed/file'], root=Root")
	if d := cmp.Diff([]string{"open/file"}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"*/file partial", "closed/* denied", "closed/file denied"}, q.sink.outcomes()); d != "" {
		t.Error(d)
	}
	q = &query{sink: &sink{}, env: []vql.Var{{Name: "F", Value: root + "/open/file"}}}
	if rows := q.must(t, "SELECT upload(file=F).Error =~ 'denied' AS E FROM scope()"); len(rows) != 1 || rows[0] != `{"E":true}` {
		t.Errorf("rows %q", rows)
	}
	if d := cmp.Diff([]string{root + "/open/file denied"}, q.sink.outcomes()); d != "" {
		t.Error(d)
	}
	if rows := q.must(t, "SELECT read_file(filename=F) AS D, hash(path=F) AS H FROM scope()"); len(rows) != 1 || rows[0] != `{"D":null,"H":null}` {
		t.Errorf("rows %q", rows)
	}
}

func TestNamesOfAnyBytes(t *testing.T) {
	t.Parallel()
	names := []string{"\xff\xfe", "new\nline", "back\\slash", " space ", "é", "e\u0301", "%41", strings.Repeat("n", 255)}
	root := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q := &query{sink: &sink{}, env: []vql.Var{{Name: "Root", Value: root}}}
	q.must(t, "SELECT upload(file=OSPath) AS U FROM glob(globs='*', root=Root)")
	got := map[string]bool{}
	for _, u := range q.sink.uploads {
		name := u.Components[len(u.Components)-1]
		if !u.done || u.data.String() != name || u.Path != root+"/"+name {
			t.Errorf("upload %q of %q holds %q", name, u.Path, u.data.String())
		}
		got[name] = true
	}
	for _, name := range names {
		if !got[name] {
			t.Errorf("%q is missing", name)
		}
	}
}
