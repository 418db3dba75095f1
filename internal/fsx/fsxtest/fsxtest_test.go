package fsxtest

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"satchel/internal/fsx"
)

// steps does what a script says to one file: "c" creates it, a capital letter writes it twice behind the rest, "s" syncs,
// "d" syncs the directory, "r" renames it to "b", "t" cuts it to one byte.
func steps(t *testing.T, f *FS, script string) {
	t.Helper()
	var file fsx.File
	at := int64(0)
	for _, c := range script {
		var err error
		switch c {
		case 'c':
			file, err = f.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0o600)
		case 's':
			err = file.Sync()
		case 'd':
			err = f.SyncDir("/")
		case 'r':
			err = f.Rename("/a", "/b")
		case 't':
			err = file.Truncate(1)
		default:
			_, err = file.WriteAt([]byte{byte(c), byte(c)}, at)
			at += 2
		}
		if err != nil {
			t.Fatalf("%s: %c: %v", script, c, err)
		}
	}
}

// state is what is there: "a=.. b=..".
func state(f *FS) string {
	var out []string
	for _, name := range []string{"a", "b"} {
		if b, err := f.ReadFile("/" + name); err == nil {
			out = append(out, name+"="+string(b))
		}
	}
	return strings.Join(out, " ")
}

func TestCrashLosesWhatIsNotSynced(t *testing.T) {
	t.Parallel()
	tests := []struct{ script, after string }{
		{"cAs", ""},        // the name is not durable
		{"cAd", "a="},      // the bytes are not
		{"cAsd", "a=AA"},   // both are
		{"cAdsB", "a=AA"},  // B is not
		{"cAsdt", "a=AA"},  // the cut is not
		{"cAsdts", "a=A"},  // it is
		{"cAsdr", "a=AA"},  // the new name is not
		{"cAsdrd", "b=AA"}, // it is
		{"cAsrBd", "b=AA"},
	}
	for _, tt := range tests {
		f := New()
		steps(t, f, tt.script)
		f.Crash(nil)
		if got := state(f); got != tt.after {
			t.Errorf("%s: %q, want %q", tt.script, got, tt.after)
		}
	}
}

// TestCrashByChance: chance keeps some of what was not synced, and over many seeds all that can be.
func TestCrashByChance(t *testing.T) {
	t.Parallel()
	tests := []struct {
		script string
		want   []string // must all come
		never  func(state string) bool
	}{
		{"cAsdBC", []string{"a=AA", "a=AAB", "a=AABB", "a=AABBCC", "a=AA\x00\x00CC", "a=AABBC"},
			func(s string) bool { return !strings.HasPrefix(s, "a=AA") }},
		{"cAsdr", []string{"a=AA", "b=AA"}, func(s string) bool { return s != "a=AA" && s != "b=AA" }},
		{"cA", []string{"", "a=", "a=A", "a=AA", "a=\x00\x00"}, nil},
	}
	for _, tt := range tests {
		seen := map[string]bool{}
		for seed := range uint64(2000) {
			f := New()
			steps(t, f, tt.script)
			f.Crash(rand.New(rand.NewPCG(seed, 0)))
			s := state(f)
			seen[s] = true
			if tt.never != nil && tt.never(s) {
				t.Fatalf("%s: %q cannot be", tt.script, s)
			}
			f.Crash(nil)
			if state(f) != s {
				t.Fatalf("%s: what survived a crash is not durable", tt.script)
			}
		}
		for _, w := range tt.want {
			if !seen[w] {
				t.Errorf("%s: %q never came, seen %v", tt.script, w, seen)
			}
		}
	}
}

func TestFailedSyncLosesPages(t *testing.T) {
	t.Parallel()
	f := New()
	steps(t, f, "cAsd")
	file, err := f.OpenFile("/a", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Inject(FailNth(OpSync, 2, syscall.EIO))
	file.WriteAt([]byte("BB"), 2)
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	file.WriteAt([]byte("CC"), 4)
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if state(f) != "a=AABBCC" {
		t.Errorf("to be read is %q", state(f))
	}
	f.Crash(nil)
	if state(f) != "a=AA\x00\x00CC" {
		t.Errorf("after the crash %q", state(f))
	}
}

func TestFailedSyncDirLosesNames(t *testing.T) {
	t.Parallel()
	f := New()
	f.Inject(FailNth(OpSyncDir, 1, syscall.EIO))
	file, _ := f.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0)
	if err := errors.Join(file.Sync(), f.SyncDir("/")); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := f.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	f.Crash(nil)
	if state(f) != "" {
		t.Errorf("after the crash %q", state(f))
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	f := New()
	steps(t, f, "cAsdB")
	lock, err := f.Lock("/lock")
	if err != nil {
		t.Fatal(err)
	}
	file, _ := f.OpenFile("/a", os.O_RDWR, 0)
	f.Kill()
	if state(f) != "a=AABB" {
		t.Errorf("after a kill %q", state(f))
	}
	if _, err := file.WriteAt([]byte("x"), 0); !errors.Is(err, ErrCrashed) {
		t.Errorf("write by a dead process: %v", err)
	}
	if err := file.Sync(); !errors.Is(err, ErrCrashed) {
		t.Errorf("sync by a dead process: %v", err)
	}
	again, err := f.Lock("/lock")
	if err != nil {
		t.Errorf("lock of a dead process: %v", err)
	}
	lock.Close() // must not free the lock of the new process
	if _, err := f.Lock("/lock"); !errors.Is(err, fsx.ErrLocked) {
		t.Errorf("lock freed by a dead process: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	f.Crash(nil)
	if state(f) != "a=AA" {
		t.Errorf("a kill made something durable: %q", state(f))
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	f := New()
	f.Limit(10)
	file, err := f.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := file.WriteAt(make([]byte, 8), 0); n != 8 || err != nil {
		t.Error(n, err)
	}
	if free, _ := f.Free("/"); free != 2 {
		t.Errorf("%d free", free)
	}
	if n, err := file.WriteAt(make([]byte, 8), 4); n != 6 || !fsx.IsNoSpace(err) {
		t.Error(n, err)
	}
	if n, err := file.WriteAt(make([]byte, 8), 2); n != 8 || err != nil {
		t.Errorf("what is there already: %d, %v", n, err)
	}
	if n, err := file.WriteAt([]byte("x"), 10); n != 0 || !fsx.IsNoSpace(err) {
		t.Error(n, err)
	}
	if err := f.Remove("/a"); err != nil {
		t.Fatal(err)
	}
	if free, _ := f.Free("/"); free != 10 {
		t.Errorf("%d free", free)
	}
}

func TestInjectAndCount(t *testing.T) {
	t.Parallel()
	f := New()
	var calls []Call
	f.Inject(func(c Call) *Fault {
		calls = append(calls, c)
		if c.Op == OpWrite {
			return &Fault{Err: syscall.EIO, Short: 1}
		}
		return nil
	})
	file, err := f.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := file.Write([]byte("abc")); n != 1 || !errors.Is(err, syscall.EIO) {
		t.Error(n, err)
	}
	f.Inject(nil)
	if n, err := file.Write([]byte("bc")); n != 2 || err != nil {
		t.Error(n, err)
	}
	if state(f) != "a=abc" || f.Count(OpWrite) != 2 || f.Count(OpCreate) != 1 || f.Total() != 3 {
		t.Error(state(f), f.Count(OpWrite), f.Count(OpCreate), f.Total())
	}
	if len(calls) != 2 || calls[1] != (Call{Op: OpWrite, Name: "/a", N: 1, Total: 2, Bytes: 3}) {
		t.Errorf("%+v", calls)
	}
	if hook := FailFrom(OpSync, 2, syscall.EIO); hook(Call{Op: OpSync, N: 1}) != nil || hook(Call{Op: OpSync, N: 3}) == nil || hook(Call{Op: OpWrite, N: 3}) != nil {
		t.Error("FailFrom")
	}
}

func TestOpenFlags(t *testing.T) {
	t.Parallel()
	f := New()
	steps(t, f, "cAsd")
	ro, _ := f.OpenFile("/a", os.O_RDONLY, 0)
	wo, _ := f.OpenFile("/a", os.O_WRONLY|os.O_APPEND, 0)
	if _, err := ro.Write([]byte("x")); !errors.Is(err, syscall.EBADF) {
		t.Error(err)
	}
	if _, err := wo.Read(make([]byte, 1)); !errors.Is(err, syscall.EBADF) {
		t.Error(err)
	}
	if _, err := wo.Write([]byte("B")); err != nil || state(f) != "a=AAB" {
		t.Error(err, state(f))
	}
	if _, err := f.OpenFile("/a", os.O_RDWR|os.O_TRUNC, 0); err != nil || state(f) != "a=" {
		t.Error(err, state(f))
	}
	if _, err := f.OpenFile("/", os.O_RDWR, 0); !errors.Is(err, syscall.EISDIR) {
		t.Error(err)
	}
	if _, err := f.OpenFile("/a/b", os.O_RDWR|os.O_CREATE, 0); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
	if err := f.MkdirAll("/a/b", 0); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
	if err := f.Rename("/a", "/"); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
}
