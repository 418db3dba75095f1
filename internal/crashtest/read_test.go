package crashtest

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"satchel/container"
	"satchel/internal/flow"
)

// readContainer reads all that a container holds, cut or whole, and holds it
// against itself. Other sources than those of the load pass.
func readContainer(ctx context.Context, path string, dead time.Time) (e *evidence, err error) {
	r, err := container.OpenFile(path, container.ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	e = newEvidence()
	for _, s := range r.Sources() {
		if err := e.readRows(ctx, r, s, dead); err != nil {
			return nil, err
		}
	}
	for line, err := range r.Logs(ctx) {
		if err := errors.Join(err, e.addLog(line.Message)); err != nil {
			return nil, err
		}
	}
	for u, err := range r.Uploads(ctx) {
		if err != nil {
			return nil, err
		}
		if err := e.readUpload(r, u); err != nil {
			return nil, err
		}
	}
	info := r.Info()
	e.complete, e.problems = info.Complete, len(info.Problems)
	return e, nil
}

func (e *evidence) readRows(ctx context.Context, r *container.Reader, s container.SourceInfo, dead time.Time) error {
	if s.Name == sourceFiles {
		return e.readNames(ctx, r)
	}
	rows, err := r.Rows(ctx, s.Name)
	if err != nil {
		return err
	}
	err = errors.Join(e.addRows(s.Name, rows, dead), rows.Close())
	if err == nil && e.rows[s.Name] != s.Rows {
		err = fmt.Errorf("%s: %d rows are announced and %d are there", s.Name, s.Rows, e.rows[s.Name])
	}
	return err
}

func (e *evidence) readUpload(r *container.Reader, u container.UploadInfo) error {
	in, err := r.OpenUpload(u)
	if err != nil {
		return fmt.Errorf("open %s: %w", u.Path, err)
	}
	err = errors.Join(e.addFile(u.Path, u.Complete, in), in.Close())
	if err == nil && !u.Complete && u.Error == "" {
		err = fmt.Errorf("%s is partial, and nothing says why", u.Path)
	}
	return err
}

// readNames reads the rows of the file collection, where the container has any.
func (e *evidence) readNames(ctx context.Context, r *container.Reader) error {
	rows, err := r.Rows(ctx, sourceFiles)
	if err != nil {
		return err
	}
	return errors.Join(e.addNames(rows), rows.Close())
}

// addNames reads rows that name a file and its upload.
func (e *evidence) addNames(r io.Reader) error {
	d := json.NewDecoder(r)
	for {
		var row struct {
			OSPath string
			Size   int64
			Upload struct {
				Sha256, Error string
				StoredSize    int64
			}
		}
		if err := d.Decode(&row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("after %d rows: %w", len(e.named), err)
		}
		name := filepath.Base(row.OSPath)
		size, err := sizeOf(name)
		if err != nil {
			return err
		}
		if row.Size != size || row.Upload.Error != "" || len(row.Upload.Sha256) != 64 {
			return fmt.Errorf("the row of %s says %+v", name, row)
		}
		if _, again := e.named[name]; again {
			return fmt.Errorf("%s has two rows", name)
		}
		e.named[name] = size
	}
}

// pair returns the hashes of a container and its spool as they lie there.
func pair(t *testing.T, path string) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	for _, name := range []string{path, path + container.SpoolSuffix} {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out[name] = sha256.Sum256(data)
	}
	return out
}

// examine reads what a writer left at path when it died, recovers it, and holds
// both against the facts. Reading must not touch the evidence. It returns what
// was found, nil when the writer died before it had begun a container.
func examine(t *testing.T, path string, facts []fact, dead time.Time, promise time.Duration) *evidence {
	t.Helper()
	before := pair(t, path)
	if len(before) == 0 {
		if err := judge(facts, newEvidence(), dead, promise); err != nil {
			t.Fatalf("no container, but %v", err)
		}
		return nil
	}
	found, err := readContainer(t.Context(), path, dead)
	if errors.Is(err, container.ErrNotContainer) {
		// It died within the first sync: nothing was accepted long enough ago.
		if err := judge(facts, newEvidence(), dead, promise); err != nil {
			t.Fatalf("no container in %v, but %v", slices.Collect(maps.Keys(before)), err)
		}
		return nil
	}
	if err != nil {
		t.Fatalf("read what is left: %v", err)
	}
	if err := judge(facts, found, dead, promise); err != nil {
		t.Error(err)
	}
	_, spoolLeft := before[path+container.SpoolSuffix]
	if !found.complete && found.problems == 0 {
		t.Error("the container is cut, and the reader names no problem")
	}
	if found.complete && !spoolLeft {
		wholeZIP(t, path)
		return found
	}
	out := filepath.Join(t.TempDir(), "recovered.zip")
	if _, err := container.Recover(t.Context(), path, out, container.ReadOptions{}); err != nil {
		t.Fatalf("recover: %v", err)
	}
	recovered, err := readContainer(t.Context(), out, dead)
	if err != nil {
		t.Fatalf("read the recovered container: %v", err)
	}
	if !maps.Equal(found.rows, recovered.rows) || !maps.Equal(found.named, recovered.named) || !maps.Equal(found.files, recovered.files) || found.logs != recovered.logs {
		t.Errorf("recovered is not what was read in place: rows %v and %v, logs %d and %d, %d and %d files",
			found.rows, recovered.rows, found.logs, recovered.logs, len(found.files), len(recovered.files))
	}
	wholeZIP(t, out)
	if after := pair(t, path); !maps.Equal(before, after) {
		t.Error("reading changed the evidence")
	}
	return found
}

// wholeZIP reads every member with a reader that is not ours.
func wholeZIP(t *testing.T, path string) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatalf("foreign reader: %v", err)
	}
	defer z.Close()
	for _, m := range z.File {
		r, err := m.Open()
		if err != nil {
			t.Fatalf("foreign reader: %s: %v", m.Name, err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("foreign reader: %s: %v", m.Name, err)
		}
		r.Close()
	}
}

// header is what a container of the load begins with.
func header(flowID string) container.Header {
	return container.Header{
		Flow: flow.Flow{
			ID: flowID, ClientID: "C.0123456789abcdef", Created: time.Now(),
			Request: flow.Request{Artifacts: []string{"Crash.Load"}},
		},
		Host:    flow.Host{HostID: "C.0123456789abcdef", Hostname: "crash", OS: "linux", Arch: "amd64"},
		Tool:    flow.Tool{Name: "crashtest", Version: "test"},
		Clock:   flow.Clock{Wall: time.Now()},
		Sources: []string{sourceFast, sourceSlow},
	}
}
