package host

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func systemID(context.Context) (string, error) {
	return readID("/etc/machine-id", "/var/lib/dbus/machine-id")
}

func isAdmin() bool { return os.Geteuid() == 0 }

// processStart is when this process started: the change time of its directory
// in procfs, or now.
func processStart(now time.Time) time.Time {
	var st unix.Stat_t
	if unix.Stat("/proc/self", &st) != nil {
		return now.UTC()
	}
	if at := time.Unix(st.Ctim.Unix()); at.Before(now) {
		return at.UTC()
	}
	return now.UTC()
}
