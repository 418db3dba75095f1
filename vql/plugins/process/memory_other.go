//go:build !linux

package process

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// ErrPlatform says that a plugin cannot work on this system.
var ErrPlatform = errors.New("not on this system")

func memory(context.Context, func(error), int64, func(mapping) bool) error {
	return fmt.Errorf("memory regions of a process: %w (%s)", ErrPlatform, runtime.GOOS)
}

func handles(context.Context, func(error), int64, func(*handleRow) bool) error {
	return fmt.Errorf("open files of processes: %w (%s)", ErrPlatform, runtime.GOOS)
}
