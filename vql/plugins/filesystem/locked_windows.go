package filesystem

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isLocked says whether an error means that another process holds the file.
func isLocked(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}
