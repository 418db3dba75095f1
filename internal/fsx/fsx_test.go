package fsx_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"satchel/internal/fsx"
	"satchel/internal/fsx/fsxtest"
)

// both runs a test on the real file system and on the one of fsxtest, which must behave alike.
func both(t *testing.T, test func(t *testing.T, f fsx.FS, dir string)) {
	t.Parallel()
	t.Run("os", func(t *testing.T) {
		t.Parallel()
		test(t, fsx.OS(), t.TempDir())
	})
	t.Run("fsxtest", func(t *testing.T) {
		t.Parallel()
		f := fsxtest.New()
		if err := f.MkdirAll("/work/dir", 0o700); err != nil {
			t.Fatal(err)
		}
		test(t, f, "/work/dir")
	})
}

// put writes a file.
func put(t *testing.T, f fsx.FS, name, content string) {
	t.Helper()
	file, err := f.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(file, content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// get reads a file; one that is not there is "-".
func get(t *testing.T, f fsx.FS, name string) string {
	t.Helper()
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFile(t *testing.T) {
	both(t, func(t *testing.T, f fsx.FS, dir string) {
		name := filepath.Join(dir, "a")
		file, err := f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if file.Name() != name {
			t.Errorf("name %q", file.Name())
		}
		if _, err := f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("exclusive: %v", err)
		}
		fmt.Fprint(file, "hello")
		if _, err := file.WriteAt([]byte("world"), 8); err != nil {
			t.Error(err)
		}
		if err := file.Sync(); err != nil {
			t.Error(err)
		}
		if got := get(t, f, name); got != "hello\x00\x00\x00world" {
			t.Errorf("%q", got)
		}
		if err := file.Truncate(4); err != nil {
			t.Error(err)
		}
		if st, err := file.Stat(); err != nil || st.Size() != 4 || st.IsDir() {
			t.Error(st, err)
		}
		if at, err := file.Seek(-2, io.SeekEnd); at != 2 || err != nil {
			t.Error(at, err)
		}
		if b, err := io.ReadAll(file); string(b) != "ll" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if n, err := file.ReadAt(make([]byte, 10), 1); n != 3 || err != io.EOF {
			t.Error(n, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
		if _, err := file.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("write to a closed file: %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	both(t, func(t *testing.T, f fsx.FS, dir string) {
		sub := filepath.Join(dir, "x", "y")
		if err := errors.Join(f.MkdirAll(sub, 0o700), f.MkdirAll(sub, 0o700)); err != nil {
			t.Fatal(err)
		}
		put(t, f, filepath.Join(sub, "b"), "b")
		put(t, f, filepath.Join(sub, "a"), "a")
		if err := f.Rename(filepath.Join(sub, "a"), filepath.Join(sub, "b")); err != nil {
			t.Fatal(err)
		}
		if got := get(t, f, filepath.Join(sub, "b")) + get(t, f, filepath.Join(sub, "a")); got != "a-" {
			t.Errorf("renamed: %q", got)
		}
		put(t, f, filepath.Join(sub, "0"), "")
		entries, err := f.ReadDir(sub)
		if err != nil || len(entries) != 2 || entries[0].Name() != "0" || entries[1].Name() != "b" || entries[0].IsDir() {
			t.Error(entries, err)
		}
		if err := f.Remove(filepath.Dir(sub)); err == nil {
			t.Error("removed a directory that is not empty")
		}
		missing := filepath.Join(dir, "missing")
		_, serr := f.Stat(missing)
		_, oerr := f.OpenFile(missing, os.O_RDWR, 0)
		_, rerr := f.ReadDir(missing)
		for i, err := range []error{serr, oerr, rerr, f.Remove(missing), f.SyncDir(missing), f.Rename(missing, missing+"2")} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("missing %d: %v", i, err)
			}
		}
		if err := errors.Join(f.SyncDir(sub), f.Remove(filepath.Join(sub, "b")), f.Remove(filepath.Join(sub, "0")), f.Remove(sub)); err != nil {
			t.Error(err)
		}
		if st, err := f.Stat(filepath.Dir(sub)); err != nil || !st.IsDir() || st.Name() != "x" {
			t.Error(st, err)
		}
		if n, err := f.Free(dir); err != nil || n == 0 {
			t.Error(n, err)
		}
	})
}

func TestLock(t *testing.T) {
	both(t, func(t *testing.T, f fsx.FS, dir string) {
		name := filepath.Join(dir, "lock")
		for range 2 {
			l, err := f.Lock(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Lock(name); !errors.Is(err, fsx.ErrLocked) {
				t.Errorf("second lock: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := f.Lock(filepath.Join(dir, "missing", "lock")); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
}

func TestWriteFileAtomic(t *testing.T) {
	both(t, func(t *testing.T, f fsx.FS, dir string) {
		name := filepath.Join(dir, "a")
		for _, content := range []string{"one", "", "three"} {
			err := fsx.WriteFileAtomic(f, name, 0o600, func(w io.Writer) error {
				_, err := io.WriteString(w, content)
				return err
			})
			if err != nil || get(t, f, name) != content {
				t.Errorf("%q: %v, %q", content, err, get(t, f, name))
			}
		}
		boom := errors.New("boom")
		err := fsx.WriteFileAtomic(f, name, 0o600, func(w io.Writer) error {
			io.WriteString(w, "half")
			return boom
		})
		if !errors.Is(err, boom) || get(t, f, name) != "three" || get(t, f, name+fsx.TempSuffix) != "-" {
			t.Errorf("%v, %q, %q", err, get(t, f, name), get(t, f, name+fsx.TempSuffix))
		}
	})
}

// TestWriteFileAtomicCrashes fails and crashes at every step: there is the old content or the new, and the new if it
// returned nil.
func TestWriteFileAtomicCrashes(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for n := 1; ; n++ {
		f := fsxtest.New()
		if err := f.WriteFile("/d/a", []byte("old")); err != nil {
			t.Fatal(err)
		}
		first := f.Total()
		reached := false
		f.Inject(func(c fsxtest.Call) *fsxtest.Fault {
			if c.Total != first+n {
				return nil
			}
			reached = true
			return &fsxtest.Fault{Err: boom, Short: 1}
		})
		err := fsx.WriteFileAtomic(f, "/d/a", 0o600, func(w io.Writer) error {
			for range 2 {
				if _, err := io.WriteString(w, "new"); err != nil {
					return err
				}
			}
			return nil
		})
		if (err != nil) != reached || reached && !errors.Is(err, boom) {
			t.Fatalf("step %d: %v", n, err)
		}
		f.Crash(nil)
		got, rerr := f.ReadFile("/d/a")
		if rerr != nil || string(got) != "old" && string(got) != "newnew" || err == nil && string(got) != "newnew" {
			t.Errorf("step %d: error %v, found %q, %v", n, err, got, rerr)
		}
		if !reached {
			if n < 6 {
				t.Errorf("only %d steps", n-1)
			}
			break
		}
	}
}

func TestIsNoSpace(t *testing.T) {
	t.Parallel()
	if !fsx.IsNoSpace(fmt.Errorf("write: %w", &fs.PathError{Op: "write", Err: syscall.ENOSPC})) {
		t.Error("ENOSPC is not")
	}
	if fsx.IsNoSpace(syscall.EIO) || fsx.IsNoSpace(nil) {
		t.Error("EIO or nil is")
	}
}
