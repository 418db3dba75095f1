package flow

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

var (
	flowIDPattern   = regexp.MustCompile(`^F\.[0-9A-V]{13}(\.H)?$`)
	clientIDPattern = regexp.MustCompile(`^C\.[0-9a-f]{16}$`)
)

// NewID returns a new flow id: "F." and 13 characters of base32hex over the
// time in seconds (4 bytes, big endian) and 4 random bytes, so that ids sort by
// the second.
func NewID(now time.Time, random io.Reader) (string, error) {
	var raw [8]byte
	binary.BigEndian.PutUint32(raw[:4], uint32(now.Unix()))
	if _, err := io.ReadFull(random, raw[4:]); err != nil {
		return "", fmt.Errorf("make a flow id: %w", err)
	}
	return "F." + base32.HexEncoding.EncodeToString(raw[:])[:13], nil
}

// ValidID says whether s has the shape of a flow id.
func ValidID(s string) bool { return flowIDPattern.MatchString(s) }

// ValidClientID says whether s has the shape of a client id.
func ValidClientID(s string) bool { return clientIDPattern.MatchString(s) }

// ClientID returns the client id for a machine's own id: the id as it is if it
// has the shape of a client id, else "C." and the first 16 hex digits of the
// SHA-256 of the trimmed, lower-case id. An empty id gives an empty client id.
func ClientID(machineID string) string {
	id := strings.TrimSpace(machineID)
	if id == "" || ValidClientID(id) {
		return id
	}
	sum := sha256.Sum256([]byte(strings.ToLower(id)))
	return "C." + hex.EncodeToString(sum[:8])
}

// SourceName joins an artifact and the name of one of its sources, which may
// be empty.
func SourceName(artifact, source string) string {
	if source == "" {
		return artifact
	}
	return artifact + "/" + source
}
