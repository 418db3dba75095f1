package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// procTree writes files, and links where the text begins with "->", below a new
// root that stands for /proc.
func procTree(t testing.TB, files map[string]string) procFS {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(to, full)
		} else {
			err = os.WriteFile(full, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return procFS{root}
}

const (
	statTail   = " 1 42 42 34816 42 4194560 100 0 0 0 250 125 0 0 20 0 3 0 12345 56086528 5333 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"
	statusText = "Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t100\t100\t100\t100\nTracerPid:\t7\nNSpid:\t42\t3\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\n"
	id         = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func golden(t testing.TB) procFS {
	return procTree(t, map[string]string{
		"stat":       "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n",
		"uptime":     "1 1",
		"42/stat":    "42 (a) b (c\n) S" + statTail,
		"42/status":  statusText,
		"42/cmdline": "/bin/a\x00-x\x00two words\x00",
		"42/cgroup":  "0::/system.slice/docker-" + id + ".scope\n",
		"42/exe":     "->/tmp/a (deleted)",
		"42/cwd":     "->/home/\xff",
		"42/root":    "->/",
		"2/stat":     "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 7 0 0 20 0 1 0 1 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 0 0 0 0 0 0 0 0 0 0\n",
		"2/status":   "Name:\tkthreadd\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n",
		"3/stat":     "3 (ended",
		"4/none":     "", // ended before it was read
		"notapid/x":  "",
	})
}

func list(t *testing.T, p procFS, pid int64) (rows []*processRow, warnings []string) {
	t.Helper()
	err := p.list(t.Context(), host{names: map[uint32]string{1000: "ann"}, ticks: 100, page: 4096}, func(err error) { warnings = append(warnings, err.Error()) }, pid,
		func(r *processRow) bool { rows = append(rows, r); return true })
	if err != nil {
		t.Fatal(err)
	}
	return rows, warnings
}

func TestList(t *testing.T) {
	t.Parallel()
	rows, warnings := list(t, golden(t), 0)
	byPid := map[int64]*processRow{}
	for _, r := range rows {
		byPid[r.Pid] = r
	}
	want := map[int64]*processRow{
		42: {
			Pid: 42, Ppid: 1, Name: "a) b (c\n", Exe: "/tmp/a", CommandLine: "/bin/a -x two words", Argv: []string{"/bin/a", "-x", "two words"},
			Username: "ann", Uid: 1000, Gid: 100, EffectiveUid: 0, CreateTime: time.Unix(1700000123, 450_000_000).UTC(), Cwd: "/home/\xff", Root: "/",
			State: "S", Tty: 34816, Session: 42, Threads: 3, RSS: 5333 * 4096, VMS: 56086528, UserTime: 2.5, SystemTime: 1.25, Deleted: true, TracerPid: 7, NsPid: 3, Container: id,
		},
		2: {Pid: 2, Name: "kthreadd", State: "S", Threads: 1, SystemTime: 0.07, CreateTime: time.Unix(1700000000, 10_000_000).UTC(), Kernel: true},
	}
	if d := cmp.Diff(want, byPid); d != "" {
		t.Error(d)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "process 3") {
		t.Errorf("warnings %q", warnings)
	}
	if rows, _ := list(t, golden(t), 42); len(rows) != 1 || rows[0].Pid != 42 {
		t.Errorf("one pid gives %d rows", len(rows))
	}
	if rows, _ := list(t, golden(t), 4711); rows != nil {
		t.Errorf("no pid gives %d rows", len(rows))
	}
}

func TestListStops(t *testing.T) {
	t.Parallel()
	n := 0
	if err := golden(t).list(t.Context(), host{ticks: 100}, func(error) {}, 0, func(*processRow) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := golden(t).list(ctx, host{ticks: 100}, func(error) {}, 0, func(*processRow) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := (procFS{t.TempDir()}).list(t.Context(), host{}, nil, 0, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no procfs: %v", err)
	}
	p := procTree(t, map[string]string{"stat": "cpu\n"})
	if err := p.list(t.Context(), host{}, nil, 0, nil); !errors.Is(err, ErrProc) {
		t.Errorf("no boot time: %v", err)
	}
}

func TestContainerID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0::/\n": "", "0::/user.slice/user-0.slice\n": "",
		"12:pids:/docker/" + id + "\n11:cpu:/\n":                id,
		"0::/kubepods/pod1/cri-containerd-" + id + ".scope\n":   id,
		"0::/machine.slice/libpod-" + id + ".scope/container\n": id,
		"0::/lxc.payload.web/init\n":                            "web",
		"1:name=systemd:/lxc/db/x\n":                            "db",
	} {
		if got := containerID([]byte(in)); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

const mapsText = "55d0-55d2 r-xp 00000000 fe:00 99 /bin/a b\n55d2-55d3 rw-p 00001000 fe:00 99 /bin/a b\n" +
	"7f00-7f10 rw-p 00000000 00:00 0 \n7f10-7f20 r-xp 00000000 fe:00 77 /lib/x.so (deleted)\nbroken\n7ffd-7ffe rw-p 00000000 00:00 0                          [stack]\n"

func TestMemory(t *testing.T) {
	t.Parallel()
	var got []mapping
	bad := 0
	for m, err := range mappings(strings.NewReader(mapsText)) {
		if err != nil {
			if !errors.Is(err, ErrProc) {
				t.Error(err)
			}
			bad++
			continue
		}
		got = append(got, m)
	}
	want := []mapping{
		{0x55d0, 0x55d2, "r-xp", 0, "fe:00", 99, "/bin/a b", false}, {0x55d2, 0x55d3, "rw-p", 0x1000, "fe:00", 99, "/bin/a b", false},
		{0x7f00, 0x7f10, "rw-p", 0, "00:00", 0, "", false}, {0x7f10, 0x7f20, "r-xp", 0, "fe:00", 77, "/lib/x.so", true}, {0x7ffd, 0x7ffe, "rw-p", 0, "00:00", 0, "[stack]", false},
	}
	if d := cmp.Diff(want, got); d != "" || bad != 1 {
		t.Error(d, bad)
	}
	if row := newVADRow(want[0]); row.Protection != "xr-" || row.Type != "Image" || row.Size != 2 {
		t.Errorf("%+v", row)
	}
	if row := newVADRow(want[4]); row.Protection != "-rw" || row.Type != "Private" || row.MappingName != "[stack]" {
		t.Errorf("%+v", row)
	}
	for _, err := range mappings(strings.NewReader(strings.Repeat("x", maxLine+1))) {
		if !errors.Is(err, ErrProc) {
			t.Errorf("long line: %v", err)
		}
	}
}

func FuzzProc(f *testing.F) {
	f.Add([]byte("42 (a) S" + statTail))
	f.Add([]byte(statusText))
	f.Add([]byte(mapsText))
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := parseStat(b); err == nil {
			(&reader{host: host{ticks: 100}, boot: 1 << 40}).since(st.StartTicks)
		}
		if st, err := parseStatus(b); err == nil && len(st.NSpid) > 33 {
			t.Fatalf("%d pids", len(st.NSpid))
		}
		for m, err := range mappings(strings.NewReader(string(b))) {
			if err == nil && m.End < m.Start {
				t.Fatalf("%+v", m)
			}
		}
		containerID(b)
		splitArgs(b)
	})
}

func BenchmarkList(b *testing.B) {
	files := map[string]string{"stat": "btime 1700000000\n"}
	for pid := range 300 {
		for name, text := range map[string]string{"stat": fmt.Sprint(pid+10, " (a) S", statTail), "status": statusText, "cmdline": "a\x00b\x00", "cgroup": "0::/\n", "exe": "->/bin/a", "cwd": "->/", "root": "->/"} {
			files[fmt.Sprint(pid+10, "/", name)] = text
		}
	}
	p := procTree(b, files)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := p.list(b.Context(), host{ticks: 100}, func(error) {}, 0, func(*processRow) bool { n++; return true }); err != nil || n != 300 {
			b.Fatal(n, err)
		}
	}
}
