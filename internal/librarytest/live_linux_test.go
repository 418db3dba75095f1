package librarytest

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"satchel/artifacts"
)

func TestClientInfo(t *testing.T) {
	t.Parallel()
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	rows := decode[struct{ Hostname, HostID, OS, Architecture, BootTime string }](t, one(t, "Generic.Client.Info/BasicInformation", "Generic.Client.Info"))
	if len(rows) != 1 || rows[0].Hostname != hostname || rows[0].OS != "linux" || !strings.HasPrefix(rows[0].HostID, "C.") || len(rows[0].HostID) != 18 || rows[0].BootTime == "" {
		t.Errorf("this host is described as %+v", rows)
	}
	users := decode[struct {
		Name string
		Uid  int64
	}](t, one(t, "Generic.Client.Info/Users", "Generic.Client.Info"))
	if len(users) == 0 || users[0].Name != "root" || users[0].Uid != 0 {
		t.Errorf("the accounts begin with %+v", users)
	}
	interfaces := decode[struct{ Name string }](t, one(t, "Generic.Client.Info/Interfaces", "Generic.Client.Info"))
	if len(interfaces) == 0 {
		t.Error("no interfaces")
	}
}

type process struct {
	Pid, Ppid   int64
	Name, Exe   string
	CommandLine string
	Hash        map[string]string
	Notes       []string
	Kernel      bool
}

func TestPslistFindsThisProcess(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := decode[process](t, one(t, "Linux.Sys.Pslist", "Linux.Sys.Pslist"))
	i := slices.IndexFunc(all, func(p process) bool { return p.Pid == int64(os.Getpid()) })
	if i < 0 {
		t.Fatalf("%d processes, this one is not among them", len(all))
	}
	me := all[i]
	if me.Exe != exe || me.Ppid != int64(os.Getppid()) || me.Kernel || !strings.Contains(me.CommandLine, filepath.Base(os.Args[0])) {
		t.Errorf("this process is described as %+v", me)
	}
	if want := sha(t, exe); me.Hash["SHA256"] != want || len(me.Hash["MD5"]) != 32 {
		t.Errorf("its executable has the hash %v, want %s", me.Hash, want)
	}
	without := decode[process](t, one(t, "Linux.Sys.Pslist", "Linux.Sys.Pslist", "HashExecutables=N", "ProcessRegex=librarytest"))
	for _, p := range without {
		if p.Hash != nil || !strings.Contains(p.Name+p.CommandLine, "librarytest") {
			t.Errorf("asked without hashes for our own process, got %+v", p)
		}
	}
	if len(without) == 0 {
		t.Error("the expression finds nothing")
	}
}

// A program that was deleted while it runs is named, and its code is kept.
func TestPslistKeepsDeletedExecutables(t *testing.T) {
	t.Parallel()
	path, pid := startDeleted(t)
	r := one(t, "Linux.Sys.Pslist", "Linux.Sys.Pslist", "UploadDeleted=Y")
	i := slices.IndexFunc(decode[process](t, r), func(p process) bool { return p.Pid == pid })
	if i < 0 {
		t.Fatalf("process %d is not listed", pid)
	}
	p := decode[process](t, r)[i]
	if !slices.Contains(p.Notes, "executable is deleted") || p.Exe != path || p.Hash["SHA256"] == "" {
		t.Errorf("a deleted executable is described as %+v", p)
	}
	found := false
	for name, data := range r.uploads {
		found = found || strings.HasPrefix(name, "file/proc/") && sum(data) == p.Hash["SHA256"]
	}
	if !found {
		t.Errorf("the executable was not kept: %d uploads", len(r.uploads))
	}
}

func TestNetstatFindsOurSocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type socket struct {
		Status, LocalAddr, Type, Exe string
		LocalPort, Pid               int64
	}
	port := int64(l.Addr().(*net.TCPAddr).Port)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := decode[socket](t, one(t, "Linux.Network.Netstat", "Linux.Network.Netstat", "StatusRegex=LISTEN"))
	i := slices.IndexFunc(all, func(s socket) bool { return s.LocalPort == port && s.Pid == int64(os.Getpid()) })
	if i < 0 {
		t.Fatalf("port %d is not among %+v", port, all)
	}
	if s := all[i]; s.LocalAddr != "127.0.0.1" || s.Type != "TCP" || s.Status != "LISTEN" || s.Exe != exe {
		t.Errorf("our socket is described as %+v", s)
	}
}

// The parts of the library that need no root run here without an error of the
// query, those for other systems too: their queries are the same language.
func TestLibraryRunsHere(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	r := artifacts.Embedded()
	for _, name := range r.Names() {
		a, err := r.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, set := a.Members(); set {
			continue
		}
		var args []string
		for _, parameter := range []string{"Root", "Drive"} {
			if _, ok := a.Parameter(parameter); ok {
				args = append(args, parameter+"="+root)
			}
		}
		if _, ok := a.Parameter("HashExecutables"); ok {
			args = append(args, "HashExecutables=N")
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, item := range collect(t, name, args...) {
				for _, e := range item.errors {
					t.Errorf("%s: %s", item.name, e)
				}
			}
		})
	}
}

// Every artifact but the facts of the host says which system it is for, in the
// same words, and is not run on others.
func TestPreconditions(t *testing.T) {
	t.Parallel()
	r := artifacts.Embedded()
	asked := make(map[string]bool)
	linux := 0
	for _, name := range r.Names() {
		a, err := r.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		system, _, _ := strings.Cut(name, ".")
		want := map[string]string{"Generic": "", "Linux": "linux", "Windows": "windows", "MacOS": "darwin"}[system]
		if want != "" {
			want = "SELECT OS FROM info() WHERE OS = '" + want + "'"
		}
		if a.Precondition != want {
			t.Errorf("the precondition of %s is %q, want %q", name, a.Precondition, want)
		}
		if system == "Linux" {
			linux++
		}
		if _, set := a.Members(); set || asked[want] || want == "" {
			continue
		}
		asked[want] = true
		if got := holds(t, a); got != (system == "Linux") {
			t.Errorf("%s: the precondition holds: %v", name, got)
		}
	}
	if len(asked) != 3 || linux < 12 {
		t.Errorf("%d preconditions, %d artifacts for Linux", len(asked), linux)
	}
}

// Sets name artifacts that exist, each with its precondition.
func TestSets(t *testing.T) {
	t.Parallel()
	r := artifacts.Embedded()
	for _, set := range []string{"Linux.Triage", "Windows.Triage", "MacOS.Triage"} {
		specs, err := r.Specs([]string{set}, nil)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := artifacts.NewPlan(r, specs, artifacts.PlanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Items[0].Artifact != "Generic.Client.Info" {
			t.Errorf("%s begins with %s", set, plan.Items[0].Name)
		}
		for _, i := range plan.Items {
			if len(i.Preconditions) == 0 {
				t.Errorf("%s of %s has no precondition", i.Name, set)
			}
		}
		if len(plan.Notes) > 0 {
			t.Errorf("%s: %q", set, plan.Notes)
		}
		if _, err := json.Marshal(plan); err != nil {
			t.Error(err)
		}
	}
}
