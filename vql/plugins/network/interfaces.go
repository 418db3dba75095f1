package network

import (
	"context"
	"fmt"
	"net"
	"strings"

	"satchel/vql"
)

// ifaceAddr is one address of an interface.
type ifaceAddr struct {
	IP     string
	Mask   string
	Prefix int64
}

// interfaceRow is one network interface. Up and PointToPoint are Y or N.
type interfaceRow struct {
	Index              int64
	MTU                int64
	Name               string
	HardwareAddr       string
	HardwareAddrString string
	Flags              string
	Up                 string
	PointToPoint       string
	Addrs              []any
	AddrsString        []string
}

func interfacesPlugin() vql.Plugin {
	return vql.NewPlugin("interfaces", func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*interfaceRow) bool) error {
		all, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range all {
			addrs, err := i.Addrs()
			if err != nil {
				s.Warn(fmt.Errorf("addresses of %s: %w", i.Name, err))
			}
			if !emit(newInterfaceRow(i, addrs)) {
				return nil
			}
		}
		return ctx.Err()
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the network interfaces with their addresses."))
}

func newInterfaceRow(i net.Interface, addrs []net.Addr) *interfaceRow {
	row := &interfaceRow{
		Index: int64(i.Index), MTU: int64(i.MTU), Name: i.Name, HardwareAddr: i.HardwareAddr.String(), HardwareAddrString: i.HardwareAddr.String(),
		Flags: strings.ReplaceAll(i.Flags.String(), "|", " "), Up: yes(i.Flags&net.FlagUp != 0), PointToPoint: yes(i.Flags&net.FlagPointToPoint != 0),
		Addrs: []any{}, AddrsString: []string{},
	}
	for _, a := range addrs {
		row.AddrsString = append(row.AddrsString, a.String())
		if n, ok := a.(*net.IPNet); ok {
			ones, _ := n.Mask.Size()
			row.Addrs = append(row.Addrs, &ifaceAddr{n.IP.String(), n.Mask.String(), int64(ones)})
		}
	}
	return row
}

func yes(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}
