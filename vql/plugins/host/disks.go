package host

import (
	"context"
	"fmt"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"

	"satchel/vql"
)

// partitionRow is one mounted file system. Sizes are bytes, 0 where the system
// does not answer.
type partitionRow struct {
	Device     string
	Mountpoint string
	Fstype     string
	Options    []string
	Total      uint64
	Free       uint64
	Used       uint64
}

// mounts lists what is mounted; with all, those of the kernel itself as well.
func mounts(ctx context.Context, s *vql.Scope, all bool, emit func(*partitionRow) bool) error {
	list, err := disk.PartitionsWithContext(ctx, all)
	if err != nil && len(list) == 0 {
		return err
	}
	for _, p := range list {
		row := &partitionRow{Device: p.Device, Mountpoint: p.Mountpoint, Fstype: p.Fstype, Options: p.Opts}
		if !remote(p.Fstype) {
			if u, err := disk.UsageWithContext(ctx, p.Mountpoint); err == nil {
				row.Total, row.Free, row.Used = u.Total, u.Free, u.Used
			} else {
				s.Warn(fmt.Errorf("usage of %s: %w", p.Mountpoint, err))
			}
		}
		if !emit(row) {
			return nil
		}
	}
	return ctx.Err()
}

// remote says whether a question about a file system could wait for another
// machine or program.
func remote(kind string) bool {
	switch kind {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "9p", "autofs":
		return true
	}
	return strings.HasPrefix(kind, "fuse")
}

func partitionsPlugin() vql.Plugin {
	return vql.NewPlugin("partitions", func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*partitionRow) bool) error {
		return mounts(ctx, s, false, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the mounted partitions with their sizes."))
}

func filesystemsPlugin() vql.Plugin {
	return vql.NewPlugin("filesystems", func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*partitionRow) bool) error {
		return mounts(ctx, s, true, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists everything that is mounted, with sizes except where the answer could come from another machine."))
}

// sysinfoRow is the memory of the machine, in bytes.
type sysinfoRow struct {
	TotalPhysicalMemory uint64
	TotalFreeMemory     uint64
	TotalSharedMemory   uint64
	TotalSwap           uint64
	FreeSwap            uint64
}

func sysinfoFunction() vql.Function {
	return vql.NewFunction("sysinfo", func(ctx context.Context, _ *vql.Scope, _ noArgs) (any, error) {
		m, err := mem.VirtualMemoryWithContext(ctx)
		if err != nil {
			return nil, err
		}
		row := &sysinfoRow{TotalPhysicalMemory: m.Total, TotalFreeMemory: m.Free, TotalSharedMemory: m.Shared}
		if swap, err := mem.SwapMemoryWithContext(ctx); err == nil {
			row.TotalSwap, row.FreeSwap = swap.Total, swap.Free
		}
		return row, nil
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Returns the memory and swap of this machine in bytes."))
}
