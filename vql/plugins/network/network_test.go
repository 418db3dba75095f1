package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// procTree writes files, and links where the text begins with "->", below a new
// root that stands for /proc.
func procTree(t testing.TB, files map[string]string) procNet {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(to, full)
		} else {
			err = os.WriteFile(full, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return procNet{root}
}

const (
	tcpHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	tcpText = tcpHead +
		"   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 636 1 00000000aaffedf8 100 0 0 10 0\n" +
		"broken line\n" +
		"   1: 020200C0:0016 010200C0:C350 01 00000000:00000000 02:00000000 00000000  1000        0 700 1 0000000000000000 100 0 0 10 0\n" +
		"   2: 020200C0:0016 010200C0:C351 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0000000000000000\n"
	udp6Text = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		"   5: B80D01200000000000000000010000FE:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 800 2 0 0\n"
	unixText = "Num       RefCount Protocol Flags    Type St Inode Path\n" +
		"00000000b1977309: 00000002 00000000 00010000 0001 01  900 /run/a b.sock\n" +
		"00000000b1977310: 00000003 00000000 00000000 0002 03  901\n" +
		"00000000b1977311: 00000003 00000000 00000000 0005 03  902 @abstract\n"
	arpText = "IP address       HW type     Flags       HW address            Mask     Device\n" +
		"192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\nx\n"
)

func golden(t testing.TB) procNet {
	return procTree(t, map[string]string{
		"self/ns/net": "->net:[1]", "net/tcp": tcpText, "net/udp6": udp6Text, "net/unix": unixText, "net/arp": arpText,
		"10/ns/net": "->net:[1]", "10/fd/3": "->socket:[636]", "10/fd/4": "->/dev/null", "10/fd/5": "->socket:[900]",
		"11/ns/net": "->net:[1]", "11/fd/7": "->socket:[636]",
		"20/ns/net": "->net:[2]", "20/fd/9": "->socket:[1700]", "20/net/tcp": tcpHead + "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1700 1 0 100 0 0 10 0\n",
		"notapid/fd/0": "->socket:[636]",
	})
}

func TestNetstat(t *testing.T) {
	t.Parallel()
	var got []netstatRow
	var warnings []string
	err := golden(t).netstat(t.Context(), func(err error) { warnings = append(warnings, err.Error()) }, func(r *netstatRow) bool { got = append(got, *r); return true })
	if err != nil {
		t.Fatal(err)
	}
	any4 := &addr{"0.0.0.0", 0}
	tcp := netstatRow{Family: 2, FamilyString: "IPv4", Type: 1, TypeString: "TCP", Namespace: 1}
	with := func(r netstatRow, change func(*netstatRow)) netstatRow { change(&r); return r }
	want := []netstatRow{
		with(tcp, func(r *netstatRow) {
			r.Status, r.Laddr, r.Raddr, r.Inode, r.Pid, r.Fd = "LISTEN", &addr{"127.0.0.1", 22}, any4, 636, 10, 3
		}),
		with(tcp, func(r *netstatRow) {
			r.Status, r.Laddr, r.Raddr, r.Inode, r.Pid, r.Fd = "LISTEN", &addr{"127.0.0.1", 22}, any4, 636, 11, 7
		}),
		with(tcp, func(r *netstatRow) {
			r.Status, r.Laddr, r.Raddr, r.Inode, r.Uid = "ESTABLISHED", &addr{"192.0.2.2", 22}, &addr{"192.0.2.1", 50000}, 700, 1000
		}),
		with(tcp, func(r *netstatRow) {
			r.Status, r.Laddr, r.Raddr = "TIME_WAIT", &addr{"192.0.2.2", 22}, &addr{"192.0.2.1", 50001}
		}),
		{Family: 10, FamilyString: "IPv6", Type: 2, TypeString: "UDP", Namespace: 1, Status: "NONE", Laddr: &addr{"2001:db8::fe00:1", 53}, Raddr: &addr{"::", 0}, Inode: 800, Uid: 101},
		with(tcp, func(r *netstatRow) {
			r.Status, r.Laddr, r.Raddr, r.Inode, r.Pid, r.Fd, r.Namespace = "LISTEN", &addr{"0.0.0.0", 8080}, any4, 1700, 20, 9, 2
		}),
	}
	less := func(a, b netstatRow) bool {
		return a.Inode < b.Inode || a.Inode == b.Inode && a.Pid < b.Pid
	}
	if d := cmp.Diff(want, got, cmpopts.SortSlices(less)); d != "" {
		t.Error(d)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "tcp") {
		t.Errorf("warnings %q", warnings)
	}
}

func TestNetstatStops(t *testing.T) {
	t.Parallel()
	n := 0
	if err := golden(t).netstat(t.Context(), func(error) {}, func(*netstatRow) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := golden(t).netstat(ctx, func(error) {}, func(*netstatRow) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := (procNet{t.TempDir() + "/none"}).netstat(t.Context(), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no procfs: %v", err)
	}
}

func TestUnixSockets(t *testing.T) {
	t.Parallel()
	var got []unixRow
	if err := golden(t).unix(t.Context(), func(err error) { t.Error(err) }, func(r *unixRow) bool { got = append(got, *r); return true }); err != nil {
		t.Fatal(err)
	}
	want := []unixRow{
		{5, "STREAM", "LISTEN", "/run/a b.sock", 10, 900, 1}, {0, "DGRAM", "ESTABLISHED", "", 0, 901, 1}, {0, "SEQPACKET", "ESTABLISHED", "@abstract", 0, 902, 1},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNeighbours(t *testing.T) {
	t.Parallel()
	var got []arpRow
	bad := 0
	err := golden(t).arp(t.Context(), func(error) { bad++ }, func(r *arpRow) bool { got = append(got, *r); return true })
	if d := cmp.Diff([]arpRow{{"192.0.2.1", "02:fc:00:00:00:05", "eth0", 2, 1, 1}}, got); d != "" || err != nil || bad != 1 {
		t.Error(d, err, bad)
	}
}

func TestParseAddr(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0100007F:0050": "127.0.0.1:80", "00000000000000000000000001000000:FFFF": "[::1]:65535", "0000000000000000FFFF00000100007F:0000": "[::ffff:127.0.0.1]:0",
	} {
		got, err := parseAddr(in)
		if err != nil || got != netip.MustParseAddrPort(want) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", ":", "0100007F", "0100007:0050", "0100007G:0050", "0100007F:10000", "0100007F:005g"} {
		if _, err := parseAddr(in); !errors.Is(err, ErrTable) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestHoldersAreBounded(t *testing.T) {
	t.Parallel()
	h := &holders{byInode: map[uint64][]holder{}}
	dir := t.TempDir()
	for _, name := range strings.Fields("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19") {
		if err := os.Symlink("socket:[1]", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if h.addProcess(dir, 5); len(h.byInode[1]) != maxHolders {
		t.Errorf("%d holders", len(h.byInode[1]))
	}
}

func TestInterfaceRow(t *testing.T) {
	t.Parallel()
	_, n, _ := net.ParseCIDR("192.0.2.0/24")
	n.IP = net.IPv4(192, 0, 2, 7)
	got := newInterfaceRow(net.Interface{Index: 3, MTU: 1500, Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0xfc, 0, 0, 0, 1}, Flags: net.FlagUp | net.FlagBroadcast}, []net.Addr{n})
	want := &interfaceRow{
		Index: 3, MTU: 1500, Name: "eth0", HardwareAddr: "02:fc:00:00:00:01", HardwareAddrString: "02:fc:00:00:00:01", Flags: "up broadcast", Up: "Y", PointToPoint: "N",
		Addrs: []any{&ifaceAddr{"192.0.2.7", "ffffff00", 24}}, AddrsString: []string{"192.0.2.7/24"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzTables(f *testing.F) {
	for _, s := range []string{tcpText, udp6Text, unixText, arpText} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		n := 0
		for s, err := range sockets(strings.NewReader(in)) {
			if err == nil && !s.Local.IsValid() {
				t.Fatalf("%+v", s)
			}
			n++
		}
		for range unixSockets(strings.NewReader(in)) {
			n++
		}
		for line := range lines(strings.NewReader(in)) {
			_, _ = parseNeighbour(line)
		}
		if n > 2*strings.Count(in, "\n")+4 {
			t.Fatalf("%d sockets", n)
		}
	})
}
