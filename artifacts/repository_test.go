package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEmbeddedNamesAreThoseOfTheYAML(t *testing.T) {
	t.Parallel()
	r := Embedded()
	names := r.Names()
	if len(names) < 12 {
		t.Fatalf("the library has %d artifacts", len(names))
	}
	if !slices.IsSorted(names) {
		t.Error("the names are not in order")
	}
	files := 0
	err := fs.WalkDir(library, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		data, err := library.ReadFile(path)
		if err != nil {
			return err
		}
		a, err := Parse(data, path)
		if err != nil {
			t.Error(err)
			return nil
		}
		name, aliases := peek(data)
		if name != a.Name {
			t.Errorf("%s: the scan says %q, the YAML %q", path, name, a.Name)
		}
		if d := cmp.Diff(a.Aliases, aliases); d != "" {
			t.Errorf("%s: aliases: %s", path, d)
		}
		if want := name + ".yaml"; filepath.Base(path) != want {
			t.Errorf("%s should be called %s", path, want)
		}
		for _, p := range Check(data) {
			t.Errorf("%s:%d: %s", path, p.Line, p.Message)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files != len(names) {
		t.Errorf("%d files give %d names", files, len(names))
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	r := layered(t, "name: A.B\naliases: [Old.B]\nexport: LET X = 1\n", "name: A.C\naliases: [A.B]\nexport: LET X = 1\n")
	for asked, want := range map[string]string{"A.B": "A.B", "Old.B": "A.B", "A.C": "A.C"} {
		a, err := r.Get(asked)
		if err != nil || a.Name != want {
			t.Errorf("%s gives %v, %v", asked, a, err)
		}
	}
	_, err := r.Get("A.D")
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "did you mean A.B, A.C?") {
		t.Errorf("the error is %v", err)
	}
	if d := cmp.Diff([]string{"A.B", "A.C"}, r.Names()); d != "" {
		t.Error(d)
	}
	if _, err := Empty().Get("X"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the empty repository says %v", err)
	}
}

// layered makes a repository of the texts.
func layered(t *testing.T, texts ...string) *Repository {
	t.Helper()
	var data [][]byte
	for _, s := range texts {
		data = append(data, []byte(s))
	}
	r, err := Empty().WithDefinitions("test", data...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWithLayers(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{
		"a.yaml":           "name: Mine.One\nexport: LET X = 1\n",
		"b.yaml":           "name: Mine.One\nexport: LET X = 2\n",
		"bad.yaml":         "name: Mine.Bad\nfoo: 1\n",
		"deep/er/c.yml":    "name: Mine.Two\nexport: LET X = 1\n",
		"deep/mounts.YAML": "name: Linux.Mounts\nexport: LET Mine = 1\n",
		"notes.txt":        "name: Mine.Text\n",
		"big.yaml":         "description: " + strings.Repeat("a", MaxBytes),
	})
	if err := os.Mkdir(filepath.Join(dir, "dir.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	below := Embedded()
	r, err := below.With(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(r.Names()) - len(below.Names()); got != 2 {
		t.Errorf("%d names more", got)
	}
	for name, export := range map[string]string{"Mine.One": "LET X = 2", "Mine.Two": "LET X = 1", "Linux.Mounts": "LET Mine = 1"} {
		a, err := r.Get(name)
		if err != nil || a.Export != export || a.BuiltIn {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if a, err := below.Get("Linux.Mounts"); err != nil || !a.BuiltIn {
		t.Errorf("the lower layer changed: %v", err)
	}
	if a, _ := r.Get("Linux.Mounts"); a.Overrides != "library/linux/Linux.Mounts.yaml" {
		t.Errorf("the override of a built-in is noted as %q", a.Overrides)
	}
	var got []string
	for _, p := range r.Problems() {
		rel, err := filepath.Rel(dir, p.Path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %v %v", filepath.ToSlash(rel), p.Note, errors.Is(p, ErrInvalid)))
	}
	want := []string{"b.yaml true false", "bad.yaml false true", "big.yaml false true", "deep/mounts.YAML true false"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWithOneFile(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{"x": "name: X\nexport: LET A = 1\n"})
	r, err := Empty().With(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"X"}, r.Names()); d != "" {
		t.Error(d)
	}
	if _, err := Empty().With(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestWithDefinitionsRefuses(t *testing.T) {
	t.Parallel()
	_, err := Empty().WithDefinitions("plan.json", []byte("name: A\nexport: LET X = 1\n"), []byte("nome: B\n"))
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "plan.json:1:") {
		t.Errorf("the error is %v", err)
	}
}

func TestRepositoryIsShared(t *testing.T) {
	t.Parallel()
	r := Embedded()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, name := range r.Names() {
				if _, err := r.Get(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	a, _ := r.Get("Linux.Mounts")
	b, _ := r.Get("Linux.Mounts")
	if a == nil || a != b {
		t.Error("a definition is parsed more than once")
	}
}

func BenchmarkNames(b *testing.B) {
	for b.Loop() {
		if len(Embedded().Names()) == 0 {
			b.Fatal("no names")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	r := Embedded()
	var texts [][]byte
	for _, name := range r.Names() {
		a, err := r.Get(name)
		if err != nil {
			b.Fatal(err)
		}
		texts = append(texts, a.Raw)
	}
	i := 0
	for b.Loop() {
		if _, err := Parse(texts[i%len(texts)], ""); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// What is no regular file is passed over without being opened: a pipe would
// wait for its writer for ever.
func TestWithPassesOverOddFiles(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{"good.yaml": "name: Good\nexport: LET X = 1\n"})
	for name, target := range map[string]string{"loop.yaml": "loop.yaml", "gone.yaml": "nowhere", "link.yaml": "good.yaml", "null.yaml": os.DevNull} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	r, err := Empty().With(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Good"}, r.Names()); d != "" {
		t.Error(d)
	}
	failed := make(map[string]bool)
	for _, p := range r.Problems() {
		failed[filepath.Base(p.Path)] = !p.Note
	}
	if d := cmp.Diff(map[string]bool{"loop.yaml": true, "gone.yaml": true, "null.yaml": true, "link.yaml": false}, failed); d != "" {
		t.Error(d)
	}
}

func TestProblemsOfAllLayers(t *testing.T) {
	t.Parallel()
	lower := writeFiles(t, map[string]string{"a.yaml": "nome: A\n", "b.yaml": "name: B\naliases: [C]\nexport: LET X = 1\n"})
	upper := writeFiles(t, map[string]string{"c.yaml": "name: C\nexport: LET X = 2\n", "b.yaml": "name: B\nexport: LET X = 3\n"})
	r, err := Empty().With(lower)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.With(upper); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Problems()); n != 2 {
		t.Errorf("%d problems: %v", n, r.Problems())
	}
	// A name goes before an alias, whichever layer has it.
	for name, want := range map[string]string{"B": "LET X = 3", "C": "LET X = 2"} {
		if a, err := r.Get(name); err != nil || a.Export != want {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if got := r.Problems()[0].Error(); !strings.Contains(got, "a.yaml") || !strings.Contains(got, `unknown field "nome"`) {
		t.Errorf("the problem reads %q", got)
	}
}
