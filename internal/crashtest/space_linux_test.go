package crashtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"satchel/container"
)

// TestFullDisk lets a container run into the end of its disk.
func TestFullDisk(t *testing.T) {
	tests := []struct {
		name   string
		floor  uint64 // MinFreeBytes
		filler bool   // somebody else takes the space
		closes bool   // the container must be whole; else it may be cut
	}{
		{name: "the floor holds and the container closes", floor: 4 << 20, closes: true},
		{name: "without a floor"},
		{name: "somebody else fills the disk", floor: 4 << 20, filler: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoopFS(t, 64<<20)
			path := filepath.Join(l.dir, "x.zip")
			w, err := container.Create(path, header(writerFlow), container.Options{MinFreeBytes: tt.floor})
			if err != nil {
				t.Fatal(err)
			}
			if tt.filler {
				go fill(filepath.Join(l.dir, "filler"), 1500*time.Millisecond)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var seen witness
			loadErr := load(ctx, w, seed(t), &seen)
			dead := time.Now()
			if !errors.Is(loadErr, container.ErrNoSpace) && !errors.Is(loadErr, syscall.ENOSPC) {
				t.Errorf("the disk is full, and the writer says: %v", loadErr)
			}
			_, closeErr := w.Close(context.WithoutCancel(ctx))
			owed := promise
			if closeErr == nil {
				owed = 0 // a container that closes holds everything
			} else if tt.closes {
				t.Errorf("close: %v", closeErr)
			}
			found := examine(t, path, seen.all(), dead, owed)
			if found == nil {
				t.Fatal("nothing is left")
			}
			if closeErr == nil && !found.complete {
				t.Error("close gave no error and the container is cut")
			}
			t.Logf("load: %v; close: %v; rows %v, %d files of %d facts", loadErr, closeErr, found.rows, len(found.files), len(seen.all()))
		})
	}
}

// fill takes all the space that is left, after a while.
func fill(name string, after time.Duration) {
	time.Sleep(after)
	f, err := os.Create(name)
	if err != nil {
		return
	}
	defer f.Close()
	piece := bytes.Repeat([]byte("full"), 64<<10)
	for range 1000 {
		if _, err := f.Write(piece); err != nil {
			piece = piece[:len(piece)/2]
		}
		if len(piece) == 0 {
			return
		}
	}
}

// TestFileSizeLimit lets the kernel refuse writes beyond a size, which needs no
// root: the container must be readable up to there, and the writer must say so.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.zip")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", `ulimit -f 4000; exec "$0"`, self) // 4 MB
	cmd.Env = append(os.Environ(), writerPath+"="+path, writerSeed+"=1", writerStops+"=60s")
	cmd.ExtraFiles = []*os.File{out}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	told, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer ended well although its file was full")
	}
	for _, want := range []string{syscall.EFBIG.Error(), "recover"} {
		if !bytes.Contains(stderr.Bytes(), []byte(want)) {
			t.Errorf("the writer does not say %q: %s", want, stderr.Bytes())
		}
	}
	facts, err := parseFacts(told)
	if err != nil || len(facts) == 0 {
		t.Fatalf("%d facts, %v", len(facts), err)
	}
	if found := examine(t, path, facts, facts[len(facts)-1].At, promise); found == nil || found.complete {
		t.Errorf("found %+v, want a cut container", found)
	}
}
