package process

import (
	"context"
	"strings"

	"satchel/vql"
)

type pidArgs struct {
	Pid int64 `vql:"pid,required"`
}

// vadRow is one region of the memory of a process.
type vadRow struct {
	Address       uint64
	Size          uint64
	MappingName   string
	State         string
	Type          string // Image, Mapped or Private
	ProtectionMsg string
	Protection    string // xrw: what is allowed, - for what is not
	Offset        uint64
	Device        string
	Inode         uint64
	Deleted       bool // the mapped file no longer lies at its path
}

func newVADRow(m mapping) *vadRow {
	row := &vadRow{
		Address: m.Start, Size: m.End - m.Start, MappingName: m.Path, State: "MEM_COMMIT", Type: "Private",
		ProtectionMsg: m.Permissions, Offset: m.Offset, Device: m.Device, Inode: m.Inode, Deleted: m.Deleted,
	}
	row.Protection = pick(m.Permissions, 'x') + pick(m.Permissions, 'r') + pick(m.Permissions, 'w')
	if m.Inode != 0 {
		row.Type = "Mapped"
		if strings.Contains(m.Permissions, "x") {
			row.Type = "Image"
		}
	}
	return row
}

func pick(permissions string, c byte) string {
	if strings.IndexByte(permissions, c) >= 0 {
		return string(c)
	}
	return "-"
}

func vadPlugin() vql.Plugin {
	return vql.NewPlugin("vad", func(ctx context.Context, s *vql.Scope, a pidArgs, emit func(*vadRow) bool) error {
		return memory(ctx, s.Warn, a.Pid, func(m mapping) bool { return emit(newVADRow(m)) })
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the regions of the memory of a process."))
}

// moduleRow is one file that is mapped for execution.
type moduleRow struct {
	ModuleBaseAddress uint64
	ModuleBaseSize    uint64
	ModuleName        string
	ExePath           string
	Inode             uint64
	Deleted           bool
}

func modulesPlugin() vql.Plugin {
	return vql.NewPlugin("modules", func(ctx context.Context, s *vql.Scope, a pidArgs, emit func(*moduleRow) bool) error {
		return modulesOf(func(take func(mapping) bool) error { return memory(ctx, s.Warn, a.Pid, take) }, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the files that a process has mapped with a part for execution."))
}

// modulesOf joins the regions of each file that has a part for execution. The
// kernel lists regions by address, and the regions of a file stand together.
func modulesOf(regions func(take func(mapping) bool) error, emit func(*moduleRow) bool) error {
	var now *moduleRow
	executable, goOn := false, true
	flush := func() bool {
		if now != nil && executable {
			goOn = emit(now)
		}
		now, executable = nil, false
		return goOn
	}
	err := regions(func(m mapping) bool {
		if now == nil || m.Inode != now.Inode || m.Path != now.ExePath {
			if !flush() {
				return false
			}
			if m.Inode == 0 {
				return true
			}
			now = &moduleRow{ModuleBaseAddress: m.Start, ModuleName: m.Path[strings.LastIndexByte(m.Path, '/')+1:], ExePath: m.Path, Inode: m.Inode, Deleted: m.Deleted}
		}
		now.ModuleBaseSize = m.End - now.ModuleBaseAddress
		executable = executable || strings.Contains(m.Permissions, "x")
		return true
	})
	if err == nil && goOn {
		flush()
	}
	return err
}

type handlesArgs struct {
	Pid   uint64   `vql:"pid"`
	Types []string `vql:"types"`
}

// handleRow is one open file, socket or other object of a process.
type handleRow struct {
	Pid     int64
	Type    string // File, Socket, Pipe, Anonymous, Device
	Name    string
	Handle  uint64
	Deleted bool
	Flags   uint64 // of open, 0 where unknown
	Offset  int64
}

func handlesPlugin() vql.Plugin {
	return vql.NewPlugin("handles", func(ctx context.Context, s *vql.Scope, a handlesArgs, emit func(*handleRow) bool) error {
		return handles(ctx, s.Warn, int64(a.Pid), func(h *handleRow) bool {
			for _, t := range a.Types {
				if strings.EqualFold(t, h.Type) {
					return emit(h)
				}
			}
			return len(a.Types) > 0 || emit(h)
		})
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists what processes hold open: files, sockets, pipes."))
}
