//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// measureCommand runs a command to its end, behind the pinning command where
// one is given. A failure carries what the command said on stderr.
func measureCommand(ctx context.Context, pin []string, name string, args ...string) (usage, error) {
	words := append(append(append([]string{}, pin...), name), args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begun := time.Now()
	err := cmd.Run()
	u := usage{Wall: time.Since(begun)}
	if err != nil {
		return u, fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	u.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.Peak = int64(r.Maxrss)
		if runtime.GOOS != "darwin" { // there it is bytes
			u.Peak *= 1024
		}
	}
	return u, nil
}
