package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/internal/flow"
	"satchel/server/store"
	"satchel/server/store/storetest"
)

func open(t *testing.T, dir string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store {
		return open(t, filepath.Join(t.TempDir(), "store"), store.Options{})
	})
}

func add(t *testing.T, s *store.Store, client, id, data string) {
	t.Helper()
	rec := storetest.Record(client, id, time.Unix(1e9, 0).UTC(), []byte(data), nil)
	if _, err := s.Put(t.Context(), storetest.Filler(rec, false, []byte(data), nil)); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultDir(t *testing.T) {
	t.Parallel()
	cases := []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", map[string]string{"HOME": "/home/u"}, "/home/u/.local/share/satchel/store"},
		{"linux", map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "/data"}, "/data/satchel/store"},
		{"linux", map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "relative"}, "/home/u/.local/share/satchel/store"},
		{"linux", map[string]string{"HOME": "/home/u", "SATCHEL_STORE": "/s"}, "/s"},
		{"darwin", map[string]string{"HOME": "/Users/u"}, "/Users/u/Library/Application Support/satchel/store"},
		{"windows", map[string]string{"LocalAppData": "/l"}, "/l/satchel/store"},
		{"linux", nil, ""},
	}
	for _, c := range cases {
		got, err := store.DefaultDir(c.goos, func(k string) string { return c.env[k] })
		if filepath.ToSlash(got) != c.want || (err != nil) != (c.want == "") {
			t.Errorf("DefaultDir(%s, %v) = %q, %v, want %q", c.goos, c.env, got, err, c.want)
		}
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	if _, err := store.Open(t.Context(), dir, store.Options{ReadOnly: true}); !errors.Is(err, store.ErrNoStore) {
		t.Fatalf("reading a store that is not there: %v, want ErrNoStore", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("opening to read made a directory")
	}
	w := open(t, dir, store.Options{})
	add(t, w, storetest.ClientA, storetest.Flow1, "z")
	r := open(t, dir, store.Options{ReadOnly: true}) // while w is open
	if found, err := r.Find(t.Context(), storetest.Flow1); err != nil || len(found) != 1 {
		t.Errorf("find = %v, %v", found, err)
	}
	if err := r.Delete(t.Context(), storetest.ClientA, storetest.Flow1); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("delete: %v, want ErrReadOnly", err)
	}
	if _, err := r.Put(t.Context(), nil); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("put: %v, want ErrReadOnly", err)
	}
}

func TestLockNamesItsHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir, store.Options{Command: "ingest import"})
	start := time.Now()
	_, err := store.Open(t.Context(), dir, store.Options{LockWait: 120 * time.Millisecond})
	var locked *store.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("second writer: %v, want a LockedError", err)
	}
	if time.Since(start) < 100*time.Millisecond {
		t.Error("the second writer did not wait")
	}
	for _, want := range []string{"ingest import", fmt.Sprint(os.Getpid()), dir} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("message %q does not name %q", err, want)
		}
	}
	add(t, first, storetest.ClientA, storetest.Flow1, "still works")
}

func TestWaitingWriterGetsTheLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := store.Open(t.Context(), dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		s, err := store.Open(context.Background(), dir, store.Options{LockWait: time.Minute})
		if err == nil {
			err = s.Close()
		}
		done <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestForeignDirectoryIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), dir, store.Options{}); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("error %v, want one that names the file", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory was changed: %v, %v", entries, err)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"newer":   `{"format":"satchel store","version":999}`,
		"foreign": `{"format":"other","version":1}`,
		"broken":  `{"format`,
		"huge":    strings.Repeat(" ", 1<<17),
	}
	for name, content := range cases {
		for _, readOnly := range []bool{true, false} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "store.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if s, err := store.Open(t.Context(), dir, store.Options{ReadOnly: readOnly}); err == nil {
				t.Errorf("%s store.json was taken", name)
				s.Close()
			}
		}
	}
}

// TestDamagedRecordsAreNamed destroys the small files: a listing goes on and
// names them.
func TestDamagedRecordsAreNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	add(t, s, storetest.ClientA, storetest.Flow1, "1")
	add(t, s, storetest.ClientA, storetest.Flow2, "2")
	add(t, s, storetest.ClientB, storetest.Flow1, "3")
	base := filepath.Join(dir, "clients", storetest.ClientA)
	for _, f := range []string{filepath.Join(base, "client.json"), filepath.Join(base, "flows", storetest.Flow1, "flow.json")} {
		if err := os.WriteFile(f, []byte(`{"flow_id":`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, bad := 0, 0
	for rec, err := range s.Flows(t.Context(), "") {
		if err != nil {
			bad++
			if rec.FlowID != storetest.Flow1 || rec.ClientID != storetest.ClientA {
				t.Errorf("the damaged flow is called %s/%s", rec.ClientID, rec.FlowID)
			}
			continue
		}
		good++
	}
	if good != 2 || bad != 1 {
		t.Errorf("%d good and %d damaged flows, want 2 and 1", good, bad)
	}
	clients := 0
	for c, err := range s.Clients(t.Context()) {
		clients++
		if (err != nil) != (c.ClientID == storetest.ClientA) {
			t.Errorf("client %s: %v", c.ClientID, err)
		}
	}
	if clients != 2 {
		t.Errorf("%d clients, want 2", clients)
	}
	if err := s.Delete(t.Context(), storetest.ClientA, storetest.Flow1); err != nil {
		t.Errorf("a damaged flow cannot be deleted: %v", err)
	}
}

// TestSymlinksDoNotLeadOut plants links where the store would write or read.
func TestSymlinksDoNotLeadOut(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, store.Options{})
	add(t, s, storetest.ClientA, storetest.Flow1, "1")
	zip := filepath.Join(dir, "clients", storetest.ClientA, "flows", storetest.Flow1, "container.zip")
	if err := errors.Join(os.Remove(zip), os.Symlink(secret, zip)); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := s.OpenContainer(t.Context(), storetest.ClientA, storetest.Flow1); err == nil {
		t.Error("a link out of the store was followed")
	}
	if err := os.Symlink(outside, filepath.Join(dir, "clients", storetest.ClientB)); err != nil {
		t.Fatal(err)
	}
	rec := storetest.Record(storetest.ClientB, storetest.Flow1, time.Time{}, []byte("z"), nil)
	if _, err := s.Put(t.Context(), storetest.Filler(rec, false, []byte("z"), nil)); err == nil {
		t.Error("a client directory that is a link out of the store was written to")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside now holds %v, %v", entries, err)
	}
	if err := os.Remove(filepath.Join(dir, "clients", storetest.ClientB)); err != nil {
		t.Fatal(err)
	}
}

func TestAuditHasOneLineForEachChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, store.Options{Command: "test", User: "eve"})
	add(t, s, storetest.ClientA, storetest.Flow1, "1")
	// A crash tore the last line.
	name := filepath.Join(dir, "audit.jsonl")
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"time":"20`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := s.Delete(t.Context(), storetest.ClientA, storetest.Flow1); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("audit log has %d lines, want 3:\n%s", len(lines), data)
	}
	for i, action := range map[int]string{0: "import", 2: "delete"} {
		var e store.AuditEntry
		if err := json.Unmarshal([]byte(lines[i]), &e); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		if e.Action != action || e.FlowID != storetest.Flow1 || e.User != "eve" || e.SHA256 == "" || e.From == "" {
			t.Errorf("line %d: %+v", i, e)
		}
	}
}

// TestListingOpensNoContainer lists flows whose containers are gone.
func TestListingOpensNoContainer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i := range 50 {
		id := fmt.Sprintf("F.%013d", i)
		add(t, s, storetest.ClientA, id, "x")
		if err := os.Remove(filepath.Join(dir, "clients", storetest.ClientA, "flows", id, "container.zip")); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for rec, err := range s.Flows(t.Context(), storetest.ClientA) {
		if err != nil || rec.State != flow.StateFinished {
			t.Errorf("%s: %v", rec.FlowID, err)
		}
		n++
	}
	if n != 50 {
		t.Errorf("%d flows, want 50", n)
	}
}
