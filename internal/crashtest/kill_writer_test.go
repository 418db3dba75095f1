package crashtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"satchel/container"
)

// The environment that turns this test binary into the process that is killed.
const (
	writerPath  = "SATCHEL_CRASH_WRITER" // path of the container
	writerSeed  = "SATCHEL_CRASH_SEED"
	writerStops = "SATCHEL_CRASH_STOPS" // after this duration it closes the container; empty: never
	writerFlow  = "F.CRASHTEST0000"
)

// promise is how old an accepted entry must be to be owed after a kill.
const promise = time.Second

func TestMain(m *testing.M) {
	if path := os.Getenv(writerPath); path != "" {
		if err := writeUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	removeBinaries()
	os.Exit(code)
}

// writeUntilKilled is the process that is killed: it writes a container under
// load and tells the witness through file 3.
func writeUntilKilled(path string) error {
	s, err := strconv.ParseUint(os.Getenv(writerSeed), 10, 64)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if stops := os.Getenv(writerStops); stops != "" {
		after, err := time.ParseDuration(stops)
		if err != nil {
			return err
		}
		ctx, cancel = context.WithTimeoutCause(ctx, after, context.Canceled)
		defer cancel()
	}
	w, err := container.Create(path, header(writerFlow), container.Options{})
	if err != nil {
		return err
	}
	err = load(ctx, w, s, &witness{pipe: os.NewFile(3, "witness")})
	_, closeErr := w.Close(context.WithoutCancel(ctx))
	return errors.Join(err, closeErr)
}

// TestKillWriter kills a process that writes a container. Its witness is exact:
// it is told right after each acceptance.
func TestKillWriter(t *testing.T) {
	t.Parallel()
	everyRound(t, rounds(t, 4, 20, 200), func(t *testing.T, r *rand.Rand) {
		path := filepath.Join(t.TempDir(), "x.zip")
		slowest := watchMachine(t, filepath.Join(t.TempDir(), "probe"))
		lives := between(r, 20*time.Millisecond, 3*time.Second)
		stops := ""
		if r.IntN(3) == 0 { // so that the end falls into the closing
			stops = (lives - between(r, 0, 100*time.Millisecond)).String()
		}
		facts, dead := killWriter(t, path, r.Uint64(), stops, lives)
		late := slowest()
		if found := examine(t, path, facts, dead, promise+late); found != nil {
			t.Logf("lived %v, stops %q, the machine was late by %v: %d facts, rows %v, %d files, complete %v", lives, stops, late, len(facts), found.rows, len(found.files), found.complete)
		}
	})
}

// killWriter starts the writer, kills it after the given time and returns what
// the witness saw, and when the kill was sent.
func killWriter(t *testing.T, path string, s uint64, stops string, lives time.Duration) ([]fact, time.Time) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), writerPath+"="+path, writerSeed+"="+strconv.FormatUint(s, 10), writerStops+"="+stops)
	cmd.ExtraFiles = []*os.File{out}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := make(chan []byte, 1)
	go func() {
		data, _ := io.ReadAll(in) // what came before an error counts
		told <- data
	}()
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(lives)
	dead := time.Now()
	killErr := cmd.Process.Kill()
	waitErr := cmd.Wait()
	if killErr == nil && waitErr == nil && stops == "" {
		t.Fatal("the writer ended by itself")
	}
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		t.Fatalf("the writer failed before it was killed: exit %d", code)
	}
	facts, err := parseFacts(<-told)
	if err != nil {
		t.Fatal(err)
	}
	return facts, dead
}
