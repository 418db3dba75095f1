package tree

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func small() Spec {
	return Spec{Seed: 7, SmallFiles: 21, SmallMin: 10, SmallMax: 90, LargeFiles: 3, LargeBytes: 5000}
}

func TestMake(t *testing.T) {
	t.Parallel()
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	made, err := Make(one, small())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Make(two, small()); err != nil {
		t.Fatal(err)
	}
	a, b := contents(t, one), contents(t, two)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("two trees of one specification differ:\n%s", diff)
	}
	var files int
	var size int64
	for name, c := range a {
		if name != stampName {
			files++
			size += int64(len(c))
		}
	}
	if files != 24 || made.Files != 24 || made.Bytes != size {
		t.Errorf("files %d, told %d; bytes %d, told %d", files, made.Files, size, made.Bytes)
	}
	again, err := Make(one, small())
	if err != nil || again != made {
		t.Errorf("a second Make gave %+v, %v, want %+v", again, err, made)
	}
}

func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Make(dir, small()); err != nil {
		t.Fatal(err)
	}
	other := small()
	other.Seed++
	if _, err := Make(dir, other); err == nil {
		t.Error("a tree of another specification was taken for this one")
	}
	if err := os.Remove(filepath.Join(dir, stampName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(dir, small()); err == nil {
		t.Error("an unfinished tree was taken for a whole one")
	}
}

func TestContentShrinksAsTold(t *testing.T) {
	t.Parallel()
	for _, text := range []bool{true, false} {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := io.CopyN(z, Content(1, 2, text), 1<<20); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if ratio := float64(packed.Len()) / (1 << 20); text != (ratio < 0.05) || !text != (ratio > 0.99) {
			t.Errorf("text %v shrinks to %.3f", text, ratio)
		}
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
