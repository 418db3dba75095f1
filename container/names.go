package container

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/zipx"
)

// resultMember is the member that holds the rows of a source.
func resultMember(source string) string {
	name, _, _ := zipx.MemberName([]string{"results", source})
	return name + ".json"
}

// sourceOfMember is the inverse of resultMember; ok is false for members that
// are not results. CSV results end in .csv.
func sourceOfMember(name string) (source string, csv, ok bool) {
	rest, found := strings.CutPrefix(name, "results/")
	if !found || strings.Contains(rest, "/") {
		return "", false, false
	}
	if base, found := strings.CutSuffix(rest, ".json"); found {
		source, err := zipx.UnescapeComponent(base)
		return source, false, err == nil
	}
	if base, found := strings.CutSuffix(rest, ".csv"); found {
		source, err := zipx.UnescapeComponent(base)
		return source, true, err == nil
	}
	return "", false, false
}

// uploadComponents are the unescaped components of an upload's member:
// "uploads", the accessor and the name to store under.
func uploadComponents(u *flow.Upload) []string {
	accessor := u.Accessor
	if accessor == "" {
		accessor = "auto"
	}
	out := make([]string, 0, len(u.Components)+2)
	out = append(out, "uploads", accessor)
	for _, c := range u.Components {
		if c != "" && c != "." && c != ".." {
			out = append(out, c)
		}
	}
	if len(out) == 2 {
		out = append(out, "unnamed")
	}
	return out
}

// nameBook gives every upload a member name of its own and knows what was
// uploaded before. Names are compared without case, since Velociraptor looks
// members up so and Windows unpacks them so. It keeps 40 bytes a name.
type nameBook struct {
	mu    sync.Mutex
	names zipx.NameSet
	seen  map[[16]byte]*upload // uploads under way, by what they are
	done  map[[16]byte]int64   // ended uploads: spool offset of the record
	// Ended uploads whose record is not in the spool yet, and their keys by id.
	ending map[[16]byte]*entry.Upload
	keys   map[uint64][16]byte
}

func newNameBook() *nameBook {
	return &nameBook{seen: map[[16]byte]*upload{}, done: map[[16]byte]int64{}, ending: map[[16]byte]*entry.Upload{}, keys: map[uint64][16]byte{}}
}

func shortHash(parts ...string) (out [16]byte) {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	copy(out[:], h.Sum(nil))
	return out
}

// key identifies what is uploaded: the accessor, where it came from and the
// name it is stored under.
func uploadKey(u *flow.Upload) [16]byte {
	parts := append([]string{u.Accessor, u.Path}, u.Components...)
	return shortHash(parts...)
}

// claim returns a member name that no other upload has, and the components it
// decodes to. That of a sparse file has its index beside it, whose name is free
// too.
func (b *nameBook) claim(components []string, sparse bool) (stored []string, member string) {
	member, stored, _ = zipx.MemberName(components)
	claimed, changed := b.names.Claim(member)
	for taken := sparse; taken; {
		if _, taken = b.names.Claim(claimed + ".idx"); taken {
			claimed, changed = b.names.Claim(member)
		}
	}
	if !changed {
		return stored, member
	}
	// The name is one of ours, so what it decodes to can be stored as it is.
	stored, _ = zipx.SplitMember(claimed)
	return stored, claimed
}
