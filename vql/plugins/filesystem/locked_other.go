//go:build !windows

package filesystem

import (
	"errors"
	"syscall"
)

// isLocked says whether an error means that another process holds the file.
func isLocked(err error) bool {
	return errors.Is(err, syscall.ETXTBSY) || errors.Is(err, syscall.EBUSY)
}
