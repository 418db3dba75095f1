package container

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/frame"
	"satchel/internal/spool"
)

// respool writes a spool with the frames of another that keep leaves, as it
// leaves them.
func respool(t testing.TB, old []byte, keep func(f frame.Frame) [][]byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.spool")
	l, err := spool.OpenFile(path, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = eachFrame(fileFrames{bytes.NewReader(old), int64(len(old))}, func(f frame.Frame, _ int64) error {
		for _, body := range keep(f) {
			if _, err := l.Append(context.Background(), f.Kind, body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// manyKinds is a cut container with uploads of every kind: small, split into
// parts, sparse, aborted. s holds what was whole, aborted what was not.
func manyKinds(t testing.TB) (s, aborted sample, zip, spool []byte) {
	t.Helper()
	w, err := Create(filepath.Join(t.TempDir(), "c.zip"), testHeader(), Options{SyncEvery: time.Hour, StallAfter: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s.files, aborted.files = map[string][]byte{}, map[string][]byte{}
	slow := begin(t, w, "/slow")
	for i := range 4 {
		piece := randomBytes(uint64(i), blockSize+99)
		s.files["/slow"] = append(s.files["/slow"], piece...)
		if _, err := slow.Write(piece); err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			name := fmt.Sprintf("/between/%d-%d", i, j)
			s.files[name] = randomBytes(uint64(i*3+j), 500)
			uploadFile(t, w, name, s.files[name])
		}
		time.Sleep(20 * time.Millisecond)
	}
	if stored, err := slow.Commit(); err != nil || stored.StoredSize != int64(len(s.files["/slow"])) {
		t.Fatal(err)
	}
	for _, name := range []string{"/sparse", "/sparse2"} {
		u, err := w.Upload(t.Context(), flow.Upload{Accessor: "file", Path: name, Components: []string{name[1:]}, Size: 9, Ranges: []flow.Range{{Length: 3}, {Offset: 3, Length: 3, Sparse: true}, {Offset: 6, Length: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(u, "abcdef"); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Commit(); err != nil {
			t.Fatal(err)
		}
		s.files[name] = []byte("abc\x00\x00\x00def")
	}
	bad := begin(t, w, "/aborted")
	aborted.files["/aborted"] = []byte("only the beginning")
	if _, err := bad.Write(aborted.files["/aborted"]); err != nil {
		t.Fatal(err)
	}
	if err := bad.Abort(io.ErrUnexpectedEOF); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.rows = append(s.rows, fmt.Sprintf(`{"N":%d}`, i))
		if err := w.WriteRows(t.Context(), "Test.Rows/All", rowBatch(s.rows[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Log(t.Context(), flow.LogLine{Message: "line"}); err != nil {
		t.Fatal(err)
	}
	waitAppended(w)
	zip, spool = crashed(t, w)
	if _, err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s, aborted, zip, spool
}

// salvaged opens a cut container, checks that nothing of it is invented, that
// no name is there twice, and that it verifies once it is recovered.
func salvaged(t *testing.T, what string, s, aborted sample, zip, spool []byte) (rows []string, files, partial map[string][]byte, info Info) {
	t.Helper()
	r, err := openBytes(zip, spool)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer r.Close()
	rows, files, partial = readAll(t, r)
	whole := sample{rows: s.rows, files: map[string][]byte{}}
	for path, b := range s.files {
		whole.files[path] = b
	}
	for path, b := range files {
		if want, ok := s.files[path]; !ok || !bytes.Equal(b, want) {
			t.Errorf("%s: %s is said to be whole with %d bytes", what, path, len(b))
		}
	}
	for path, b := range aborted.files {
		whole.files[path] = b
	}
	holdsOnly(t, whole, nil, nil, partial)
	left := s.rows
	for _, row := range rows { // some may be lost, in their order
		i := slices.Index(left, row)
		if i < 0 {
			t.Fatalf("%s: row %s is invented", what, row)
		}
		left = left[i+1:]
	}
	names, records := map[string]bool{}, map[string]bool{}
	for m, err := range r.Members() {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if names[m.Name] || m.Name == "" {
			t.Errorf("%s: member %q is there twice, or has no name", what, m.Name)
		}
		names[m.Name] = true
	}
	for u, err := range r.Uploads(t.Context()) {
		if key := u.Member + u.Type; err != nil || records[key] {
			t.Errorf("%s: a second record of %s, %v", what, u.Member, err)
		} else {
			records[key] = true
		}
	}
	dir := t.TempDir()
	cut, out := filepath.Join(dir, "cut.zip"), filepath.Join(dir, "out.zip")
	if err := os.WriteFile(cut, zip, 0o600); err != nil {
		t.Fatal(err)
	}
	if spool != nil {
		if err := os.WriteFile(cut+SpoolSuffix, spool, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Recover(t.Context(), cut, out, ReadOptions{}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if res, err := Verify(t.Context(), out, ReadOptions{}); err != nil || res.Altered {
		t.Errorf("%s: recovered, it verifies as %+v, %v", what, res, err)
	}
	return rows, files, partial, r.Info()
}

func TestSalvageOfEveryKind(t *testing.T) {
	t.Parallel()
	s, aborted, zip, spool := manyKinds(t)
	_, files, partial, _ := salvaged(t, "all of it", s, aborted, zip, spool)
	if len(files) != len(s.files) || len(partial) != 1 {
		t.Errorf("%d of %d files, %d partial", len(files), len(s.files), len(partial))
	}
	t.Run("without a spool", func(t *testing.T) {
		t.Parallel()
		_, files, partial, _ := salvaged(t, "no spool", s, aborted, zip, nil)
		if len(files) != 0 {
			t.Errorf("%d files are said to be whole, though nothing tells", len(files))
		}
		for path, want := range s.files {
			if got := partial[path]; path != "/slow" && !bytes.Equal(got, want) {
				t.Errorf("%s has %d of %d bytes", path, len(got), len(want))
			}
		}
		if len(partial["/slow"]) == 0 {
			t.Error("the first part of the split file is lost")
		}
	})
	t.Run("cut files", func(t *testing.T) {
		t.Parallel()
		rng := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			n := rng.IntN(len(zip))
			salvaged(t, fmt.Sprintf("file cut at %d", n), s, aborted, zip[:n], spool)
			n = 200 + rng.IntN(len(spool)-200)
			salvaged(t, fmt.Sprintf("spool cut at %d", n), s, aborted, zip, spool[:n])
		}
	})
	t.Run("damage", func(t *testing.T) {
		t.Parallel()
		rng := rand.New(rand.NewPCG(3, 4))
		for range 60 {
			n := 3000 + rng.IntN(len(spool)-3000)
			b := bytes.Clone(spool)
			b[n] ^= 0x40
			salvaged(t, fmt.Sprintf("spool damaged at %d", n), s, aborted, zip, b)
		}
	})
}

func TestEachMissingFrameIsNoInvention(t *testing.T) {
	t.Parallel()
	s, aborted, zip, old := manyKinds(t)
	total := 0
	respool(t, old, func(frame.Frame) [][]byte { total++; return nil })
	for gone := 1; gone < total; gone++ {
		i := 0
		spool := respool(t, old, func(f frame.Frame) [][]byte {
			if i++; i-1 == gone {
				return nil
			}
			return [][]byte{f.Body}
		})
		salvaged(t, fmt.Sprintf("frame %d of %d is gone", gone, total), s, aborted, zip, spool)
	}
}

func TestBytesBetweenMembersHaveNoLine(t *testing.T) {
	t.Parallel()
	s, aborted, zip, old := manyKinds(t)
	var at int64
	spool := respool(t, old, func(f frame.Frame) [][]byte {
		if m, err := entry.DecodeMember(f.Body); f.Kind == entry.KindMember && err == nil && strings.HasSuffix(m.Name, "between/1-1") {
			at = m.Offset
			return nil
		}
		return [][]byte{f.Body}
	})
	zip = bytes.Clone(zip)
	copy(zip[at:], "no header") // nothing can be made of it
	_, files, _, _ := salvaged(t, "a gap", s, aborted, zip, spool)
	if len(files) != len(s.files)-1 {
		t.Errorf("%d of %d files", len(files), len(s.files))
	}
}

func TestEntriesThatCannotBeReadCostThemselves(t *testing.T) {
	t.Parallel()
	s, aborted, zip, old := manyKinds(t)
	batch := 0
	spool := respool(t, old, func(f frame.Frame) [][]byte {
		body := bytes.Clone(f.Body)
		switch f.Kind {
		case entry.KindRows:
			if batch++; batch == 3 {
				body[len(body)-1] ^= 1 // the checksum of the rows
			}
		case entry.KindLog, entry.KindReport:
			return [][]byte{[]byte("{"), body}
		case entry.KindMember:
			return [][]byte{{0xff}, body}
		}
		return [][]byte{body}
	})
	rows, files, _, info := salvaged(t, "malformed entries", s, aborted, zip, spool)
	if len(rows) != 2 || len(files) != len(s.files) || info.Rows != 2 || info.Logs != 1 {
		t.Errorf("%d rows, %d files, %+v", len(rows), len(files), info)
	}
}

func TestSpoolOfAnotherContainer(t *testing.T) {
	t.Parallel()
	_, _, zip, _ := manyKinds(t)
	_, _, spool := crashedSample(t, 0)
	r, err := openBytes(zip, spool)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	info, told := r.Info(), false
	for _, p := range info.Problems {
		told = told || strings.Contains(p.Problem, "another container")
	}
	if !told || info.Rows != 0 || info.Uploads == 0 {
		t.Errorf("the file alone gives %d rows, %d uploads, %v", info.Rows, info.Uploads, info.Problems)
	}
}

func TestUploadOfEndlessPartsIsMalformed(t *testing.T) {
	t.Parallel()
	s, aborted, zip, old := manyKinds(t)
	spool := respool(t, old, func(f frame.Frame) [][]byte {
		if u, err := entry.DecodeUpload(f.Body); f.Kind == entry.KindUpload && err == nil && u.Member == "uploads/file/between/0-0" {
			u.Parts = math.MaxInt32
			u.Complete = true
			return [][]byte{entry.AppendUpload(nil, &u)}
		}
		return [][]byte{f.Body}
	})
	salvaged(t, "endless parts", s, aborted, zip, spool)
}
