package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"satchel/internal/flow"
)

// The child of a crash test ends in the middle of a change with this code.
const crashCode = 77

const (
	crashClient = "C.00000000000000cc"
	crashFlow   = "F.00000000000CR"
	otherFlow   = "F.0000000000OTH"
)

// TestMain lets the test binary be the process that dies.
func TestMain(m *testing.M) {
	if op := os.Getenv("SATCHEL_TEST_CRASH_OP"); op != "" {
		n, err := strconv.Atoi(os.Getenv("SATCHEL_TEST_CRASH_AT"))
		if err == nil {
			err = crashChild(os.Getenv("SATCHEL_TEST_CRASH_DIR"), op, n)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashChild opens the store and does op, but ends the process at the n-th step.
func crashChild(dir, op string, n int) error {
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	s.step = func(string) {
		if n--; n == 0 {
			os.Exit(crashCode)
		}
	}
	if err := crashOps()[op](s); err != nil {
		return err
	}
	return s.Close()
}

// crashOps are the changes that are cut at every step.
func crashOps() map[string]func(*Store) error {
	return map[string]func(*Store) error{
		"import, new client": func(s *Store) error { return crashPut(s, crashClient, crashFlow, false, "zip", "spool") },
		"import, old client": func(s *Store) error { return crashPut(s, "C.0000000000000001", crashFlow, false, "zip", "") },
		"extend, spool goes": func(s *Store) error { return crashPut(s, "C.0000000000000001", otherFlow, true, "zi-whole", "") },
		"extend, spool stays": func(s *Store) error {
			return crashPut(s, "C.0000000000000001", otherFlow, true, "zi-longer", "sp-longer")
		},
		"extend, container goes": func(s *Store) error { return crashPut(s, "C.0000000000000001", otherFlow, true, "", "sp-alone") },
		"delete":                 func(s *Store) error { return s.Delete(context.Background(), "C.0000000000000001", otherFlow) },
	}
}

func crashPut(s *Store, client, id string, replace bool, zip, spool string) error {
	_, err := s.Put(context.Background(), func(_ context.Context, stage *os.Root) (flow.Record, bool, error) {
		rec := flow.Record{ClientID: client, FlowID: id, Started: time.Unix(1e9, 0).UTC(), Host: flow.Host{Hostname: "h"}}
		for name, data := range map[string]string{ContainerName: zip, SpoolName: spool} {
			if data == "" {
				continue
			}
			f, err := stage.Create(name)
			if err != nil {
				return rec, false, err
			}
			io.WriteString(f, data[:1])
			s.step("half a file")
			io.WriteString(f, data[1:])
			if err := f.Close(); err != nil {
				return rec, false, err
			}
			sum := sha256.Sum256([]byte(data))
			if name == ContainerName {
				rec.Content.SHA256, rec.Content.Bytes = hex.EncodeToString(sum[:]), int64(len(data))
			} else {
				rec.Content.SpoolSHA256, rec.Content.SpoolBytes = hex.EncodeToString(sum[:]), int64(len(data))
			}
		}
		return rec, replace, nil
	})
	return err
}

// baseline makes the store that each crash happens to.
func baseline(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := crashPut(s, "C.0000000000000001", otherFlow, false, "zi", "sp"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// view is all that a reader can see of a store.
func view(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	for c, err := range s.Clients(t.Context()) {
		if err != nil {
			t.Fatalf("clients: %v", err)
		}
		fmt.Fprintf(&b, "client %s %s\n", c.ClientID, c.FactsFlow)
	}
	for rec, err := range s.Flows(t.Context(), "") {
		if err != nil {
			t.Fatalf("flows: %v", err)
		}
		zip, spool, c, err := s.OpenContainer(t.Context(), rec.ClientID, rec.FlowID)
		if err != nil {
			t.Fatalf("open %s: %v", rec.FlowID, err)
		}
		fmt.Fprintf(&b, "flow %s/%s record %d+%d", rec.ClientID, rec.FlowID, rec.Content.Bytes, rec.Content.SpoolBytes)
		for _, r := range []*io.SectionReader{zip, spool} {
			if r == nil {
				b.WriteString(" -")
				continue
			}
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, " %q", data)
		}
		b.WriteString("\n")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func openView(t *testing.T, dir string, readOnly bool) string {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{ReadOnly: readOnly})
	if err != nil {
		t.Fatalf("open after the crash: %v", err)
	}
	defer s.Close()
	return view(t, s)
}

// TestCrashAtEveryStep ends a process at each step of each change. A reader
// must see a store without error at once, and after the next open for writing
// the change is done whole or not at all, with one audit line if it is done.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for op, do := range crashOps() {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			before := openView(t, baseline(t), true)
			done := baseline(t)
			s, err := Open(t.Context(), done, Options{})
			if err != nil {
				t.Fatal(err)
			}
			steps := 0
			s.step = func(string) { steps++ }
			if err := do(s); err != nil {
				t.Fatal(err)
			}
			after := view(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if steps < 5 || before == after {
				t.Fatalf("%d steps, before %q, after %q", steps, before, after)
			}
			kept := 0
			for n := 1; n <= steps; n++ {
				dir := baseline(t)
				crash(t, dir, op, n)
				openView(t, dir, true)
				got := openView(t, dir, false)
				if got != before && got != after {
					t.Errorf("step %d: the store holds\n%swant\n%sor\n%s", n, got, before, after)
				}
				if got == after {
					kept++
				}
				checkLeftovers(t, dir, got == after, n)
			}
			if kept == 0 || kept == steps {
				t.Errorf("the change was kept after %d of %d steps: the commit is not among them", kept, steps)
			}
		})
	}
}

func crash(t *testing.T, dir, op string, n int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "SATCHEL_TEST_CRASH_OP="+op, "SATCHEL_TEST_CRASH_DIR="+dir, "SATCHEL_TEST_CRASH_AT="+strconv.Itoa(n))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != crashCode {
		t.Fatalf("step %d: the child ended with %v:\n%s", n, err, out)
	}
}

// checkLeftovers looks at incoming/ and the audit log.
func checkLeftovers(t *testing.T, dir string, done bool, n int) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(dir, "incoming"))
	if err != nil || len(left) != 0 {
		t.Errorf("step %d: incoming holds %v, %v", n, left, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	want := 1
	if done {
		want = 2
	}
	if len(lines) != want {
		t.Errorf("step %d: audit log has %d lines, want %d:\n%s", n, len(lines), want, data)
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("step %d: torn audit line %q", n, l)
		}
	}
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".tmp") {
			t.Errorf("step %d: %s is left", n, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRecoverIgnoresJunk puts things into incoming/ that no transaction made.
func TestRecoverIgnoresJunk(t *testing.T) {
	t.Parallel()
	dir := baseline(t)
	want := openView(t, dir, true)
	junk := map[string]string{
		"a/commit.json": `{"version":1,"action":"import","client_id":"../../..","flow_id":"x"}`,
		"b/commit.json": `{"version":1,"act`,
		"c/flow/x":      "half",
		"d":             "a file",
	}
	for name, data := range junk {
		p := filepath.Join(dir, "incoming", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := openView(t, dir, false); got != want {
		t.Errorf("junk changed the store to\n%swant\n%s", got, want)
	}
	checkLeftovers(t, dir, false, 0)
}
