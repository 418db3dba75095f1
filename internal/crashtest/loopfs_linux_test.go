package crashtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ext4Shutdown is EXT4_IOC_SHUTDOWN; shutdownNoLogFlush cuts the file system off
// without writing its journal out, as a pulled plug does.
const (
	ext4Shutdown       = 0x8004587d
	shutdownNoLogFlush = 2
)

// loopFS is an ext4 file system in a file.
type loopFS struct {
	image, dir string
	mounted    bool
}

// newLoopFS makes and mounts a file system of the given size. Where the machine
// does not permit that, it says so loudly and the test does not run.
func newLoopFS(t *testing.T, bytes int64) *loopFS {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "it needs root to mount a file system"
	} else if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		why = "mkfs.ext4 is missing (apt-get install e2fsprogs)"
	} else if _, err := os.Stat("/dev/loop-control"); err != nil {
		why = "the machine has no loop devices"
	}
	if why != "" {
		notRun(t, why)
	}
	base := t.TempDir()
	l := &loopFS{image: filepath.Join(base, "image"), dir: filepath.Join(base, "mount")}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(l.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(bytes); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", l.image); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if l.mounted {
			if err := unix.Unmount(l.dir, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", l.dir, err)
			}
		}
	})
	if err := l.mount(); err != nil {
		notRun(t, err.Error())
	}
	return l
}

func (l *loopFS) mount() error {
	if err := command("mount", "-o", "loop", l.image, l.dir); err != nil {
		return err
	}
	l.mounted = true
	return nil
}

// unmount tries for a while: a child that another test starts has our open files
// for a moment, between its fork and its exec.
func (l *loopFS) unmount() error {
	var err error
	for range 200 {
		if err = unix.Unmount(l.dir, 0); err != unix.EBUSY {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", l.dir, err)
	}
	l.mounted = false
	return nil
}

// cut ends the file system as a power loss does: what is not on the disk yet is
// gone, and every later access fails.
func (l *loopFS) cut() error {
	f, err := os.Open(l.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flag := uint32(shutdownNoLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flag))); errno != 0 {
		return fmt.Errorf("shut the file system down: %w", errno)
	}
	return nil
}

// powerOn mounts what a cut left.
func (l *loopFS) powerOn() error {
	if err := l.unmount(); err != nil {
		return err
	}
	return l.mount()
}

// notRun ends a test that this machine cannot run, in words that are seen even
// where passing tests print nothing.
func notRun(t *testing.T, why string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "\n*** NOT RUN: %s: %s\n\n", t.Name(), why)
	t.Skip(why)
}

func command(name string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(out.String()))
	}
	return nil
}

// TestCutLosesWhatWasNotSynced holds the instrument itself to its word: a cut
// that lost nothing would make every power-loss test pass.
func TestCutLosesWhatWasNotSynced(t *testing.T) {
	l := newLoopFS(t, 32<<20)
	synced, unsynced := filepath.Join(l.dir, "synced"), filepath.Join(l.dir, "unsynced")
	for name, sync := range map[string]bool{synced: true, unsynced: false} {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("here"); err != nil {
			t.Fatal(err)
		}
		if sync {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(" and more"); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.cut(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "late"), nil, 0o644); err == nil {
		t.Error("the file system takes writes after the cut")
	}
	if err := l.powerOn(); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(synced); err != nil || string(data) != "here" {
		t.Errorf("synced file: %q, %v, want what was there at the sync", data, err)
	}
	if data, err := os.ReadFile(unsynced); err == nil && len(data) > 0 {
		t.Errorf("a file that was never synced survived: %q", data)
	}
}
