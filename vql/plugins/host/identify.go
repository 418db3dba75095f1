package host

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"satchel/internal/flow"
	"satchel/vql"
)

// ErrNoMachineID says that the system has no id of its own.
var ErrNoMachineID = errors.New("the system has no machine id")

// maxMachineID bounds an id in bytes. The id of systemd has 32.
const maxMachineID = 256

// Identify tells who the host is. RawID is the system's own id: the machine id
// of systemd or D-Bus on Linux, MachineGuid on Windows, IOPlatformUUID on macOS.
// Where there is none it is derived from the host name and the hardware
// addresses, begins with "derived:", and the error wraps ErrNoMachineID: the
// Host is good all the same, but changes with those.
//
// Info is the row of info(). now is the time that uptime is counted to.
func Identify(ctx context.Context, now time.Time) (flow.Host, error) {
	row := facts(ctx, now)
	h := flow.Host{HostID: row.HostID, RawID: row.MachineID, Hostname: row.Hostname, FQDN: row.Fqdn, OS: row.OS, Arch: row.Architecture}
	h.Info = json.RawMessage(vql.AppendValue(nil, row))
	if strings.HasPrefix(h.RawID, derivedPrefix) {
		return h, ErrNoMachineID
	}
	return h, nil
}

const derivedPrefix = "derived:"

// machineID returns the id of the system, or one derived from what is stable.
func machineID(ctx context.Context) (string, error) {
	if id, err := systemID(ctx); err == nil && id != "" {
		return id, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", err
	}
	interfaces, _ := net.Interfaces()
	return derivedID(name, interfaces), nil
}

// derivedID makes an id of the host name and the hardware addresses that were
// not made up by software.
func derivedID(hostname string, interfaces []net.Interface) string {
	var macs []string
	for _, i := range interfaces {
		const local = 2 // bit of an address that an administrator or a program chose
		if len(i.HardwareAddr) == 6 && i.HardwareAddr[0]&local == 0 && i.Flags&net.FlagLoopback == 0 {
			macs = append(macs, i.HardwareAddr.String())
		}
	}
	slices.Sort(macs)
	return derivedPrefix + strings.Join(append([]string{strings.ToLower(hostname)}, slices.Compact(macs)...), ",")
}

// readID reads an id from the first of the files that has one.
func readID(files ...string) (string, error) {
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil || len(b) > maxMachineID {
			continue
		}
		id := strings.TrimSpace(string(b))
		if id != "" && id != "uninitialized" {
			return id, nil
		}
	}
	return "", ErrNoMachineID
}
