//go:build !linux && !darwin && !windows

package fsx

import (
	"errors"
	"os"
)

// free is not known here.
func free(dir string) (uint64, error) {
	return 0, &os.PathError{Op: "statfs", Path: dir, Err: errors.ErrUnsupported}
}
