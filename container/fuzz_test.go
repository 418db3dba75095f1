package container

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzOpen gives the reader any file and any spool. Whatever it makes of them
// can be read to its end, or gives an error; it never panics.
func FuzzOpen(f *testing.F) {
	_, _, whole := closedSample(f, 0)
	f.Add(whole, []byte(nil))
	_, zip, spool := crashedSample(f, 0)
	f.Add(zip, spool)
	f.Add(zip[:len(zip)/2], spool)
	f.Add([]byte(nil), spool)
	f.Add(zip, []byte(nil))
	f.Fuzz(func(t *testing.T, zip, spool []byte) {
		if len(zip) > 1<<20 || len(spool) > 1<<20 {
			return
		}
		r, err := openBytes(zip, spool)
		if err != nil {
			return
		}
		defer r.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, s := range r.Sources() {
			rc, err := r.Rows(ctx, s.Name)
			if err != nil {
				continue
			}
			io.Copy(io.Discard, io.LimitReader(rc, 8<<20))
			rc.Close()
		}
		for u, err := range r.Uploads(ctx) {
			if err != nil {
				continue
			}
			rc, err := r.OpenUpload(u)
			if err != nil {
				continue
			}
			io.Copy(io.Discard, io.LimitReader(rc, 8<<20))
			rc.Close()
		}
		for range r.Logs(ctx) {
		}
		for range r.Reports(ctx) {
		}
		if _, _, err := Copy(ctx, io.Discard, bytes.NewReader(zip), int64(len(zip)), ReadOptions{}); err != nil && ctx.Err() == nil {
			t.Skipf("reading: %v", err)
		}
		path := filepath.Join(t.TempDir(), "x.zip")
		if os.WriteFile(path, zip, 0o600) == nil && len(zip) > 0 {
			Verify(ctx, path, ReadOptions{})
		}
	})
}

// FuzzSparseIndex checks that runs that are taken lie in order within what is
// stored, and that encoding what was made of ranges is taken.
func FuzzSparseIndex(f *testing.F) {
	f.Add([]byte(`{"ranges":[{"original_offset":10,"file_length":3,"length":3}]}`), int64(10))
	f.Add([]byte("{\"length\":3}\n{\"original_offset\":20,\"length\":3}\n"), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, stored int64) {
		runs, err := parseSparseIndex(b, stored)
		if err != nil {
			return
		}
		var end int64
		for _, r := range runs {
			if r.OriginalOffset < end || r.Length < 0 || r.FileLength > 0 && r.FileOffset+r.FileLength > stored {
				t.Errorf("run %+v after %d, %d stored", r, end, stored)
			}
			end = r.OriginalOffset + r.Length
		}
	})
}
