//go:build linux || darwin

package fsx

import (
	"os"
	"syscall"
)

// free returns the blocks that an unprivileged process may use.
func free(dir string) (uint64, error) {
	var st syscall.Statfs_t
	for {
		err := syscall.Statfs(dir, &st)
		if err == nil {
			return uint64(st.Bavail) * uint64(st.Bsize), nil
		}
		if err != syscall.EINTR {
			return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
	}
}
