package host

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/internal/flow"
	"satchel/vql"
)

func run(t *testing.T, text string, env ...vql.Var) []string {
	t.Helper()
	set := vql.NewSet()
	if err := set.Add(List()...); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }
	var rows []string
	stats, err := vql.NewRunner(set, vql.Options{Permissions: []string{"*"}, Env: env, Clock: clock}).Run(t.Context(), vql.Request{Text: text}, func(r vql.Row) error {
		rows = append(rows, string(vql.AppendJSON(nil, r)))
		return nil
	})
	if err != nil || stats.Err() != nil {
		t.Fatal(err, stats.Err())
	}
	return rows
}

func TestInfo(t *testing.T) {
	t.Parallel()
	rows := run(t, "SELECT * FROM info()")
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	keys := []string{"Hostname", "Uptime", "BootTime", "OS", "Platform", "PlatformFamily", "PlatformVersion", "KernelVersion", "VirtualizationSystem", "VirtualizationRole", "CompilerVersion",
		"HostID", "Exe", "CWD", "IsAdmin", "ClientStart", "LocalTZ", "LocalTZOffset", "Fqdn", "Architecture", "MachineID"}
	at := 0
	for _, key := range keys {
		i := strings.Index(rows[0][at:], `"`+key+`":`)
		if i < 0 {
			t.Fatalf("%s is missing, or not in its place, in %s", key, rows[0])
		}
		at += i
	}
	var row struct {
		OS, Architecture, HostID, MachineID string
		Uptime, BootTime                    int64
	}
	if err := json.Unmarshal([]byte(rows[0]), &row); err != nil {
		t.Fatal(err)
	}
	if row.OS != runtime.GOOS || row.Architecture != runtime.GOARCH || !flow.ValidClientID(row.HostID) || row.HostID != flow.ClientID(row.MachineID) ||
		row.Uptime+row.BootTime != time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).Unix() {
		t.Errorf("row %s", rows[0])
	}
	if got := run(t, "SELECT info().OS AS OS FROM info()"); got[0] != `{"OS":"`+runtime.GOOS+`"}` {
		t.Errorf("as a function: %s", got)
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	h, err := Identify(t.Context(), time.Now())
	if err != nil && !errors.Is(err, ErrNoMachineID) {
		t.Fatal(err)
	}
	if strings.HasPrefix(h.RawID, derivedPrefix) != (err != nil) {
		t.Errorf("id %q with error %v", h.RawID, err)
	}
	if !flow.ValidClientID(h.HostID) || h.HostID != flow.ClientID(h.RawID) || h.Hostname == "" || h.OS != runtime.GOOS || !json.Valid(h.Info) {
		t.Errorf("%+v", h)
	}
}

func TestReadID(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		full := filepath.Join(dir, name)
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return full
	}
	good, empty, unset, long := write("good", " 0a1b \n"), write("empty", "\n"), write("unset", "uninitialized\n"), write("long", strings.Repeat("a", maxMachineID+1))
	for want, files := range map[string][]string{
		"0a1b": {dir + "/none", empty, unset, long, good}, "": {dir + "/none", empty, unset, long},
	} {
		got, err := readID(files...)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestDerivedID(t *testing.T) {
	t.Parallel()
	mac := func(b byte, flags net.Flags) net.Interface {
		return net.Interface{HardwareAddr: net.HardwareAddr{b, 1, 2, 3, 4, 5}, Flags: flags}
	}
	all := []net.Interface{mac(0x10, 0), mac(0x02, 0), mac(0x00, 0), mac(0x10, 0), mac(0x20, net.FlagLoopback), {}}
	got := derivedID("Web1", all)
	if got != "derived:web1,00:01:02:03:04:05,10:01:02:03:04:05" {
		t.Errorf("id %q", got)
	}
	all[0], all[2] = all[2], all[0]
	if again := derivedID("WEB1", all); again != got {
		t.Errorf("the order of interfaces changes the id to %q", again)
	}
}

func TestFullName(t *testing.T) {
	t.Parallel()
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost web.localdomain # web.not\n10.0.0.5 WEB.example.net web\n10.0.0.6 website.example.net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"web": "web.localdomain", "a.b": "a.b", "db": "db", "": "", "website": "website.example.net"} {
		if got := fullName(name, hosts); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := fullName("web", hosts+"none"); got != "web" {
		t.Errorf("without a file: %q", got)
	}
}

func TestEnviron(t *testing.T) {
	t.Setenv("SATCHEL_TEST", "va=lue")
	for text, want := range map[string]string{
		"SELECT * FROM environ(vars=['SATCHEL_TEST', 'SATCHEL_NONE'])":                  `{"SATCHEL_TEST":"va=lue","SATCHEL_NONE":null}`,
		"SELECT SATCHEL_TEST FROM environ()":                                            `{"SATCHEL_TEST":"va=lue"}`,
		"SELECT environ(var='SATCHEL_TEST') AS A, environ(var='NONE') AS B FROM info()": `{"A":"va=lue","B":null}`,
		"SELECT getpid() = Me AS A, hostname() = Name AS B FROM info()":                 `{"A":true,"B":true}`,
	} {
		name, _ := os.Hostname()
		got := run(t, text, vql.Var{Name: "Me", Value: int64(os.Getpid())}, vql.Var{Name: "Name", Value: name})
		if d := cmp.Diff([]string{want}, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestRemote(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{"ext4": false, "nfs4": true, "fuse.sshfs": true, "tmpfs": false, "autofs": true} {
		if remote(kind) != want {
			t.Errorf("remote(%q) is not %v", kind, want)
		}
	}
}
