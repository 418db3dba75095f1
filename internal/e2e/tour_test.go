package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	flowID   = regexp.MustCompile(`F\.[0-9A-V]{13}\b`)
	clientID = regexp.MustCompile(`C\.[0-9a-f]{16}\b`)
)

// step is one command of the tour, with what the README shows below it.
type step struct{ command, shown string }

// TestTour types the README's tour as it stands there, in an empty folder, with
// the two commands in the PATH. Ids in the text are replaced by those that the
// tour itself came upon. A command that shows something there must print
// something here. Without E2E in the environment a smaller set is collected, and
// the steps on the killed collection, which would end too early, are left out.
func TestTour(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the tour is that of a Linux host")
	}
	steps := tour(section(t, read(t, "README.md"), "## Two minutes"))
	if len(steps) < 5 {
		t.Fatalf("only %d commands in the tour", len(steps))
	}
	dir := t.TempDir()
	env := append(os.Environ(), "PATH="+binaries(t)+string(os.PathListSeparator)+os.Getenv("PATH"), "SATCHEL_STORE="+filepath.Join(dir, "store"))
	var flow, client string
	for _, s := range steps {
		command := s.command
		if os.Getenv("E2E") == "" { // the whole set takes long on a host with many files
			command = strings.ReplaceAll(command, "Linux.Triage", "Linux.Sys.Groups Linux.Collect")
			if strings.Contains(command, "cut.zip") {
				continue
			}
		}
		if flow != "" {
			command = flowID.ReplaceAllLiteralString(command, flow)
		}
		if client != "" {
			command = clientID.ReplaceAllLiteralString(command, client)
		}
		out := typed(t, dir, env, command)
		if id := flowID.FindString(out); id != "" {
			flow = id
		}
		if id := clientID.FindString(out); id != "" {
			client = id
		}
		if (strings.TrimSpace(s.shown) == "") != (strings.TrimSpace(out) == "") {
			t.Errorf("%s: the README shows\n%s\nand here it prints\n%s", s.command, s.shown, out)
		}
	}
}

// tour takes the commands out of the console blocks of a text.
func tour(text string) []step {
	var steps []step
	inside := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = strings.TrimSpace(line) == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{command: strings.TrimSpace(line[2:])})
		case len(steps) > 0:
			steps[len(steps)-1].shown += line
		}
	}
	return steps
}

// typed runs a command line and returns what a terminal would show. Exit code 3
// is what a host without root gives (some items failed), 4 a container that was
// cut; a command that is killed must not end well.
func typed(t *testing.T, dir string, env []string, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	killed := strings.Contains(line, " KILL ")
	if err != nil && !killed && (!errors.As(err, &exit) || !slices.Contains([]int{3, 4}, exit.ExitCode())) || killed && err == nil {
		t.Fatalf("$ %s: %v\n%s", line, err, out)
	}
	t.Logf("$ %s\n%s", line, bytes.TrimSpace(out))
	return string(out)
}
