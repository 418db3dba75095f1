package crashtest

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKillCollect kills the real command while it collects a folder of files. Its
// witness is the kernel: it tells when the command closed each of them. Every
// file closed long enough ago must be there whole, and so must be its row.
func TestKillCollect(t *testing.T) {
	t.Parallel()
	sources := makeSources(t, rand.New(rand.NewPCG(3, 4)), 2500, 40)
	collect := tool(t, "collect")
	everyRound(t, rounds(t, 3, 50, 500), func(t *testing.T, r *rand.Rand) {
		dir, sources := t.TempDir(), linkSources(t, sources)
		path := filepath.Join(dir, "x.zip")
		glob := filepath.Join(sources, "*")
		if r.IntN(3) == 0 { // a tenth of it, so that the end falls into the closing
			glob = filepath.Join(sources, "*"+strconv.Itoa(r.IntN(10))+".*")
		}
		args := []string{"run", sourceFiles, "--definitions", "testdata/files.yaml", "--args", "Globs=" + glob, "-o", path}
		if r.IntN(4) > 0 {
			args = append(args, "--cpu-limit", strconv.Itoa(5+r.IntN(30)))
		}
		watch, slowest := watchReadings(t, sources), watchMachine(t, filepath.Join(dir, "probe"))
		var said bytes.Buffer
		cmd := exec.Command(collect, args...)
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lives := between(r, 10*time.Millisecond, 3500*time.Millisecond)
		time.Sleep(lives)
		dead := time.Now()
		if err := cmd.Process.Kill(); err != nil {
			t.Logf("it ended by itself before the kill: %v", err)
		}
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() > 0 {
			t.Fatalf("collect failed before it was killed: %v\n%s", err, said.Bytes())
		}
		late := slowest()
		var facts []fact
		for name, at := range watch.stop() {
			size, err := sizeOf(name)
			if err != nil {
				t.Fatal(err)
			}
			facts = append(facts, fact{"file", name, size, at}, fact{"row", name, size, at})
		}
		found := examine(t, path, facts, dead, promise+late)
		if found == nil {
			return
		}
		t.Logf("%s lived %v, the machine was late by %v: %d facts, %d files, %d rows, complete %v", strings.Join(args[6:], " "), lives, late, len(facts), len(found.files), len(found.named), found.complete)
		askTools(t, path, found)
	})
}

// askTools puts the evidence through `ingest`, which must say the same as the
// reader did.
func askTools(t *testing.T, path string, found *evidence) {
	t.Helper()
	before := pair(t, path)
	codes := []int{4}
	if found.complete {
		codes = []int{0}
	}
	must(t, codes, "ingest", "inspect", path, "--json")
	v := decodeLine[verified](t, must(t, codes, "ingest", "verify", path, "--json").stdout)
	if v.Complete != found.complete || v.Complete == (len(v.Problems) > 0) {
		t.Errorf("verify: %+v, and the reader: complete %v", v, found.complete)
	}
	store := filepath.Join(t.TempDir(), "store")
	first := decodeLine[imported](t, must(t, codes, "ingest", "import", path, "--store", store, "--json").stdout)
	again := decodeLine[imported](t, must(t, []int{0, 4}, "ingest", "import", path, "--store", store, "--json").stdout)
	status := map[bool]string{true: "imported", false: "partial"}[found.complete]
	if first.Status != status || again.Status != "already" || again.FlowID != first.FlowID {
		t.Errorf("import: %+v, then %+v", first, again)
	}
	if first.Rows != int64(len(found.named)) || first.Uploads != int64(len(found.files)) {
		t.Errorf("import counts %d rows and %d uploads, want %d and %d", first.Rows, first.Uploads, len(found.named), len(found.files))
	}
	asked := newEvidence()
	if len(found.named) > 0 {
		rows := must(t, []int{0}, "ingest", "results", first.FlowID, sourceFiles, "--store", store, "--format", "jsonl")
		if err := asked.addNames(strings.NewReader(rows.stdout)); err != nil {
			t.Errorf("results: %v", err)
		}
	}
	for _, u := range decodeLines[uploaded](t, must(t, []int{0}, "ingest", "uploads", first.FlowID, "--store", store, "--json").stdout) {
		asked.files[filepath.Base(u.Path)] = file{u.StoredSize, u.Complete}
	}
	if !maps.Equal(asked.named, found.named) || !maps.Equal(asked.files, found.files) {
		t.Errorf("the store answers with %d rows and %d files, the container holds %d and %d", len(asked.named), len(asked.files), len(found.named), len(found.files))
	}
	if !found.complete {
		whole := filepath.Join(t.TempDir(), "whole.zip")
		must(t, codes, "ingest", "recover", path, "-o", whole)
		v := decodeLine[verified](t, must(t, []int{0}, "ingest", "verify", whole, "--json").stdout)
		if !v.OK || v.Complete {
			t.Errorf("verify of the recovered container: %+v, want unaltered, and not complete", v)
		}
		same := decodeLine[imported](t, must(t, []int{0, 4}, "ingest", "import", whole, "--store", store, "--json").stdout)
		if same.Status != "already" || same.FlowID != first.FlowID {
			t.Errorf("import of the recovered container: %+v, want what is there already", same)
		}
	}
	if after := pair(t, path); !maps.Equal(before, after) {
		t.Error("the tools changed the evidence")
	}
}
