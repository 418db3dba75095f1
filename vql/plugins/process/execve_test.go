//go:build unix

package process

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/vql"
)

func sh(t *testing.T, script, sep string, length int64) []execveRow {
	t.Helper()
	var rows []execveRow
	var separator *regexp.Regexp
	if sep != "" {
		separator = regexp.MustCompile(sep)
	}
	a := execveArgs{Argv: []string{"/bin/sh", "-c", script}, Length: length, Env: vql.NewDict().Set("VAR", "val"), Cwd: "/"}
	if err := execute(t.Context(), a, separator, func(r *execveRow) bool { rows = append(rows, *r); return true }); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestExecve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script, sep string
		length      int64
		want        []execveRow
	}{
		{"printf 'a $VAR '; printf \"$VAR\"; pwd >&2; exit 3", "", 1000, []execveRow{{"a $VAR val", "/\n", 3, true}}},
		{"printf abcdefg", "", 3, []execveRow{{"abc", "", -1, false}, {"def", "", -1, false}, {"g", "", 0, true}}},
		{"printf 'a\\n\\nb\\nc'", "\n", 1000, []execveRow{{"a", "", -1, false}, {"b", "", -1, false}, {"c", "", -1, false}, {"", "", 0, true}}},
		{"kill -9 $$", "", 1000, []execveRow{{"", "", -1, true}}},
	} {
		if d := cmp.Diff(c.want, sh(t, c.script, c.sep, c.length)); d != "" {
			t.Errorf("%s: %s", c.script, d)
		}
	}
	if err := execute(t.Context(), execveArgs{Argv: []string{"/no/such/command"}, Length: 1}, nil, nil); err == nil {
		t.Error("a command that does not exist gives no error")
	}
}

// TestExecveEnds ends a command that would go on, with its children, and does
// not wait for one that fled its group.
func TestExecveEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pid := make(chan int, 1)
	start := time.Now()
	err := execute(ctx, execveArgs{Argv: []string{"/bin/sh", "-c", "sleep 1000 & echo $!; wait"}, Length: 1}, regexp.MustCompile("\n"), func(r *execveRow) bool {
		if n, err := strconv.Atoi(strings.TrimSpace(r.Stdout)); err == nil {
			pid <- n
			return false
		}
		return true
	})
	if err != nil || time.Since(start) > 20*time.Second {
		t.Fatalf("%v after %v", err, time.Since(start))
	}
	child := <-pid
	for range 100 {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
		if syscall.Kill(child, 0) != nil || err == nil && strings.Contains(string(b), ") Z ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the child %d still runs", child)
}

func TestTracker(t *testing.T) {
	t.Parallel()
	all := &snapshot{byID: map[string]*trackedRow{}}
	for pid, parent := range map[int64]int64{1: 0, 10: 1, 20: 10, 7: 8, 8: 7} {
		all.add(&processRow{Pid: pid, Ppid: parent})
	}
	ids := func(in []*trackedRow) string {
		var out []string
		for _, t := range in {
			out = append(out, t.Id)
		}
		return strings.Join(out, " ")
	}
	for id, want := range map[string]string{"20": "1 10 20", "20-123": "1 10 20", "1": "1", "99": "", "7": "8 7"} {
		if got := ids(all.chain(id, 10)); got != want {
			t.Errorf("chain of %s: %q, want %q", id, got, want)
		}
	}
	if got := ids(all.chain("20", 2)); got != "10 20" {
		t.Errorf("short chain %q", got)
	}
}
