package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// binaries are the two commands, built once for all tests of this package.
var binaries struct {
	once sync.Once
	dir  string
	err  error
}

func buildBinaries() (string, error) {
	binaries.once.Do(func() {
		if binaries.dir, binaries.err = os.MkdirTemp("", "satchel-crash-*"); binaries.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binaries.dir+string(filepath.Separator), "satchel/cmd/collect", "satchel/cmd/ingest")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			binaries.err = fmt.Errorf("build: %w: %s", err, out)
		}
	})
	return binaries.dir, binaries.err
}

func removeBinaries() {
	if binaries.dir != "" {
		if err := os.RemoveAll(binaries.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// tool returns the path of one of the two commands.
func tool(t *testing.T, name string) string {
	t.Helper()
	dir, err := buildBinaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// answer is how a command ended and what it said.
type answer struct {
	code           int
	stdout, stderr string
}

// run runs a command to its end; only a command that cannot be run fails the
// test.
func run(t *testing.T, name string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, tool(t, name), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), errors.Join(err, ctx.Err()))
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// must runs a command that has to end with one of the codes.
func must(t *testing.T, codes []int, name string, args ...string) answer {
	t.Helper()
	a := run(t, name, args...)
	if !slices.Contains(codes, a.code) {
		t.Fatalf("%s %s: exit %d, want %v\n%s%s", name, strings.Join(args, " "), a.code, codes, a.stdout, a.stderr)
	}
	return a
}

// imported is one line of `ingest import --json`.
type imported struct {
	Path     string            `json:"path"`
	Status   string            `json:"status"`
	ClientID string            `json:"client_id"`
	FlowID   string            `json:"flow_id"`
	Rows     int64             `json:"rows"`
	Uploads  int64             `json:"uploads"`
	Problems []json.RawMessage `json:"problems"`
}

// verified is one line of `ingest verify --json`.
type verified struct {
	OK       bool              `json:"ok"`
	Complete bool              `json:"complete"`
	Problems []json.RawMessage `json:"problems"`
}

// uploaded is one line of `ingest uploads --json`.
type uploaded struct {
	Path       string `json:"path"`
	StoredSize int64  `json:"stored_size"`
	Complete   bool   `json:"complete"`
}

func decodeLines[T any](t *testing.T, text string) []T {
	t.Helper()
	var out []T
	for line := range strings.Lines(text) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, v)
	}
	return out
}

func decodeLine[T any](t *testing.T, text string) T {
	t.Helper()
	all := decodeLines[T](t, text)
	if len(all) != 1 {
		t.Fatalf("%d lines, want one:\n%s", len(all), text)
	}
	return all[0]
}
