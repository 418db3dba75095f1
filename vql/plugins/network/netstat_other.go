//go:build !linux

package network

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	psnet "github.com/shirou/gopsutil/v4/net"
)

// ErrPlatform says that a plugin cannot work on this system.
var ErrPlatform = errors.New("not on this system")

func netstat(ctx context.Context, _ func(error), emit func(*netstatRow) bool) error {
	all, err := psnet.ConnectionsWithContext(ctx, "inet")
	if err != nil {
		return err
	}
	for _, c := range all {
		row := &netstatRow{
			Fd: int64(c.Fd), Family: familyV4, FamilyString: "IPv4", Type: int64(c.Type), TypeString: "TCP", Status: c.Status, Pid: int64(c.Pid),
			Laddr: &addr{c.Laddr.IP, int64(c.Laddr.Port)}, Raddr: &addr{c.Raddr.IP, int64(c.Raddr.Port)}, Uid: -1,
		}
		if ipv6(c.Family) {
			row.Family, row.FamilyString = familyV6, "IPv6"
		}
		if c.Type == typeDatagram {
			row.TypeString = "UDP"
		}
		if len(c.Uids) > 0 {
			row.Uid = int64(c.Uids[0])
		}
		if !emit(row) {
			return nil
		}
	}
	return nil
}

// ipv6 says whether a family number of this system is that of IPv6: 23 on
// Windows, 30 on macOS.
func ipv6(family uint32) bool {
	if runtime.GOOS == "darwin" {
		return family == 30
	}
	return family == 23
}

func localSockets(context.Context, func(error), func(*unixRow) bool) error {
	return fmt.Errorf("unix domain sockets: %w (%s)", ErrPlatform, runtime.GOOS)
}

func neighbours(context.Context, func(error), func(*arpRow) bool) error {
	return fmt.Errorf("neighbours: %w (%s)", ErrPlatform, runtime.GOOS)
}
