package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// TestNamesStayBelow draws hostile components: the name is local on every
// system, no part is special, and it can be created here.
func TestNamesStayBelow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, err := newExtractor(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	part := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", ".", "..", "/", "\\", "a/b", "..\\..", "\x00", "CON", "nul.txt", "C:", "\xff\xfe",
		strings.Repeat("x", 5000), strings.Repeat("é", 300), "~", "%2E%2E", "\u202e", "a.", " ", "file.txt"}))
	rapid.Check(t, func(t *rapid.T) {
		components := rapid.SliceOfN(part, 1, 6).Draw(t, "components")
		for _, goos := range []string{"linux", "windows", "darwin"} {
			y := extractor{goos: goos}
			name := y.safeName(components)
			if !fs.ValidPath(name) || !filepath.IsLocal(name) || strings.ContainsAny(name, "\\\x00") {
				t.Fatalf("%s: %q gives %q", goos, components, name)
			}
			for _, p := range strings.Split(name, "/") {
				if len(p) > 255 || p == "." || p == ".." || p == "" {
					t.Fatalf("%s: %q gives the part %q", goos, components, p)
				}
				if goos == "windows" && (strings.ContainsAny(p, `<>:"|?*`) || strings.HasSuffix(p, ".") || strings.HasSuffix(p, " ")) {
					t.Fatalf("windows: %q gives the part %q", components, p)
				}
			}
		}
		name, f, err := x.create(x.safeName(components))
		if err != nil {
			t.Fatalf("create %q: %v", components, err)
		}
		f.Close()
		if _, err := os.Stat(filepath.Join(dir, "in", filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside now holds %v, %v", entries, err)
	}
}

func TestWindowsDeviceNames(t *testing.T) {
	t.Parallel()
	x := extractor{goos: "windows"}
	for _, name := range []string{"a:b", "what?", "x."} {
		if got := x.safePart(name); got == name {
			t.Errorf("%q stays on Windows", name)
		}
	}
	x.goos = "linux"
	for _, name := range []string{"a:b", "what?", "x.", ".hidden", "naïve 文件"} {
		if got := x.safePart(name); got != name {
			t.Errorf("%q becomes %q on Linux", name, got)
		}
	}
}

// TestNumbers creates the same name often, and files where directories are
// needed.
func TestNumbers(t *testing.T) {
	t.Parallel()
	x, err := newExtractor(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	want := map[string][]string{"a/b": {"a/b", "a/b.2", "a/b.3"}, "a/b/c": {"a/b.4/c", "a/b.4/c.2"}, "a": {"a.2"}}
	for _, name := range []string{"a/b", "a/b/c", "a"} {
		for _, w := range want[name] {
			got, f, err := x.create(name)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if got != w {
				t.Errorf("create %s made %s, want %s", name, got, w)
			}
		}
	}
	for _, bad := range []string{"../x", "/x", ""} {
		if _, f, err := x.create(bad); err == nil {
			f.Close()
			t.Errorf("%q was created", bad)
		}
	}
}

func TestCopySparse(t *testing.T) {
	t.Parallel()
	data := append(append(bytes.Repeat([]byte("x"), 100_000), make([]byte, 1<<20)...), "end"...)
	cases := map[string]struct {
		in   func() io.Reader
		want []byte
		fail bool
	}{
		"holes":     {func() io.Reader { return bytes.NewReader(data) }, data, false},
		"bytewise":  {func() io.Reader { return iotest.HalfReader(bytes.NewReader(data)) }, data, false},
		"zeros end": {func() io.Reader { return bytes.NewReader(make([]byte, 200_000)) }, make([]byte, 200_000), false},
		"empty":     {func() io.Reader { return bytes.NewReader(nil) }, nil, false},
		"torn": {func() io.Reader {
			return io.MultiReader(bytes.NewReader(data[:70_000]), iotest.ErrReader(io.ErrUnexpectedEOF))
		}, data[:70_000], true},
	}
	for name, c := range cases {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		_, readErr, err := copySparse(t.Context(), f, c.in(), 1<<40)
		if err != nil || (readErr != nil) != c.fail {
			t.Errorf("%s: %v, %v", name, readErr, err)
		}
		if c.fail && !errors.Is(readErr, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", name, readErr)
		}
		f.Close()
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, err := copySparse(ctx, f, forever{}, 1<<40); err != nil {
		t.Error(err)
	}
}

func TestCopySparseHasALimit(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, readErr, err := copySparse(t.Context(), f, forever{}, 1<<20); err != nil || readErr == nil {
		t.Errorf("an endless file: %v, %v", readErr, err)
	}
}

type forever struct{}

func (forever) Read(p []byte) (int, error) { return len(p), nil }
