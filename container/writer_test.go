package container

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/internal/flow"
)

// testHeader is the header of a collection of two sources.
func testHeader() Header {
	return Header{
		Flow: flow.Flow{
			ID: "F.D1234567890AB", ClientID: "C.0123456789abcdef", Created: time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC),
			Request: flow.Request{Artifacts: []string{"Test.Files", "Test.Rows"}, Specs: []flow.Spec{{Artifact: "Test.Rows", Parameters: []flow.Param{{Key: "N", Value: "3"}}}}},
		},
		Host:    flow.Host{HostID: "C.0123456789abcdef", Hostname: "box", OS: "linux", Arch: "amd64", Info: []byte(`{"Hostname":"box","HostID":"raw-id","Uptime":5}`)},
		Tool:    flow.Tool{Name: "collect", Version: "test"},
		Sources: []string{"Test.Rows/All", "Test.Files", "Test.Empty"},
	}
}

func rowBatch(lines ...string) flow.RowBatch {
	return flow.RowBatch{JSONL: []byte(strings.Join(lines, "\n") + "\n"), Rows: len(lines)}
}

func uploadFile(t testing.TB, s flow.Sink, path string, content []byte) flow.Stored {
	t.Helper()
	u, err := s.Upload(t.Context(), flow.Upload{Source: "Test.Files", Accessor: "file", Path: path, Components: strings.Split(strings.Trim(path, "/"), "/"), Size: int64(len(content)), Modified: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)})
	if err != nil {
		t.Fatalf("upload %s: %v", path, err)
	}
	if _, err := io.Copy(u, bytes.NewReader(content)); err != nil {
		t.Fatalf("upload %s: %v", path, err)
	}
	stored, err := u.Commit()
	if err != nil {
		t.Fatalf("commit %s: %v", path, err)
	}
	if want := sha256.Sum256(content); stored.SHA256 != want {
		t.Fatalf("hash of %s is %x, want %x", path, stored.SHA256, want)
	}
	return stored
}

// randomBytes are bytes that do not compress, the same for the same seed.
func randomBytes(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	b := make([]byte, n)
	r.Read(b)
	return b
}

// zipContents reads an archive with an independent reader.
func zipContents(t *testing.T, path string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	defer z.Close()
	out := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatalf("open %s: %v", f.Name, err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("read %s: %v", f.Name, err)
		}
		r.Close()
		if _, twice := out[f.Name]; twice {
			t.Errorf("member %s is there twice", f.Name)
		}
		out[f.Name] = b
	}
	return out
}

func TestWriterMakesTheLayout(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	big := append(bytes.Repeat([]byte("compressible "), 100_000), randomBytes(1, 700_000)...)
	uploadFile(t, w, "/etc/small", []byte("small\n"))
	uploadFile(t, w, "/var/big", big)
	uploadFile(t, w, "/var/empty", nil)
	for i := range 3 {
		if err := w.WriteRows(t.Context(), "Test.Rows/All", rowBatch(fmt.Sprintf(`{"N":%d}`, i), `{"N":"x"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Log(t.Context(), flow.LogLine{Time: time.Unix(1, 0), Level: flow.LevelInfo, Source: "Test.Rows/All", Message: "hello"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Report(t.Context(), flow.Report{Source: "Test.Rows/All", Outcome: flow.Collected, Rows: 6}); err != nil {
		t.Fatal(err)
	}
	sum, err := w.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := zipContents(t, path)
	if !bytes.Equal(got["uploads/file/var/big"], big) || string(got["uploads/file/etc/small"]) != "small\n" || len(got["uploads/file/var/empty"]) != 0 {
		t.Error("uploads differ from what was written")
	}
	if want := "{\"N\":0}\n{\"N\":\"x\"}\n{\"N\":1}\n{\"N\":\"x\"}\n{\"N\":2}\n{\"N\":\"x\"}\n"; string(got["results/Test.Rows%2FAll.json"]) != want {
		t.Errorf("results are %q", got["results/Test.Rows%2FAll.json"])
	}
	if n := len(got["results/Test.Rows%2FAll.json.index"]); n != 48 {
		t.Errorf("the index has %d bytes", n)
	}
	if _, ok := got["results/Test.Empty.json"]; !ok {
		t.Error("a planned source without rows has no member")
	}
	for _, name := range []string{"satchel.json", "uploads.json", "uploads.json.index", "log.json", "log.json.index", "collection_context.json", "requests.json", "client_info.json", "report.json", "manifest.json"} {
		if len(got[name]) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if h := sha256.Sum256(whole); hex.EncodeToString(h[:]) != sum.SHA256 || sum.Rows != 6 || sum.Uploads != 3 {
		t.Errorf("summary %+v does not fit", sum)
	}
	if _, err := os.Stat(path + ".spool"); !errors.Is(err, os.ErrNotExist) {
		t.Error("the spool is still there")
	}
	if err := w.WriteRows(t.Context(), "x", rowBatch(`{}`)); !errors.Is(err, ErrClosed) {
		t.Errorf("writing after Close gives %v", err)
	}
}

func TestManyUploadsAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	want := map[string][]byte{}
	var mu sync.Mutex
	for g := range 8 {
		wg.Go(func() {
			for i := range 60 {
				n := (i*i*37 + g*7919) % 40_000
				if i%20 == 0 {
					n = 900_000 + i*1000
				}
				b := randomBytes(uint64(g*100+i), n)
				name := fmt.Sprintf("/d%d/f%d", g, i)
				uploadFile(t, w, name, b)
				mu.Lock()
				want["uploads/file"+name] = b
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if _, err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := zipContents(t, path)
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestStalledUploadHoldsNobody(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{StallAfter: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	slow, err := w.Upload(t.Context(), flow.Upload{Source: "Test.Files", Accessor: "file", Path: "/slow", Components: []string{"slow"}, Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	content := randomBytes(9, 5*blockSize+17)
	first, rest := content[:2*blockSize+5], content[2*blockSize+5:]
	if _, err := slow.Write(first); err != nil {
		t.Fatal(err)
	}
	for i := range 400 { // more than the queue holds: they pass or the test hangs
		uploadFile(t, w, fmt.Sprintf("/fast/%d", i), []byte("fast"))
	}
	if _, err := slow.Write(rest); err != nil {
		t.Fatal(err)
	}
	stored, err := slow.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if stored.SHA256 != sha256.Sum256(content) {
		t.Error("hash of the slow upload differs")
	}
	if _, err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := zipContents(t, path)
	joined := append([]byte(nil), got["uploads/file/slow"]...)
	for part := 2; ; part++ {
		b, ok := got[partMember(1, part)]
		if !ok {
			break
		}
		joined = append(joined, b...)
	}
	if !bytes.Equal(joined, content) {
		t.Errorf("the parts of the slow upload give %d bytes, want %d", len(joined), len(content))
	}
	if len(got["uploads/file/slow"]) == len(content) {
		t.Error("the slow upload was never split: the test does not show what it should")
	}
}

func TestSameFileTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.zip")
	w, err := Create(path, testHeader(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := uploadFile(t, w, "/a/b", []byte("content"))
	two, err := w.Upload(t.Context(), flow.Upload{Accessor: "file", Path: "/a/b", Components: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := two.Commit()
	if err != nil || !stored.Duplicate || stored.SHA256 != one.SHA256 || stored.Name != one.Name {
		t.Errorf("second upload gives %+v, %v", stored, err)
	}
	if err := w.sync(); err != nil { // now the record is in the spool
		t.Fatal(err)
	}
	again := uploadFile(t, w, "/a/b", []byte("content"))
	if !again.Duplicate || again.SHA256 != one.SHA256 {
		t.Errorf("third upload gives %+v", again)
	}
	other := uploadFile(t, w, "/A/B", []byte("other"))
	if other.Duplicate || strings.EqualFold(other.Name, one.Name) {
		t.Errorf("a name that differs by case gives %+v", other)
	}
	if sum, err := w.Close(context.Background()); err != nil || sum.Uploads != 2 {
		t.Errorf("summary %+v, %v", sum, err)
	}
}
