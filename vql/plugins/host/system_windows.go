package host

import (
	"context"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// systemID reads MachineGuid, in the 64 bit view of the registry whatever this
// program is built for.
func systemID(context.Context) (string, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Cryptography`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return "", err
	}
	defer k.Close()
	id, _, err := k.GetStringValue("MachineGuid")
	return id, err
}

func isAdmin() bool { return windows.GetCurrentProcessToken().IsElevated() }

func processStart(now time.Time) time.Time {
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user) != nil {
		return now.UTC()
	}
	return time.Unix(0, created.Nanoseconds()).UTC()
}
