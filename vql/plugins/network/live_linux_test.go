package network

import (
	"net"
	"os"
	"testing"
)

// TestOwnSocket finds a socket of the test itself with its process.
func TestOwnSocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := int64(l.Addr().(*net.TCPAddr).Port)
	found := false
	if err := netstat(t.Context(), func(error) {}, func(r *netstatRow) bool {
		found = found || r.Laddr.Port == port && r.Laddr.IP == "127.0.0.1" && r.Status == "LISTEN" && r.Pid == int64(os.Getpid()) && r.Fd > 0
		return true
	}); err != nil || !found {
		t.Errorf("found %v, %v", found, err)
	}
}
