package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
)

// Version is the version of both programs, set by the linker.
var Version = "dev"

// Build describes the running program.
type Build struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	SHA256  string `json:"sha256,omitempty"` // of the executable, hex; empty when it cannot be read
}

// ExecutableSHA256 is the lower-case hex SHA-256 of the running executable, or
// "" when it cannot be read. It reads the whole file: ask for it once.
func ExecutableSHA256() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// VersionCommand is the command `version`.
func VersionCommand(program string) *Command {
	return &Command{
		Name: "version", Usage: "print the version, and with --json the system and the program's own hash",
		Examples: []Example{{Line: program + " version --json"}},
		Run: func(_ context.Context, c *Context) error {
			if !c.JSON() {
				_, err := fmt.Fprintf(c.Out(), "%s %s\n", program, Version)
				return err
			}
			return json.NewEncoder(c.Out()).Encode(Build{
				Name: program, Version: Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
				SHA256: ExecutableSHA256(),
			})
		},
	}
}
