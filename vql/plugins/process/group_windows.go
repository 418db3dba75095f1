package process

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a command from showing a window. When it is to end, the
// command alone is ended.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true} }
