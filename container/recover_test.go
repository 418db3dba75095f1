package container

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/internal/flow"
)

// sample is what fill puts into a container.
type sample struct {
	files map[string][]byte // by path
	rows  []string
}

// fill writes a little of everything.
func fill(t testing.TB, w flow.Sink, big int) sample {
	t.Helper()
	s := sample{files: map[string][]byte{
		"/etc/hosts": []byte("127.0.0.1 localhost\n"), "/empty": nil, "/dir/with space/é": []byte(strings.Repeat("text ", 500)),
		"/bad\xff\xfename": []byte("bytes"), "/random": randomBytes(3, 3000),
	}}
	if big > 0 {
		s.files["/big"] = append(randomBytes(4, big), bytes.Repeat([]byte("z"), big)...)
	}
	for path, b := range s.files {
		uploadFile(t, w, path, b)
	}
	for i := range 20 {
		row := fmt.Sprintf(`{"N":%d,"S":"row %d"}`, i, i)
		s.rows = append(s.rows, row)
		if err := w.WriteRows(t.Context(), "Test.Rows/All", rowBatch(row)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Log(t.Context(), flow.LogLine{Time: time.Unix(5, 0), Level: flow.LevelInfo, Message: "a line"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Report(t.Context(), flow.Report{Source: "Test.Rows/All", Outcome: flow.Collected, Rows: 20}); err != nil {
		t.Fatal(err)
	}
	return s
}

// readAll reads rows and complete uploads back.
func readAll(t testing.TB, r *Reader) (rows []string, files map[string][]byte, partial map[string][]byte) {
	t.Helper()
	for _, s := range r.Sources() {
		if s.Name != "Test.Rows/All" {
			continue
		}
		rc, err := r.Rows(t.Context(), s.Name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			rows = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		}
	}
	files, partial = map[string][]byte{}, map[string][]byte{}
	for u, err := range r.Uploads(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if u.Type == "idx" {
			continue
		}
		rc, err := r.OpenUpload(u)
		if err != nil {
			t.Fatalf("open %s: %v", u.Path, err)
		}
		b, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			t.Fatalf("read %s: %v", u.Path, err)
		}
		path := "/" + strings.TrimPrefix(u.Path, "/")
		if u.Complete {
			files[path] = b
		} else {
			partial[path] = b
		}
	}
	return rows, files, partial
}

// holdsOnly fails if anything was read that was not written.
func holdsOnly(t testing.TB, s sample, rows []string, files, partial map[string][]byte) {
	t.Helper()
	for i, row := range rows {
		if i >= len(s.rows) || row != s.rows[i] {
			t.Errorf("row %d is invented: %s", i, row)
		}
	}
	for path, b := range files {
		if want, ok := s.files[path]; !ok || !bytes.Equal(b, want) {
			t.Errorf("file %q is invented or altered (%d bytes)", path, len(b))
		}
	}
	for path, b := range partial {
		if !bytes.HasPrefix(s.files[path], b) {
			t.Errorf("partial file %q is no beginning of what was written (%d bytes)", path, len(b))
		}
	}
}

// crashed copies container and spool as a crash would leave them: what was
// written to the files, without closing them.
func crashed(t testing.TB, w *Writer) (zip, spool []byte) {
	t.Helper()
	if err := w.sync(); err != nil {
		t.Fatal(err)
	}
	zip, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	spool, err = os.ReadFile(w.path + SpoolSuffix)
	if err != nil {
		t.Fatal(err)
	}
	return zip, spool
}

// waitAppended waits until nothing that was accepted is on its way to the file.
func waitAppended(w *Writer) {
	for {
		w.pipe.waiting.mu.Lock()
		idle := w.pipe.waiting.first == nil
		w.pipe.waiting.mu.Unlock()
		if idle && len(w.pipe.queue) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// crashedSample is a container that was cut, with what it must still hold.
func crashedSample(t testing.TB, big int) (s sample, zip, spool []byte) {
	t.Helper()
	w, err := Create(filepath.Join(t.TempDir(), "c.zip"), testHeader(), Options{SyncEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s = fill(t, w, big)
	waitAppended(w)
	zip, spool = crashed(t, w)
	if _, err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s, zip, spool
}

func openBytes(zip, spool []byte) (*Reader, error) {
	if spool == nil {
		return Open(bytes.NewReader(zip), int64(len(zip)), nil, 0, ReadOptions{})
	}
	return Open(bytes.NewReader(zip), int64(len(zip)), bytes.NewReader(spool), int64(len(spool)), ReadOptions{})
}

func TestCrashKeepsEverythingSynced(t *testing.T) {
	t.Parallel()
	s, zip, spool := crashedSample(t, 700_000)
	r, err := openBytes(zip, spool)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rows, files, partial := readAll(t, r)
	holdsOnly(t, s, rows, files, partial)
	if len(rows) != len(s.rows) || len(files) != len(s.files) || len(partial) != 0 {
		t.Errorf("%d of %d rows, %d of %d files, %d partial", len(rows), len(s.rows), len(files), len(s.files), len(partial))
	}
	info := r.Info()
	if info.Complete || info.Flow.ID != testHeader().Flow.ID || info.Rows != 20 || len(info.Problems) == 0 || info.Uploads != int64(len(s.files)) {
		b, _ := json.Marshal(info)
		t.Errorf("info is %s", b)
	}
}

func TestCrashKeepsTheBeginningOfUploads(t *testing.T) {
	t.Parallel()
	w, err := Create(filepath.Join(t.TempDir(), "c.zip"), testHeader(), Options{SyncEvery: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	content := randomBytes(7, 3*blockSize+1234)
	begin := func(path string, b []byte) flow.UploadWriter {
		u, err := w.Upload(t.Context(), flow.Upload{Source: "Test.Files", Accessor: "file", Path: path, Components: []string{path[1:]}, Size: int64(len(content))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write(b); err != nil {
			t.Fatal(err)
		}
		return u
	}
	begin("/large", content)
	begin("/slow", content[:777])
	time.Sleep(100 * time.Millisecond) // a sync comes by
	zip, spool := crashed(t, w)
	if _, err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r, err := openBytes(zip, spool)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, files, partial := readAll(t, r)
	if len(files) != 0 || !bytes.Equal(partial["/large"], content) || !bytes.Equal(partial["/slow"], content[:777]) {
		t.Errorf("files %d, large has %d of %d bytes, slow has %d of 777", len(files), len(partial["/large"]), len(content), len(partial["/slow"]))
	}
}

// crashStep is how many bytes lie between two cuts: one with CRASH set, as make
// crash does, else a few, so that the everyday run is quick.
func crashStep() int {
	if os.Getenv("CRASH") != "" {
		return 1
	}
	if testing.Short() { // as under the race detector
		return 101
	}
	return 13
}

func TestSpoolAloneTellsWhoItIs(t *testing.T) {
	t.Parallel()
	s, _, spool := crashedSample(t, 0)
	r, err := openBytes(nil, spool)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	info := r.Info()
	if info.Format != "satchel" || info.Flow.ID != testHeader().Flow.ID || info.Tool.Version != "test" || info.Rows != int64(len(s.rows)) {
		t.Errorf("info is %+v", info)
	}
}

func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	s, zip, spool := crashedSample(t, 0)
	step := crashStep()
	for n := 0; n <= len(zip); n += step {
		r, err := openBytes(zip[:n], spool)
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		rows, files, partial := readAll(t, r)
		holdsOnly(t, s, rows, files, partial)
		if len(rows) != len(s.rows) {
			t.Errorf("cut at %d: %d rows", n, len(rows))
		}
		r.Close()
	}
	for n := 0; n <= len(spool); n += step {
		r, err := openBytes(zip, spool[:n])
		if err != nil {
			t.Fatalf("spool cut at %d: %v", n, err)
		}
		rows, files, partial := readAll(t, r)
		holdsOnly(t, s, rows, files, partial)
		// A member whose record is cut off is there, but not known to be whole.
		for path, want := range s.files {
			if got, ok := files[path]; ok && bytes.Equal(got, want) {
				continue
			}
			if got, ok := partial[path]; !ok || !bytes.Equal(got, want) {
				t.Errorf("spool cut at %d: %q is lost", n, path)
			}
		}
		r.Close()
	}
}

// closedSample is a whole container.
func closedSample(t testing.TB, big int) (s sample, path string, whole []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{SyncEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s = fill(t, w, big)
	if _, err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	whole, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return s, path, whole
}

func TestClosedContainerCutAtEveryByte(t *testing.T) {
	t.Parallel()
	s, _, whole := closedSample(t, 0)
	step := crashStep()
	last := 0
	for n := 0; n < len(whole); n += step {
		r, err := openBytes(whole[:n], nil)
		if err != nil {
			if n > 2000 {
				t.Fatalf("cut at %d: %v", n, err)
			}
			continue
		}
		rows, files, partial := readAll(t, r)
		holdsOnly(t, s, rows, files, partial)
		if r.Info().Complete {
			t.Errorf("cut at %d: said to be complete", n)
		}
		last = max(last, len(files)+len(rows))
		r.Close()
	}
	if last != len(s.files)+len(s.rows) {
		t.Errorf("the longest cut gives %d of %d", last, len(s.files)+len(s.rows))
	}
}

func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	t.Parallel()
	_, path, whole := closedSample(t, 0)
	res, err := Verify(t.Context(), path, ReadOptions{})
	if err != nil || !res.OK || !res.Complete || len(res.Problems) != 0 {
		t.Fatalf("a whole container verifies as %+v, %v", res, err)
	}
	step := crashStep()
	bad := filepath.Join(t.TempDir(), "bad.zip")
	for i := 0; i < len(whole); i += step {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		res, err := Verify(t.Context(), bad, ReadOptions{})
		if err == nil && (res.OK || len(res.Problems) == 0) {
			t.Errorf("a flipped bit at %d is not found", i)
		}
		if err == nil && !res.Altered {
			t.Errorf("a flipped bit at %d counts as a cut: %v", i, res.Problems)
		}
		if err != nil {
			t.Errorf("a flipped bit at %d: %v", i, err)
		}
	}
}

func TestRecoverMakesAWholeContainer(t *testing.T) {
	t.Parallel()
	s, zip, spool := crashedSample(t, 400_000)
	dir := t.TempDir()
	cut := filepath.Join(dir, "cut.zip")
	if err := os.WriteFile(cut, zip, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut+SpoolSuffix, spool, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out.zip")
	sum, err := Recover(t.Context(), cut, out, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Rows != 20 || sum.Uploads != int64(len(s.files)) {
		t.Errorf("summary is %+v", sum)
	}
	zipContents(t, out) // an independent reader takes it
	res, err := Verify(t.Context(), out, ReadOptions{})
	if err != nil || res.Altered {
		t.Errorf("the recovered container verifies as %+v, %v", res, err)
	}
	r, err := OpenFile(out, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rows, files, partial := readAll(t, r)
	holdsOnly(t, s, rows, files, partial)
	if len(rows) != len(s.rows) || len(files) != len(s.files) {
		t.Errorf("%d rows, %d files", len(rows), len(files))
	}
	if _, err := Recover(t.Context(), cut, out, ReadOptions{}); err == nil {
		t.Error("an existing file was overwritten")
	}
	again, err := Recover(t.Context(), cut, filepath.Join(dir, "again.zip"), ReadOptions{})
	if err != nil || again.SHA256 != sum.SHA256 {
		t.Errorf("recovered once more it is %+v, %v, not %s", again, err, sum.SHA256)
	}
}
