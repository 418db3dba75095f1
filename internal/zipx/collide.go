package zipx

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxComponent is the longest escaped component, in bytes, that [MemberName]
	// makes. Velociraptor cuts longer ones.
	MaxComponent = 1024
	// MaxMemberName is the longest name, in bytes, that [MemberName] makes.
	MaxMemberName = 32 << 10
)

// MemberName returns a member name for components of any length, and the
// components that it decodes to. They are those given unless shortened tells
// otherwise: a component whose escaped form is longer than [MaxComponent] keeps
// its beginning and gets "~" and 16 hex digits of the SHA-256 of the whole
// component; if the name is still longer than [MaxMemberName], the components
// between the second and the last are replaced by one, "~" and 16 hex digits of
// the SHA-256 of the name. The result depends on the components alone.
func MemberName(components []string) (name string, stored []string, shortened bool) {
	stored = components
	for i, c := range components {
		if 3*len(c) <= MaxComponent || len(EscapeComponent(c)) <= MaxComponent {
			continue
		}
		if !shortened {
			stored, shortened = append([]string(nil), components...), true
		}
		stored[i] = shortenComponent(c)
	}
	name = EscapePath(stored)
	if len(name) > MaxMemberName && len(stored) > 3 {
		middle := "~" + shortHash(EscapePath(components))
		stored = []string{stored[0], stored[1], middle, stored[len(stored)-1]}
		return EscapePath(stored), stored, true
	}
	return name, stored, shortened
}

// shortenComponent returns the longest beginning of c, cut between characters,
// that fits together with the hash of c.
func shortenComponent(c string) string {
	suffix := "~" + shortHash(c)
	room, used, cut := MaxComponent-len(suffix), 0, 0
	for cut < len(c) {
		_, n := utf8.DecodeRuneInString(c[cut:])
		// Measured as if inside the component; the first byte may be an edge.
		cost := len(appendComponent(nil, "x"+c[cut:cut+n]+"x")) - 2
		if cut == 0 && edge(c[0]) {
			cost = 3
		}
		if used+cost > room {
			break
		}
		used, cut = used+cost, cut+n
	}
	return c[:cut] + suffix
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// FoldName returns a key that is equal for names which a reader that ignores
// case may take for each other.
func FoldName(name string) string {
	return strings.Map(foldRune, name)
}

// foldRune returns the smallest rune that folds with the lower case of r.
func foldRune(r rune) rune {
	r = unicode.ToLower(r)
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}

// Collide tells whether readers that ignore case may confuse two names.
func Collide(a, b string) bool { return a == b || FoldName(a) == FoldName(b) }

// Disambiguate returns name with "~" and 16 hex digits in front of the last
// extension of its last component (at its end without one). The digits are of
// the SHA-256 of name, followed for n > 0 by "/" and n in decimal.
func Disambiguate(name string, n int) string {
	seed := name
	if n > 0 {
		seed += "/" + strconv.Itoa(n)
	}
	dir := ""
	body, isDir := strings.CutSuffix(name, "/")
	if isDir {
		dir = "/"
	}
	at := strings.LastIndexByte(body, '.')
	if at <= strings.LastIndexByte(body, '/')+1 {
		at = len(body)
	}
	return body[:at] + "~" + shortHash(seed) + body[at:] + dir
}

// NameSet gives out member names that no reader confuses, at some 40 bytes of
// memory a name. The zero value is empty. One goroutine at a time may use it.
type NameSet struct {
	taken map[[12]byte]struct{}
}

// Claim takes a name and returns it, or, when it or one that differs only by
// case was taken before, the first of Disambiguate(name, 0), (name, 1), ... that
// is free. Changed tells whether the result differs from name.
func (s *NameSet) Claim(name string) (claimed string, changed bool) {
	claimed = name
	for n := 0; !s.add(claimed); n++ {
		claimed, changed = Disambiguate(name, n), true
	}
	return claimed, changed
}

// add takes a name and tells whether it was free.
func (s *NameSet) add(name string) bool {
	sum := sha256.Sum256([]byte(FoldName(name)))
	key := [12]byte(sum[:12])
	if _, taken := s.taken[key]; taken {
		return false
	}
	if s.taken == nil {
		s.taken = make(map[[12]byte]struct{})
	}
	s.taken[key] = struct{}{}
	return true
}

// Len returns how many names were taken.
func (s *NameSet) Len() int { return len(s.taken) }
