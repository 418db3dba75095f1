package network

import (
	"context"
	"time"

	"satchel/vql"
)

// addr is one end of a connection.
type addr struct {
	IP   string
	Port int64
}

// netstatRow is one socket. A socket that several processes hold is one row for
// each of them; one that none holds has Pid 0.
type netstatRow struct {
	Fd           int64
	Family       int64 // 2 for IPv4, 10 for IPv6
	FamilyString string
	Type         int64 // 1 stream, 2 datagram, 3 raw
	TypeString   string
	Status       string
	Laddr        *addr
	Raddr        *addr
	Pid          int64
	Timestamp    time.Time // NULL on systems that do not keep it
	Uid          int64     // who owns the socket, -1 where unknown
	Inode        uint64
	Namespace    uint64 // inode of the network namespace, 0 where unknown
}

type noArgs struct{}

func netstatPlugin(name, doc string) vql.Plugin {
	return vql.NewPlugin(name, func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*netstatRow) bool) error {
		return netstat(ctx, s.Warn, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc(doc))
}

// unixRow is one socket of the local system.
type unixRow struct {
	Fd         int64
	TypeString string
	Status     string
	Path       string // a leading @ marks the abstract name space
	Pid        int64
	Inode      uint64
	Namespace  uint64
}

func unixPlugin() vql.Plugin {
	return vql.NewPlugin("unix_sockets", func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*unixRow) bool) error {
		return localSockets(ctx, s.Warn, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists unix domain sockets with the process that holds them."))
}

// arpRow is one neighbour.
type arpRow struct {
	IP        string
	MAC       string
	Interface string
	Flags     uint64
	Type      uint64
	Namespace uint64
}

func arpPlugin() vql.Plugin {
	return vql.NewPlugin("arp_cache", func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*arpRow) bool) error {
		return neighbours(ctx, s.Warn, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the IPv4 neighbours whose hardware address is known."))
}
