//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// ownGroup gives a command a process group of its own, and ends the whole group
// when the command is to end.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
