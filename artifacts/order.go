package artifacts

import "strings"

// The levels of volatility, in the order in which things vanish from a host.
const (
	volatileMemory  = 100 // processes, connections, what is in memory
	volatileSession = 200 // who is logged in, mounts, kernel modules
	volatileState   = 300 // small files that programs rewrite: histories, login records
	volatileConfig  = 500 // configuration, accounts, packages
	volatileFiles   = 800 // files taken as they are
	volatileWalk    = 900 // walks of whole disks
)

// volatility orders the library by name, and other artifacts by what their VQL
// calls.
func volatility(name, text string) int {
	for _, row := range []struct {
		prefix string
		level  int
	}{
		{"Generic.Client.Info", 0}, // small, and tells what host the rest is from
		{"Linux.Sys.Pslist", volatileMemory},
		{"Linux.Network.Netstat", volatileMemory},
		{"Linux.Proc", volatileSession},
		{"Linux.Mounts", volatileSession},
		{"Linux.Sys.LastUserLogin", volatileState},
		{"Linux.Sys.BashHistory", volatileState},
		{"Linux.Sys.SUID", volatileWalk},
	} {
		if name == row.prefix || strings.HasPrefix(name, row.prefix+".") {
			return row.level
		}
	}
	switch {
	case callsAny(text, "pslist", "netstat", "connections", "handles", "vad", "threads", "proc_dump", "proc_yara"):
		return volatileMemory
	case callsAny(text, "interfaces", "modules", "partitions", "process_tracker_pslist"):
		return volatileSession
	case callsAny(text, "upload"):
		return volatileFiles
	}
	return volatileConfig
}
