package importer

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"satchel/container"
	"satchel/internal/flow"
)

// identity is the client that a container belongs to.
type identity struct {
	clientID string
	how      string // see flow.Record.Identity
	original string // the container's own client id where it is another
}

// identify finds the machine: its HostID, taken as it is if it has the shape of
// a client id and hashed otherwise; else its machine id; else the client id
// that a server gave it; else its name, hashed with a marker so that a name
// never equals a machine's id; else the flow stands for a machine of its own.
// Hosts of one name with different ids stay apart.
func identify(info container.Info, given, flowID string) identity {
	h := info.Host
	own := h.HostID
	if own == "" {
		own = info.Flow.ClientID
	}
	id := identity{original: own}
	switch {
	case given != "":
		id.clientID, id.how = given, "given"
	case machineID(h.HostID):
		id.clientID, id.how = flow.ClientID(h.HostID), "host_id"
	case machineID(h.RawID):
		id.clientID, id.how = flow.ClientID(h.RawID), "machine_id"
	case flow.ValidClientID(info.Flow.ClientID):
		id.clientID, id.how = info.Flow.ClientID, "client_id"
	case ownName(h.FQDN):
		id.clientID, id.how = flow.ClientID("fqdn:"+canonicalName(h.FQDN)), "fqdn"
	case ownName(h.Hostname):
		id.clientID, id.how = flow.ClientID("hostname:"+canonicalName(h.Hostname)), "hostname"
	default:
		id.clientID, id.how = flow.ClientID("flow:"+flowID), "flow"
	}
	if id.original == id.clientID {
		id.original = ""
	}
	return id
}

// machineID says whether an id can tell machines apart: vendors ship boards
// whose id is all zeros, all ones or a plain count.
func machineID(id string) bool {
	id = strings.ToLower(strings.TrimSpace(id))
	bare := strings.NewReplacer("-", "", "{", "", "}", "").Replace(id)
	switch {
	case flow.ValidClientID(id):
		return true
	case bare == "":
		return false
	case strings.Trim(bare, "0") == "", strings.Trim(bare, "f") == "":
		return false
	case bare == "03000200040005000006000700080009":
		return false
	}
	return true
}

// ownName says whether a name is one that a machine could have for itself.
func ownName(name string) bool {
	switch canonicalName(name) {
	case "", "localhost", "localhost.localdomain", "localhost6", "(none)", "unknown":
		return false
	}
	return true
}

func canonicalName(name string) string {
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), ".")
}

// madeID is the n-th id that the store gives to flows that call themselves
// original. It is the same in every store and every run.
func madeID(original string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", n, original))
	return "F." + base32.HexEncoding.EncodeToString(sum[:])[:13]
}
