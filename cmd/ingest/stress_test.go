package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/importer"
	"satchel/server/store"
)

// ingest runs the program in this process.
func ingest(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &command.Env{
		Args: append([]string{"ingest"}, args...), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now,
		Getenv: func(k string) string { return map[string]string{"SATCHEL_STORE": dir}[k] }, Exit: func(int) {},
	}
	code = command.Run(t.Context(), program(), env)
	return out.String(), errs.String(), code
}

// TestFiveHundredContainers imports 500 containers of 100 machines from seven
// directories, twice, with bad ones among them.
func TestFiveHundredContainers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, st := filepath.Join(dir, "in"), filepath.Join(dir, "store")
	n := 500
	if testing.Short() {
		n = 100
	}
	if err := (fixture{many: n, rows: 2, files: 1, marker: "row"}).make(in); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"0/bad.zip", "3/torn.zip"} {
		if err := os.WriteFile(filepath.Join(in, bad), []byte("PK\x03\x04 torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pass, want := range []importer.Status{importer.Imported, importer.Already} {
		out, _, code := ingest(t, st, "import", "--json", in)
		counts := map[importer.Status]int{}
		lines := bufio.NewScanner(strings.NewReader(out))
		for lines.Scan() {
			var r importer.Result
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatalf("%s: %v", lines.Bytes(), err)
			}
			counts[r.Status]++
		}
		if counts[want] != n || counts[importer.Refused] != 2 || len(counts) != 2 || code != 3 {
			t.Errorf("pass %d: %v, exit code %d", pass, counts, code)
		}
	}
	clients, _, _ := ingest(t, st, "clients", "--json")
	if got := strings.Count(clients, "\n"); got != 100 {
		t.Errorf("%d clients, want 100", got)
	}
	flows, _, code := ingest(t, st, "flows", "--json", "--client", "host-7")
	if got := strings.Count(flows, "\n"); got != n/100 || code != 0 {
		t.Errorf("%d flows of host-7, want %d", got, n/100)
	}
}

// TestKilledImport kills imports at random moments. The store must be whole
// each time, and the last import finds what is left to do.
func TestKilledImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, st := filepath.Join(dir, "in"), filepath.Join(dir, "store")
	const n = 60
	if err := (fixture{many: n, rows: 1, files: 1, marker: "row"}).make(in); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "ingest") // the test binary under the name that makes it the program
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		kill(t, program, st, in, time.Duration(random.IntN(120))*time.Millisecond)
		checkStore(t, st)
	}
	out, errs, code := ingest(t, st, "import", "--json", in)
	if code != 0 || strings.Count(out, "\n") != n || strings.Contains(out, `"refused"`) || strings.Contains(out, `"partial"`) {
		t.Errorf("last import: exit code %d, %s\n%s", code, errs, out)
	}
	if got := checkStore(t, st); got != n {
		t.Errorf("%d flows, want %d", got, n)
	}
}

func kill(t *testing.T, program, st, in string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(program, "import", "--json", in)
	cmd.Env = append(os.Environ(), "SATCHEL_STORE="+st)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The clock starts when the first container is in.
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// checkStore reads everything in the store and returns the number of flows.
func checkStore(t *testing.T, st string) int {
	t.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, st, store.Options{})
	if err != nil {
		t.Fatalf("open after the kill: %v", err)
	}
	defer s.Close()
	count := 0
	for rec, err := range s.Flows(ctx, "") {
		if err != nil {
			t.Errorf("flow %s: %v", rec.FlowID, err)
			continue
		}
		count++
		res, err := container.Verify(ctx, s.ContainerPath(rec.ClientID, rec.FlowID), container.ReadOptions{})
		if err != nil || !res.OK || res.SHA256 != rec.Content.SHA256 {
			t.Errorf("container of %s: %+v, %v", rec.FlowID, res, err)
		}
		if _, err := s.Client(ctx, rec.ClientID); err != nil {
			t.Errorf("client of %s: %v", rec.FlowID, err)
		}
	}
	left, err := fs.ReadDir(os.DirFS(st), "incoming")
	if err != nil || len(left) != 0 {
		t.Errorf("incoming holds %v, %v", left, err)
	}
	return count
}
