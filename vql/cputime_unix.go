//go:build unix

package vql

import (
	"syscall"
	"time"
)

// ProcessCPUTime returns the processor time that this process has taken so
// far, in user mode and in the kernel; 0 if the system does not tell.
func ProcessCPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
