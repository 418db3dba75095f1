package process

import (
	"context"
	"os"
	"time"

	"satchel/vql"
)

type pslistArgs struct {
	Pid int64 `vql:"pid"`
}

// processRow is one process. What the system does not tell, or may not be read,
// is empty, 0 or NULL.
type processRow struct {
	Pid          int64
	Ppid         int64
	Name         string
	Exe          string // path of the executable, without the mark that it was deleted
	CommandLine  string
	Argv         []string
	Username     string
	Uid          int64 // -1 where there is none
	Gid          int64
	EffectiveUid int64
	CreateTime   time.Time
	Cwd          string
	Root         string
	State        string // one letter as ps prints it
	Tty          int64
	Session      int64
	Threads      int64
	RSS          uint64  // bytes in memory
	VMS          uint64  // bytes of address space
	UserTime     float64 // seconds
	SystemTime   float64 // seconds
	Deleted      bool    // the executable no longer lies at its path
	Kernel       bool    // a thread of the kernel
	TracerPid    int64
	NsPid        int64  // its pid in the innermost pid namespace
	Container    string // id of the container by its control group
}

func pslistPlugin() vql.Plugin {
	return vql.NewPlugin("pslist", func(ctx context.Context, s *vql.Scope, a pslistArgs, emit func(*processRow) bool) error {
		return processes(ctx, s.Warn, a.Pid, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the running processes, or the one with that pid."))
}

func pskillFunction() vql.Function {
	type args struct {
		Pid int64 `vql:"pid,required"`
	}
	return vql.NewFunction("pskill", func(_ context.Context, _ *vql.Scope, a args) (any, error) {
		p, err := os.FindProcess(int(a.Pid))
		if err != nil {
			return nil, err
		}
		return nil, p.Kill()
	}, vql.Permission("EXECVE"), vql.Impure(), vql.Doc("Kills a process."))
}
