package e2e

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	promise  = regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \|$`)
	testName = regexp.MustCompile("`(Test[A-Za-z0-9_]+|Fuzz[A-Za-z0-9_]+)`")
	folder   = regexp.MustCompile("`([a-z][a-z0-9/]+)`:")
	link     = regexp.MustCompile(`\]\(([^)#: ]+)(#[^)]*)?\)`)
)

// TestPromisesNameTests keeps the README's promises honest: each names tests
// that exist in the folder it names, or says that there is none yet.
func TestPromisesNameTests(t *testing.T) {
	t.Parallel()
	rows := promise.FindAllStringSubmatch(section(t, read(t, "README.md"), "## What it promises"), -1)
	if len(rows) < 8 {
		t.Fatalf("%d rows found in the table of promises", len(rows))
	}
	for _, row := range rows[1:] {
		heldBy := row[2]
		if strings.HasPrefix(heldBy, "not yet") || strings.HasPrefix(heldBy, "---") {
			continue
		}
		named := 0
		for place := range strings.SplitSeq(heldBy, ";") {
			dir := folder.FindStringSubmatch(place)
			if dir == nil {
				t.Errorf("%q names no folder: %s", row[1], place)
				continue
			}
			source := tests(t, dir[1])
			for _, name := range testName.FindAllStringSubmatch(place, -1) {
				named++
				if !strings.Contains(source, "func "+name[1]+"(") {
					t.Errorf("%q is held by %s, which %s does not have", row[1], name[1], dir[1])
				}
			}
		}
		if named == 0 {
			t.Errorf("%q names no test: %s", row[1], heldBy)
		}
	}
}

// TestReadmeCommands: CI runs exactly the test command that the README gives.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	commands := section(t, read(t, "README.md"), "## Two commands")
	for _, want := range []string{"\nmake demo ", "\nmake test "} {
		if !strings.Contains(commands, want) {
			t.Errorf("the README does not give %q", strings.TrimSpace(want))
		}
	}
	if ci := strings.TrimSpace(read(t, ".ci/run")); !strings.HasSuffix(ci, "\nexport CI=1\nmake test") {
		t.Error(".ci/run does not end with the README's test command")
	}
}

// TestLinks follows every relative link of every Markdown file.
func TestLinks(t *testing.T) {
	t.Parallel()
	followed := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || name == "build" || name == "bin" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".md") {
			return nil
		}
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			followed++
			target := path.Join(path.Dir(name), m[1])
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if followed < 10 {
		t.Errorf("only %d links found", followed)
	}
}

func TestPaper(t *testing.T) {
	t.Parallel()
	if n := strings.Count(read(t, "CONTRIBUTING.md"), "\n"); n >= 60 {
		t.Errorf("CONTRIBUTING.md has %d lines, it stays below 60", n)
	}
	fragments, err := filepath.Glob(root + "/changelog/unreleased/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range fragments {
		if data, err := os.ReadFile(name); err != nil || len(strings.TrimSpace(string(data))) == 0 {
			t.Errorf("%s: empty or unreadable (%v)", name, err)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// section returns the text below a heading, up to the next of its kind.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, heading+"\n")
	if !ok {
		t.Fatalf("no section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// tests returns the text of all test files of a folder.
func tests(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
