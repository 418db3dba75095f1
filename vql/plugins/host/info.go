package host

import (
	"bufio"
	"context"
	"os"
	"runtime"
	"strings"
	"time"

	pshost "github.com/shirou/gopsutil/v4/host"

	"satchel/internal/flow"
	"satchel/vql"
)

// infoRow is what info() tells, in the order in which Velociraptor does.
type infoRow struct {
	Hostname             string
	Uptime               uint64 // seconds
	BootTime             uint64 // seconds since 1970
	OS                   string // GOOS
	Platform             string
	PlatformFamily       string
	PlatformVersion      string
	KernelVersion        string
	VirtualizationSystem string
	VirtualizationRole   string
	CompilerVersion      string
	HostID               string // C. and 16 hex digits
	Exe                  string
	CWD                  string
	IsAdmin              bool
	ClientStart          time.Time
	LocalTZ              string
	LocalTZOffset        int64 // seconds east of UTC
	Fqdn                 string
	Architecture         string // GOARCH
	MachineID            string // the system's own id, or what stands for it
}

type noArgs struct{}

func infoPlugin() vql.Plugin {
	return vql.NewPlugin("info", func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*infoRow) bool) error {
		emit(describe(ctx, s))
		return nil
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Describes the host."))
}

func infoFunction() vql.Function {
	return vql.NewFunction("info", func(ctx context.Context, s *vql.Scope, _ noArgs) (any, error) {
		return describe(ctx, s), nil
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Describes the host; the plugin of that name as a function."))
}

// infoKey keeps the facts of the host for a run: preconditions ask for them
// again and again.
type infoKey struct{}

func describe(ctx context.Context, s *vql.Scope) *infoRow {
	now := s.Now()
	kept := s.Shared(infoKey{}, func() any { return facts(ctx, now) }).(*infoRow)
	row := *kept
	return &row
}

// facts asks the system. What it does not tell stays empty, also when ctx has
// ended: a description cut short is better than none.
func facts(ctx context.Context, now time.Time) *infoRow {
	ctx = context.WithoutCancel(ctx)
	row := &infoRow{OS: runtime.GOOS, Architecture: runtime.GOARCH, CompilerVersion: runtime.Version(), IsAdmin: isAdmin(), ClientStart: processStart(now)}
	row.Hostname, _ = os.Hostname()
	row.Exe, _ = os.Executable()
	row.CWD, _ = os.Getwd()
	local := now.Local()
	zone, offset := local.Zone()
	row.LocalTZ, row.LocalTZOffset = zone, int64(offset)
	if p, family, version, err := pshost.PlatformInformationWithContext(ctx); err == nil {
		row.Platform, row.PlatformFamily, row.PlatformVersion = p, family, version
	}
	row.KernelVersion, _ = pshost.KernelVersionWithContext(ctx)
	row.VirtualizationSystem, row.VirtualizationRole, _ = pshost.VirtualizationWithContext(ctx)
	if boot, err := pshost.BootTimeWithContext(ctx); err == nil {
		row.BootTime = boot
		if at := now.Unix(); at > int64(boot) {
			row.Uptime = uint64(at) - boot
		}
	}
	row.Fqdn = fullName(row.Hostname, hostsFile())
	if id, err := machineID(ctx); err == nil {
		row.MachineID = id
		row.HostID = flow.ClientID(id)
	}
	return row
}

// fullName finds the full name of the host in the hosts file. It asks no name
// server: a collection sends nothing into the network.
func fullName(hostname, hosts string) string {
	if strings.Contains(hostname, ".") || hostname == "" {
		return hostname
	}
	f, err := os.Open(hosts)
	if err != nil {
		return hostname
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		line, _, _ := strings.Cut(in.Text(), "#")
		names := strings.Fields(line)
		if len(names) < 2 {
			continue
		}
		for _, name := range names[1:] {
			if len(name) > len(hostname) && strings.EqualFold(name[:len(hostname)+1], hostname+".") {
				return name
			}
		}
	}
	return hostname
}

func hostsFile() string {
	if runtime.GOOS == "windows" {
		return os.Getenv("SystemRoot") + `\System32\drivers\etc\hosts`
	}
	return "/etc/hosts"
}

func hostnameFunction() vql.Function {
	return vql.NewFunction("hostname", func(context.Context, *vql.Scope, noArgs) (any, error) {
		return os.Hostname()
	}, vql.Impure(), vql.Doc("Returns the name of this host as the system has it."))
}

func getpidFunction() vql.Function {
	return vql.NewFunction("getpid", func(context.Context, *vql.Scope, noArgs) (any, error) {
		return int64(os.Getpid()), nil
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Returns the pid of this process."))
}

type environArgs struct {
	Vars []string `vql:"vars"`
}

func environPlugin() vql.Plugin {
	return vql.NewRowsPlugin("environ", func(_ context.Context, _ *vql.Scope, a environArgs, emit func(vql.Row) bool) error {
		d := vql.NewDict()
		if len(a.Vars) == 0 {
			for _, pair := range os.Environ() {
				if name, value, ok := strings.Cut(pair, "="); ok && name != "" {
					d.Set(name, value)
				}
			}
		}
		for _, name := range a.Vars {
			if value, ok := os.LookupEnv(name); ok {
				d.Set(name, value)
			} else {
				d.Set(name, nil)
			}
		}
		emit(vql.DictRow(d))
		return nil
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Gives the environment variables of this process as one row, or those named."))
}

func environFunction() vql.Function {
	type args struct {
		Var string `vql:"var,required"`
	}
	return vql.NewFunction("environ", func(_ context.Context, _ *vql.Scope, a args) (any, error) {
		if value, ok := os.LookupEnv(a.Var); ok {
			return value, nil
		}
		return nil, nil
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Returns an environment variable of this process, NULL if it is not set."))
}
