package host

import (
	"context"
	"os"
	"time"

	pshost "github.com/shirou/gopsutil/v4/host"
)

func systemID(ctx context.Context) (string, error) { return pshost.HostIDWithContext(ctx) }

func isAdmin() bool { return os.Geteuid() == 0 }

func processStart(now time.Time) time.Time { return now.UTC() }
