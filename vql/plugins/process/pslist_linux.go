package process

import (
	"context"
	"os"

	"satchel/internal/accounts"
)

// clockTicks is how many ticks per second the kernel tells user space on every
// architecture of ours.
const clockTicks = 100

func processes(ctx context.Context, warn func(error), pid int64, emit func(*processRow) bool) error {
	return procFS{"/proc"}.list(ctx, host{names: systemNames("/etc/passwd"), ticks: clockTicks, page: uint64(os.Getpagesize())}, warn, pid, emit)
}

// systemNames reads the names of the users of this host. It does without when
// the file cannot be read.
func systemNames(passwd string) map[uint32]string {
	f, err := os.Open(passwd)
	if err != nil {
		return nil
	}
	defer f.Close()
	return accounts.Names(f)
}
