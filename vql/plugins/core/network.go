package core

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"satchel/vql"
)

func networkList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("ip", ip, vql.Doc("Reads an IP address.")),
		vql.NewFunction("cidr_contains", cidrContains, vql.Doc("Tells whether an address is in one of several networks.")),
	}
}

type ipArgs struct {
	Parse      string `vql:"parse"`
	Netaddr4LE any    `vql:"netaddr4_le"`
	Netaddr4BE any    `vql:"netaddr4_be"`
}

type address struct {
	IP                 string
	String             string
	Is4                bool
	IsLoopback         bool
	IsPrivate          bool
	IsMulticast        bool
	IsLinkLocalUnicast bool
	IsGlobalUnicast    bool
	IsUnspecified      bool
}

func ip(_ context.Context, s *vql.Scope, a ipArgs) (any, error) {
	var addr netip.Addr
	var raw [4]byte
	switch {
	case a.Netaddr4LE != nil:
		binary.LittleEndian.PutUint32(raw[:], uint32(size(s, a.Netaddr4LE)))
		addr = netip.AddrFrom4(raw)
	case a.Netaddr4BE != nil:
		binary.BigEndian.PutUint32(raw[:], uint32(size(s, a.Netaddr4BE)))
		addr = netip.AddrFrom4(raw)
	case a.Parse == "":
		return nil, nil
	default:
		var err error
		if addr, err = netip.ParseAddr(a.Parse); err != nil {
			return nil, fmt.Errorf("%q is not an IP address", a.Parse)
		}
		addr = addr.Unmap()
	}
	return &address{
		IP: addr.String(), String: addr.String(), Is4: addr.Is4(), IsLoopback: addr.IsLoopback(), IsPrivate: addr.IsPrivate(),
		IsMulticast: addr.IsMulticast(), IsLinkLocalUnicast: addr.IsLinkLocalUnicast(), IsGlobalUnicast: addr.IsGlobalUnicast(),
		IsUnspecified: addr.IsUnspecified(),
	}, nil
}

type cidrArgs struct {
	IP     string   `vql:"ip,required"`
	Ranges []string `vql:"ranges,required"`
}

func cidrContains(_ context.Context, _ *vql.Scope, a cidrArgs) (any, error) {
	addr, err := netip.ParseAddr(a.IP)
	if err != nil {
		return false, fmt.Errorf("%q is not an IP address", a.IP)
	}
	for _, text := range a.Ranges {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return false, fmt.Errorf("%q is not a network such as 10.0.0.0/8", text)
		}
		if network.Contains(addr.Unmap()) {
			return true, nil
		}
	}
	return false, nil
}
