package process

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/vql"
)

// run returns the rows of a query on this system.
func run(t *testing.T, text string, env ...vql.Var) []string {
	t.Helper()
	set := vql.NewSet()
	if err := set.Add(List()...); err != nil {
		t.Fatal(err)
	}
	var rows []string
	stats, err := vql.NewRunner(set, vql.Options{Permissions: []string{"*"}, Env: env}).Run(t.Context(), vql.Request{Text: text}, func(r vql.Row) error {
		rows = append(rows, string(vql.AppendJSON(nil, r)))
		return nil
	})
	if err != nil || stats.Err() != nil {
		t.Fatal(err, stats.Err())
	}
	return rows
}

// TestThisProcess looks at the test itself.
func TestThisProcess(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(t.TempDir(), "held")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	env := []vql.Var{{Name: "Me", Value: int64(os.Getpid())}, {Name: "Exe", Value: exe}, {Name: "Held", Value: f.Name()}}
	for text, want := range map[string]string{
		"SELECT Exe = Exe AND Ppid > 0 AND RSS > 100000 AND Argv[0] != '' AS Ok FROM pslist(pid=Me) WHERE Pid = Me": `{"Ok":true}`,
		"SELECT Type, Handle > 2 AS Ok FROM handles(pid=Me, types='file') WHERE Name = Held":                        `{"Type":"File","Ok":true}`,
		"SELECT Deleted FROM modules(pid=Me) WHERE ExePath = Exe":                                                   `{"Deleted":false}`,
		"SELECT Protection FROM vad(pid=Me) WHERE MappingName = '[stack]'":                                          `{"Protection":"-rw"}`,
	} {
		if d := cmp.Diff([]string{want}, run(t, text, env...)); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestHandles(t *testing.T) {
	t.Parallel()
	p := procTree(t, map[string]string{
		"7/fd/0": "->/dev/null", "7/fd/1": "->socket:[55]", "7/fd/2": "->pipe:[66]", "7/fd/3": "->/tmp/x (deleted)", "7/fd/4": "->anon_inode:[eventpoll]", "7/fd/5": "->/memfd:code (deleted)",
		"7/fdinfo/3": "pos:\t17\nflags:\t0100002\n", "8/none": "",
	})
	var got []handleRow
	if err := p.handles(t.Context(), func(err error) { t.Error(err) }, 0, func(h *handleRow) bool { got = append(got, *h); return true }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b handleRow) int { return int(a.Handle) - int(b.Handle) })
	want := []handleRow{
		{Pid: 7, Type: "Device", Name: "/dev/null", Handle: 0}, {Pid: 7, Type: "Socket", Name: "socket:[55]", Handle: 1}, {Pid: 7, Type: "Pipe", Name: "pipe:[66]", Handle: 2},
		{Pid: 7, Type: "File", Name: "/tmp/x", Handle: 3, Deleted: true, Flags: 0o100002, Offset: 17}, {Pid: 7, Type: "Anonymous", Name: "anon_inode:[eventpoll]", Handle: 4},
		{Pid: 7, Type: "Anonymous", Name: "/memfd:code", Handle: 5, Deleted: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	p := procTree(t, map[string]string{"7/maps": mapsText + "8000-8001 rw-p 00000000 fe:00 5 /data/only\n"})
	var got []moduleRow
	err := modulesOf(func(take func(mapping) bool) error { return p.memory(t.Context(), func(error) {}, 7, take) }, func(m *moduleRow) bool { got = append(got, *m); return true })
	want := []moduleRow{{0x55d0, 3, "a b", "/bin/a b", 99, false}, {0x7f10, 0x10, "x.so", "/lib/x.so", 77, true}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
}
