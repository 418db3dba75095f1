//go:build unix

package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUsersIn(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(name, []byte("root:x:0:0:root:/root:/bin/bash\nbad\nann:x:1000:100::/home/ann:/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []userRow
	bad := 0
	err := usersIn(t.Context(), name, func(error) { bad++ }, func(u *userRow) bool { got = append(got, *u); return true })
	want := []userRow{{0, 0, "root", "root", "/root", "/bin/bash", ""}, {1000, 100, "ann", "", "/home/ann", "/bin/sh", ""}}
	if d := cmp.Diff(want, got); d != "" || err != nil || bad != 1 {
		t.Error(d, err, bad)
	}
}

// TestThisHost holds the live plugins to giving what every Unix host has.
func TestThisHost(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT Uid, Gid FROM users() WHERE Name = 'root'":                `{"Uid":0,"Gid":0}`,
		"SELECT Gid < 1 AS Root FROM groups() WHERE Gid < 1":              `{"Root":true}`,
		"SELECT Total > 0 AS T FROM filesystems() WHERE Mountpoint = '/'": `{"T":true}`,
		"SELECT sysinfo().TotalPhysicalMemory > 1000000 AS M FROM info()": `{"M":true}`,
	} {
		got := run(t, text)
		if len(got) == 0 || got[0] != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}
