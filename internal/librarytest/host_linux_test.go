package librarytest

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// fixedHost makes the file tree of testdata/host.txtar, with what txtar cannot
// hold, and returns its place. All files changed at the same time.
func fixedHost(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "host.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) == 0 {
		t.Fatal("the fixed host has no files")
	}
	for _, f := range archive.Files {
		write(t, filepath.Join(root, f.Name), f.Data)
	}
	for name, target := range map[string]string{
		"etc/systemd/system/multi-user.target.wants/ssh.service": "/usr/lib/systemd/system/ssh.service",
		"etc/systemd/system/sshd.service":                        "/usr/lib/systemd/system/ssh.service",
		"etc/systemd/system/cups.service":                        "/dev/null",
		"home/open/.python_history":                              "/dev/null",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{
		"usr/bin/sudo": 0o755 | os.ModeSetuid,
		"usr/bin/wall": 0o755 | os.ModeSetgid,
	} {
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	logins(t, root)
	return root
}

// logins writes wtmp, btmp, utmp and lastlog as the C library of x86 does.
func logins(t *testing.T, root string) {
	t.Helper()
	const (
		bootTime, login, user, dead = 2, 6, 7, 8
		start                       = 1767225600 // 2026-01-01
	)
	write(t, filepath.Join(root, "var/log/wtmp"), slices.Concat(
		utmp(bootTime, 0, "~", "reboot", "6.1.0", start, netip.Addr{}),
		utmp(user, 812, "pts/0", "alice", "192.0.2.20", start+60, netip.MustParseAddr("192.0.2.20")),
		utmp(user, 813, "pts/1", "root", "2001:db8::7", start+120, netip.MustParseAddr("2001:db8::7")),
		utmp(dead, 812, "pts/0", "", "", start+180, netip.Addr{}),
		utmp(0, 0, "", "", "", 0, netip.Addr{}),
	))
	write(t, filepath.Join(root, "var/log/wtmp.1"), utmp(user, 5, "tty1", "alice", "", start-86400, netip.Addr{}))
	write(t, filepath.Join(root, "var/log/btmp"), utmp(login, 900, "ssh:notty", "hunter2", "198.51.100.9", start+30, netip.MustParseAddr("198.51.100.9")))
	write(t, filepath.Join(root, "run/utmp"), slices.Concat(
		utmp(bootTime, 0, "~", "reboot", "6.1.0", start, netip.Addr{}),
		utmp(user, 813, "pts/1", "root", "2001:db8::7", start+120, netip.MustParseAddr("2001:db8::7")),
	))
	last := make([]byte, 1001*292) // one record for each uid
	record := last[1000*292:]
	binary.LittleEndian.PutUint32(record, start+60)
	copy(record[4:36], "pts/0")
	copy(record[36:292], "192.0.2.20")
	write(t, filepath.Join(root, "var/log/lastlog"), last)
}

func utmp(kind uint16, pid uint32, line, user, host string, at uint32, addr netip.Addr) []byte {
	b := make([]byte, 384)
	binary.LittleEndian.PutUint16(b, kind)
	binary.LittleEndian.PutUint32(b[4:], pid)
	copy(b[8:40], line)
	copy(b[44:76], user)
	copy(b[76:332], host)
	binary.LittleEndian.PutUint32(b[340:], at)
	if addr.IsValid() {
		copy(b[348:364], addr.AsSlice())
	}
	return b
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	changed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
}
