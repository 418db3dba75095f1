package librarytest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// fixedHost makes the file tree of testdata/host.txtar and returns its place.
// All times that can be set are those of changed.
func fixedHost(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "host.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) == 0 {
		t.Fatal("the fixed host has no files")
	}
	for _, f := range archive.Files {
		write(t, filepath.Join(root, f.Name), f.Data)
	}
	return root
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	changed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
}
