package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/importer"
	"satchel/internal/flow"
)

// foreignZip writes an archive as another program would: members by name.
func foreignZip(t *testing.T, name string, members map[string]string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for member, data := range members {
		m, err := w.Create(member)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func quoted(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// hostileNames are ids and paths that must never become paths of ours.
func hostileNames() []string {
	return []string{"../../../../x", "/etc/passwd", `..\..\x`, "C:\\x", "a\x00b", ".", "..", "", "F.../../../x", strings.Repeat("A", 1<<20), "F.D000000000001/../..", "nul", "x\ny"}
}

// TestHostileContainers imports containers whose ids, sources and uploads are
// paths, and copies everything out again: nothing leaves the two directories.
func TestHostileContainers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, st, out := filepath.Join(dir, "in"), filepath.Join(dir, "a", "b", "store"), filepath.Join(dir, "a", "b", "out")
	if err := os.MkdirAll(in, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, evil := range hostileNames() {
		members := map[string]string{
			"collection_context.json":      `{"session_id":` + quoted(t, evil) + `,"client_id":` + quoted(t, evil) + `,"create_time":1795307661433173,"request":{"artifacts":[` + quoted(t, evil) + `]},"state":2}`,
			"client_info.json":             `{"Hostname":` + quoted(t, evil) + `,"Fqdn":` + quoted(t, evil) + `,"HostID":` + quoted(t, evil) + fmt.Sprint(i) + `}`,
			"results/A%2F..%2F..%2Fx.json": `{"a":1}` + "\n", "results/..json": `{"b":1}` + "\n", "results/%2E%2E%2F%2E%2E%2Fy.json": `{"c":1}` + "\n",
			"uploads/file/x": "data", "../../../escape": "data", "/abs": "data",
		}
		members["client_info.json"] = strings.Replace(members["client_info.json"], `"`+fmt.Sprint(i)+`}`, fmt.Sprint(i)+`"}`, 1)
		var rows []string
		for _, components := range [][]string{{"uploads", "file", evil}, {"uploads", evil, "x"}, {"uploads", "..", "..", "..", "escape"}, {"uploads", "file", "..", "..", "x"}, {"uploads", "file", "x"}, {"uploads"}, {}} {
			row := map[string]any{"vfs_path": evil, "_Components": components, "file_size": 4, "uploaded_size": 4}
			rows = append(rows, quoted(t, row))
			row["Member"], row["member"] = "uploads/file/x", "uploads/file/x" // found under any name
			rows = append(rows, quoted(t, row))
		}
		members["uploads.json"] = strings.Join(rows, "\n") + "\n"
		foreignZip(t, filepath.Join(in, fmt.Sprintf("%02d.zip", i)), members)
	}
	stdout, stderr, code := ingest(t, st, "import", "--json", in)
	if code != 0 && code != 4 {
		t.Fatalf("exit code %d: %s\n%.500s", code, stderr, stdout)
	}
	n := 0
	for _, line := range strings.Split(strings.TrimSpace(stdout), "\n") {
		var r importer.Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		n++
		if r.Status == importer.Refused || !flow.ValidID(r.FlowID) || !flow.ValidClientID(r.ClientID) {
			t.Errorf("%s: %s as %.40q/%.40q: %.300v", filepath.Base(r.Path), r.Status, r.ClientID, r.FlowID, r.Problems)
			continue
		}
		for _, args := range [][]string{{"uploads", r.FlowID, "--get", "**", "-o", out}, {"export", r.FlowID, "--format", "csv", "-o", filepath.Join(out, "rows"+fmt.Sprint(n))},
			{"report", r.FlowID, "-o", filepath.Join(out, fmt.Sprintf("page%d.html", n))}, {"results", r.FlowID}, {"flow", "show", r.FlowID}} {
			if _, errs, code := ingest(t, st, args...); code == 2 || code == 130 || strings.Contains(errs, "panic") {
				t.Errorf("%v: exit code %d: %.300s", args[:1], code, errs)
			}
		}
	}
	if n != len(hostileNames()) {
		t.Errorf("%d results, want %d", n, len(hostileNames()))
	}
	checkTree(t, dir)
}

// checkTree fails for anything but the directories that were named.
func checkTree(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		switch rel = filepath.ToSlash(rel); {
		case rel == ".", rel == "a", rel == "a/b", rel == "in":
		case strings.HasPrefix(rel, "in/") && strings.HasSuffix(rel, ".zip"):
		case strings.HasPrefix(rel, "a/b/store"), strings.HasPrefix(rel, "a/b/out"):
			if strings.Contains(rel, "escape") && strings.HasPrefix(rel, "a/b/store") {
				t.Errorf("%s in the store", rel)
			}
		default:
			t.Errorf("%s was written", rel)
		}
		if d.Type()&fs.ModeSymlink != 0 {
			t.Errorf("%s is a link", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/escape", "/x", "/tmp/escape"} {
		if _, err := os.Lstat(p); err == nil {
			t.Errorf("%s was written", p)
		}
	}
}

// TestSparseBomb imports a container whose sparse file is an exabyte long.
func TestSparseBomb(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "bomb.zip")
	foreignZip(t, name, map[string]string{
		"collection_context.json": `{"session_id":"F.D000000000001","request":{},"state":2}`,
		"client_info.json":        `{"Hostname":"h"}`,
		"uploads/file/bomb":       "x",
		"uploads/file/bomb.idx":   `{"ranges":[{"length":1,"file_length":1},{"original_offset":1,"length":1152921504606846975}]}`,
		"uploads.json":            `{"vfs_path":"/bomb","_Components":["uploads","file","bomb"],"file_size":1152921504606846976,"uploaded_size":1,"Type":""}` + "\n",
	})
	st := filepath.Join(dir, "store")
	if _, errs, code := ingest(t, st, "import", name); code != 0 {
		t.Fatalf("import: %d %s", code, errs)
	}
	_, _, code := ingest(t, st, "uploads", "F.D000000000001", "--get", "*", "-o", filepath.Join(dir, "out"))
	if code != 4 {
		t.Errorf("exit code %d, want 4", code)
	}
}
