package network

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// maxLine bounds one line of a table under /proc/net, in bytes. The kernel pads
// its lines to 150; unix socket names add at most 108.
const maxLine = 4 << 10

// ErrTable says that a line of a socket table has not the form that the kernel
// writes.
var ErrTable = errors.New("malformed socket table")

// Family numbers of Linux, which the rows carry on every system.
const (
	familyUnix = 1
	familyV4   = 2
	familyV6   = 10
)

// Type numbers of sockets.
const (
	typeStream    = 1
	typeDatagram  = 2
	typeRaw       = 3
	typeSeqPacket = 5
)

// protocol tells what a table under /proc/net holds.
type protocol struct {
	file       string
	family     int64
	familyName string
	kind       int64
	kindName   string
}

func protocols() []protocol {
	return []protocol{
		{"tcp", familyV4, "IPv4", typeStream, "TCP"},
		{"tcp6", familyV6, "IPv6", typeStream, "TCP"},
		{"udp", familyV4, "IPv4", typeDatagram, "UDP"},
		{"udp6", familyV6, "IPv6", typeDatagram, "UDP"},
		{"udplite", familyV4, "IPv4", typeDatagram, "UDPLITE"},
		{"udplite6", familyV6, "IPv6", typeDatagram, "UDPLITE"},
		{"raw", familyV4, "IPv4", typeRaw, "RAW"},
		{"raw6", familyV6, "IPv6", typeRaw, "RAW"},
	}
}

// socket is one line of a table.
type socket struct {
	Local, Remote netip.AddrPort
	State         uint8
	UID           uint32
	Inode         uint64
}

// stateName names a state as gopsutil spells it.
func stateName(kind int64, state uint8) string {
	if kind != typeStream {
		if state == 1 {
			return "ESTABLISHED" // connect was called on it
		}
		return "NONE"
	}
	switch state {
	case 1:
		return "ESTABLISHED"
	case 2:
		return "SYN_SENT"
	case 3:
		return "SYN_RECV"
	case 4:
		return "FIN_WAIT1"
	case 5:
		return "FIN_WAIT2"
	case 6:
		return "TIME_WAIT"
	case 7:
		return "CLOSE"
	case 8:
		return "CLOSE_WAIT"
	case 9:
		return "LAST_ACK"
	case 10:
		return "LISTEN"
	case 11:
		return "CLOSING"
	case 12:
		return "NEW_SYN_RECV"
	}
	return "UNKNOWN"
}

// lines yields the lines of a table without its heading.
func lines(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		in := bufio.NewReaderSize(r, maxLine)
		for first := true; ; first = false {
			line, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				yield("", fmt.Errorf("line beyond %d bytes: %w", maxLine, ErrTable))
				return
			}
			text := strings.TrimSuffix(string(line), "\n")
			if !first && text != "" && !yield(text, nil) {
				return
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield("", err)
				return
			}
		}
	}
}

// sockets yields the sockets of a table of IPv4 or IPv6. A line that cannot be
// read yields an error that wraps ErrTable, and reading goes on.
func sockets(r io.Reader) iter.Seq2[socket, error] {
	return func(yield func(socket, error) bool) {
		for line, err := range lines(r) {
			if err != nil {
				yield(socket{}, err)
				return
			}
			if !yield(parseSocket(line)) {
				return
			}
		}
	}
}

func parseSocket(line string) (socket, error) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return socket{}, fmt.Errorf("%d fields: %w", len(f), ErrTable)
	}
	local, err := parseAddr(f[1])
	if err != nil {
		return socket{}, err
	}
	remote, err := parseAddr(f[2])
	if err != nil {
		return socket{}, err
	}
	state, e1 := strconv.ParseUint(f[3], 16, 8)
	uid, e2 := strconv.ParseUint(f[7], 10, 32)
	inode, e3 := strconv.ParseUint(f[9], 10, 64)
	if errors.Join(e1, e2, e3) != nil {
		return socket{}, fmt.Errorf("%.100q: %w", line, ErrTable)
	}
	return socket{local, remote, uint8(state), uint32(uid), inode}, nil
}

// parseAddr reads address:port in hex. The address is one 32 bit word, or four,
// each in the byte order of the machine, which is little endian on all that we
// build for.
func parseAddr(s string) (netip.AddrPort, error) {
	addr, port, ok := strings.Cut(s, ":")
	p, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || len(addr) != 8 && len(addr) != 32 {
		return netip.AddrPort{}, fmt.Errorf("address %.40q: %w", s, ErrTable)
	}
	var raw [16]byte
	n, err := hex.Decode(raw[:], []byte(addr))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %.40q: %w", s, ErrTable)
	}
	for w := raw[:n]; len(w) >= 4; w = w[4:] {
		w[0], w[1], w[2], w[3] = w[3], w[2], w[1], w[0]
	}
	ip, _ := netip.AddrFromSlice(raw[:n])
	return netip.AddrPortFrom(ip, uint16(p)), nil
}

// unixSocket is one line of /proc/net/unix.
type unixSocket struct {
	Kind      int64
	State     uint8
	Listening bool
	Inode     uint64
	Path      string // with a leading @ when it lies in the abstract name space
}

// unixSockets yields the sockets of a unix table, with errors as [sockets].
func unixSockets(r io.Reader) iter.Seq2[unixSocket, error] {
	return func(yield func(unixSocket, error) bool) {
		for line, err := range lines(r) {
			if err != nil {
				yield(unixSocket{}, err)
				return
			}
			if !yield(parseUnix(line)) {
				return
			}
		}
	}
}

// acceptsConnections is the flag __SO_ACCEPTCON.
const acceptsConnections = 1 << 16

func parseUnix(line string) (unixSocket, error) {
	var f [7]string
	rest := line
	for i := range f {
		rest = strings.TrimLeft(rest, " ")
		f[i], rest, _ = strings.Cut(rest, " ")
	}
	flags, e1 := strconv.ParseUint(f[3], 16, 32)
	kind, e2 := strconv.ParseInt(f[4], 16, 16)
	state, e3 := strconv.ParseUint(f[5], 16, 8)
	inode, e4 := strconv.ParseUint(f[6], 10, 64)
	if errors.Join(e1, e2, e3, e4) != nil {
		return unixSocket{}, fmt.Errorf("%.100q: %w", line, ErrTable)
	}
	return unixSocket{kind, uint8(state), flags&acceptsConnections != 0, inode, rest}, nil
}

func (u unixSocket) kindName() string {
	switch u.Kind {
	case typeStream:
		return "STREAM"
	case typeDatagram:
		return "DGRAM"
	case typeSeqPacket:
		return "SEQPACKET"
	}
	return "UNKNOWN"
}

func (u unixSocket) stateName() string {
	switch {
	case u.Listening:
		return "LISTEN"
	case u.State == 3:
		return "ESTABLISHED"
	case u.State == 2:
		return "SYN_SENT"
	}
	return "NONE"
}
