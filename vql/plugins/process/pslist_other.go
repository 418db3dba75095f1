//go:build !linux

package process

import (
	"context"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

func processes(ctx context.Context, _ func(error), pid int64, emit func(*processRow) bool) error {
	if pid != 0 {
		p, err := process.NewProcessWithContext(ctx, int32(pid))
		if err != nil {
			return nil // no such process
		}
		emit(describe(ctx, p))
		return nil
	}
	all, err := process.ProcessesWithContext(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !emit(describe(ctx, p)) {
			return nil
		}
	}
	return nil
}

// describe asks for what the system tells; what it refuses stays empty.
func describe(ctx context.Context, p *process.Process) *processRow {
	row := &processRow{Pid: int64(p.Pid), Uid: -1, Gid: -1, EffectiveUid: -1}
	if v, err := p.PpidWithContext(ctx); err == nil {
		row.Ppid = int64(v)
	}
	row.Name, _ = p.NameWithContext(ctx)
	row.Exe, _ = p.ExeWithContext(ctx)
	row.Argv, _ = p.CmdlineSliceWithContext(ctx)
	if row.CommandLine, _ = p.CmdlineWithContext(ctx); row.CommandLine == "" {
		row.CommandLine = strings.Join(row.Argv, " ")
	}
	row.Username, _ = p.UsernameWithContext(ctx)
	if ids, err := p.UidsWithContext(ctx); err == nil && len(ids) > 1 {
		row.Uid, row.EffectiveUid = int64(ids[0]), int64(ids[1])
	}
	if ids, err := p.GidsWithContext(ctx); err == nil && len(ids) > 0 {
		row.Gid = int64(ids[0])
	}
	if ms, err := p.CreateTimeWithContext(ctx); err == nil {
		row.CreateTime = time.UnixMilli(ms).UTC()
	}
	row.Cwd, _ = p.CwdWithContext(ctx)
	if state, err := p.StatusWithContext(ctx); err == nil && len(state) > 0 {
		row.State = state[0]
	}
	if n, err := p.NumThreadsWithContext(ctx); err == nil {
		row.Threads = int64(n)
	}
	if m, err := p.MemoryInfoWithContext(ctx); err == nil && m != nil {
		row.RSS, row.VMS = m.RSS, m.VMS
	}
	if t, err := p.TimesWithContext(ctx); err == nil && t != nil {
		row.UserTime, row.SystemTime = t.User, t.System
	}
	return row
}
