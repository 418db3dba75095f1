package crashtest

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/container"
)

// fileArgs are the words that collect the files of a folder into path.
func fileArgs(sources, path string, more ...string) []string {
	return append([]string{"run", sourceFiles, "--definitions", "testdata/files.yaml", "--args", "Globs=" + filepath.Join(sources, "*"), "-o", path}, more...)
}

// TestCollectOnFullDisk runs the real command into the end of its disk.
func TestCollectOnFullDisk(t *testing.T) {
	sources := makeSources(t, rand.New(rand.NewPCG(5, 6)), 500, 30)
	l := newLoopFS(t, 40<<20)
	path := filepath.Join(l.dir, "x.zip")
	a := must(t, []int{3}, "collect", fileArgs(sources, path, "--min-free", "2MB")...)
	if !strings.Contains(a.stderr, "space") {
		t.Errorf("the disk was full, and the command does not say so:\n%s", a.stderr)
	}
	found := examine(t, path, nil, time.Now(), promise)
	if found == nil || !found.complete || len(found.files) == 0 {
		t.Fatalf("found %+v, want a container that was closed", found)
	}
	if len(found.files) >= 530 {
		t.Fatalf("all %d files fitted: the disk was never full", len(found.files))
	}
	must(t, []int{0}, "ingest", "verify", path, "--json")
	askTools(t, path, found)
}

// TestInterrupt interrupts the real command as Ctrl-C does: it must close its
// container, say that it was interrupted, and leave no spool.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	sources := makeSources(t, rand.New(rand.NewPCG(7, 8)), 1000, 30)
	collect := tool(t, "collect")
	everyRound(t, rounds(t, 2, 10, 50), func(t *testing.T, r *rand.Rand) {
		path := filepath.Join(t.TempDir(), "x.zip")
		var said bytes.Buffer
		cmd := exec.Command(collect, fileArgs(sources, path, "--cpu-limit", "10")...)
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lives := between(r, 200*time.Millisecond, 2*time.Second)
		time.Sleep(lives)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		stopped := time.Now()
		err := cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(said.String(), "interrupted") {
			t.Fatalf("exit %d (%v), want 130 and a word about it:\n%s", code, err, said.Bytes())
		}
		if took := time.Since(stopped); took > 20*time.Second {
			t.Errorf("it went on for %v after the interrupt", took)
		}
		if _, err := os.Stat(path + container.SpoolSuffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the spool is still there: %v", err)
		}
		found := examine(t, path, nil, time.Now(), promise)
		if found == nil || !found.complete {
			t.Fatalf("found %+v, want a container that was closed", found)
		}
		t.Logf("interrupted after %v: %d files, %d rows", lives, len(found.files), len(found.named))
	})
}
