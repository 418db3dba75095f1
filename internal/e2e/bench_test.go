package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestMeasuresRun takes every measure of `make bench` on a hundredth of the
// data, so that none has stopped working when its numbers are wanted.
func TestMeasuresRun(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("commands are measured on Unix systems only")
	}
	table := filepath.Join(t.TempDir(), "table.md")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./bench/run", "-quick", "-bin", binaries(t), "-work", t.TempDir(), "-out", table)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"gzip -5", "sha256sum", "collect the tree", "import 520 files", "50000 rows", "trivial query", "`collect`:"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no measure %q in\n%s", want, data)
		}
	}
}
