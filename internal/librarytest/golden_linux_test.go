package librarytest

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"satchel/artifacts"

	"github.com/google/go-cmp/cmp"
)

var (
	update = flag.Bool("update", false, "rewrite the golden files")
	// What differs from one checkout to the next.
	unsettable = regexp.MustCompile(`"(Atime|Ctime|Btime|Inode|Device)":("[^"]*"|\d+)`)
)

func mask(row string) string { return unsettable.ReplaceAllString(row, `"$1":"*"`) }

// golden are the artifacts that read nothing but files, with the parameters of
// each. Root is added.
func golden() map[string][]string {
	return map[string][]string{
		"Linux.Mounts":       nil,
		"Linux.Proc.Modules": nil,
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, args := range golden() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fixedHost(t)
			got := text(collect(t, name, append(args, name+"::Root="+root)...), root)
			path := filepath.Join("testdata", "golden", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v: run go test with -update", err)
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("the rows are not those of %s (-want +got):\n%s", path, d)
			}
		})
	}
}

// Every golden file belongs to a test, and every artifact that takes Root has
// one: a file that nobody compares would rot.
func TestGoldenIsComplete(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	cases := golden()
	for _, f := range files {
		if _, ok := cases[strings.TrimSuffix(filepath.Base(f), ".txt")]; !ok {
			t.Errorf("%s belongs to no test", f)
		}
	}
	r := artifacts.Embedded()
	for _, name := range r.Names() {
		a, err := r.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := a.Parameter("Root"); !ok || strings.HasSuffix(name, ".Triage") {
			continue
		}
		if _, ok := cases[name]; !ok {
			t.Errorf("%s takes Root and has no golden test", name)
		}
		if !slices.Contains(files, filepath.Join("testdata", "golden", name+".txt")) {
			t.Errorf("%s has no golden file", name)
		}
	}
}
