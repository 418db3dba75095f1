package container

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expectations of vectors that have none; those there are never changed")

const vectorDir = "../testdata/vectors/v1"

// vector is what a container of an earlier version must go on giving.
type vector struct {
	Complete bool
	FlowID   string
	Rows     map[string]string // JSONL by source
	Uploads  map[string]string // SHA-256 by path
	Partial  map[string]string
	Logs     int
	Reports  int
}

// TestVectors reads containers that were written by this and earlier versions.
// Files are only ever added to the folder.
func TestVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.zip"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d vectors in %s, %v", len(files), vectorDir, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			got := readVector(t, path)
			golden := strings.TrimSuffix(path, ".zip") + ".json"
			b, err := os.ReadFile(golden)
			if os.IsNotExist(err) && *update {
				b, _ = json.MarshalIndent(got, "", "  ")
				if err := os.WriteFile(golden, append(b, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			var want vector
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("it gives other things than when it was written (-want +got):\n%s", d)
			}
		})
	}
}

func readVector(t *testing.T, path string) vector {
	t.Helper()
	r, err := OpenFile(path, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rec := newRecorder()
	if err := r.Replay(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	hashes := func(in map[string]string) map[string]string {
		out := map[string]string{}
		for k, v := range in {
			sum := sha256.Sum256([]byte(v))
			out[strings.ToValidUTF8(k, "?")] = hex.EncodeToString(sum[:])
		}
		return out
	}
	info := r.Info()
	return vector{
		Complete: info.Complete, FlowID: info.Flow.ID, Rows: rec.Rows, Uploads: hashes(rec.Uploads), Partial: hashes(rec.Partial),
		Logs: len(rec.Logs), Reports: len(rec.Reports),
	}
}

// TestMakeVectors writes the vectors of this version that are not there yet.
func TestMakeVectors(t *testing.T) {
	if !*update {
		t.Log("only with -update")
		return
	}
	_, _, whole := closedSample(t, 300_000)
	_, zip, spool := crashedSample(t, 300_000)
	for name, b := range map[string][]byte{
		"whole.zip": whole, "cut.zip": zip, "cut.zip.spool": spool, "nospool.zip": zip[:len(zip)-100], "nodirectory.zip": whole[:len(whole)-50],
	} {
		path := filepath.Join(vectorDir, name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.MkdirAll(vectorDir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
