package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// procNet reads a procfs that is mounted, or lies as plain files, at root.
type procNet struct {
	root string
}

// table opens a table of a namespace. A table that is not there, because the
// kernel does without that protocol, gives nil.
func (p procNet) table(in space, name string) (*os.File, error) {
	dir := p.root + "/net/"
	if in.Pid != 0 {
		dir = p.root + "/" + strconv.FormatInt(in.Pid, 10) + "/net/"
	}
	f, err := os.Open(dir + name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ESRCH) {
		return nil, nil
	}
	return f, err
}

// holders finds the processes that hold sockets, and says what it may not see.
func (p procNet) holders(warn func(error)) (*holders, error) {
	h, err := findHolders(p.root)
	if err != nil {
		return nil, err
	}
	if h.denied > 0 {
		warn(fmt.Errorf("the sockets of %d processes may not be seen: %w", h.denied, fs.ErrPermission))
	}
	return h, nil
}

func (p procNet) netstat(ctx context.Context, warn func(error), emit func(*netstatRow) bool) error {
	h, err := p.holders(warn)
	if err != nil {
		return err
	}
	for _, in := range h.spaces {
		for _, proto := range protocols() {
			if err := ctx.Err(); err != nil {
				return err
			}
			goOn, err := p.sockets(in, proto, h, warn, emit)
			if err != nil {
				warn(fmt.Errorf("%s: %w", proto.file, err))
			}
			if !goOn {
				return nil
			}
		}
	}
	return nil
}

// sockets emits one table of one namespace. It answers false when nobody wants
// more.
func (p procNet) sockets(in space, proto protocol, h *holders, warn func(error), emit func(*netstatRow) bool) (bool, error) {
	f, err := p.table(in, proto.file)
	if f == nil {
		return true, err
	}
	defer f.Close()
	for s, err := range sockets(f) {
		if err != nil {
			warn(fmt.Errorf("%s: %w", proto.file, err))
			continue
		}
		for _, who := range h.of(s.Inode) {
			if !emit(newRow(in, proto, s, who)) {
				return false, nil
			}
		}
	}
	return true, nil
}

func newRow(in space, proto protocol, s socket, who holder) *netstatRow {
	return &netstatRow{
		Fd: who.Fd, Family: proto.family, FamilyString: proto.familyName, Type: proto.kind, TypeString: proto.kindName,
		Status: stateName(proto.kind, s.State), Pid: who.Pid, Uid: int64(s.UID), Inode: s.Inode, Namespace: in.Inode,
		Laddr: &addr{s.Local.Addr().String(), int64(s.Local.Port())},
		Raddr: &addr{s.Remote.Addr().String(), int64(s.Remote.Port())},
	}
}

// of returns the processes that hold a socket, or one that is nobody.
func (h *holders) of(inode uint64) []holder {
	if inode != 0 {
		if who := h.byInode[inode]; len(who) > 0 {
			return who
		}
	}
	return []holder{{}}
}

func (p procNet) unix(ctx context.Context, warn func(error), emit func(*unixRow) bool) error {
	h, err := p.holders(warn)
	if err != nil {
		return err
	}
	for _, in := range h.spaces {
		f, err := p.table(in, "unix")
		if err != nil {
			warn(err)
		}
		if f == nil {
			continue
		}
		goOn := true
		for u, err := range unixSockets(f) {
			if err != nil {
				warn(err)
				continue
			}
			for _, who := range h.of(u.Inode) {
				goOn = goOn && emit(&unixRow{who.Fd, u.kindName(), u.stateName(), u.Path, who.Pid, u.Inode, in.Inode})
			}
			if !goOn {
				break
			}
		}
		_ = f.Close()
		if err := ctx.Err(); err != nil {
			return err
		}
		if !goOn {
			return nil
		}
	}
	return nil
}

func (p procNet) arp(ctx context.Context, warn func(error), emit func(*arpRow) bool) error {
	h, err := findHolders(p.root)
	if err != nil {
		return err
	}
	for _, in := range h.spaces {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := p.table(in, "arp")
		if err != nil {
			warn(err)
		}
		if f == nil {
			continue
		}
		goOn := true
		for line, err := range lines(f) {
			var row *arpRow
			if err == nil {
				row, err = parseNeighbour(line)
			}
			if err != nil {
				warn(err)
				continue
			}
			row.Namespace = in.Inode
			if goOn = emit(row); !goOn {
				break
			}
		}
		_ = f.Close()
		if !goOn {
			return nil
		}
	}
	return nil
}

// parseNeighbour reads a line of /proc/net/arp.
func parseNeighbour(line string) (*arpRow, error) {
	f := strings.Fields(line)
	if len(f) < 6 {
		return nil, fmt.Errorf("%d fields: %w", len(f), ErrTable)
	}
	kind, e1 := strconv.ParseUint(f[1], 0, 32)
	flags, e2 := strconv.ParseUint(f[2], 0, 32)
	if e1 != nil || e2 != nil {
		return nil, fmt.Errorf("%.100q: %w", line, ErrTable)
	}
	return &arpRow{IP: f[0], MAC: f[3], Interface: f[5], Flags: flags, Type: kind}, nil
}
