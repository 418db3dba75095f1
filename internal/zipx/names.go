package zipx

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrName is wrapped by every [NameError].
var ErrName = errors.New("unsafe member name")

// NameError tells why a member name or component cannot be used as a path.
type NameError struct {
	Name   string // as stored
	Reason string
}

// Error describes the name and what is wrong with it.
func (e *NameError) Error() string {
	return fmt.Sprintf("unsafe member name %.200q: %s", e.Name, e.Reason)
}

// Unwrap returns ErrName.
func (e *NameError) Unwrap() error { return ErrName }

const upperHex = "0123456789ABCDEF"

// EscapeComponent returns s as one component of a member name. Every byte of s
// comes back from [UnescapeComponent], and no two components give the same
// result. Written as % and two upper-case hex digits are: the characters
// ? " * : | < > % / \, NUL, bytes that are not UTF-8, and a dot or a space that
// begins or ends the component. The empty component is "%". Other control
// characters stay as they are: Velociraptor looks for them so.
func EscapeComponent(s string) string {
	if plainComponent(s) {
		return s
	}
	return string(appendComponent(nil, s))
}

// plainComponent tells whether s is its own escaped form.
func plainComponent(s string) bool {
	if s == "" || edge(s[0]) || edge(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if special(s[i]) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// appendComponent appends the escaped form of s.
func appendComponent(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '%')
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, special(s[i]), edge(s[i]) && (i == 0 || i == len(s)-1):
			dst = append(dst, '%', upperHex[s[i]>>4], upperHex[s[i]&15])
			i++
		default:
			dst = append(dst, s[i:i+n]...)
			i += n
		}
	}
	return dst
}

func edge(c byte) bool { return c == '.' || c == ' ' }

func special(c byte) bool {
	switch c {
	case '?', '"', '*', ':', '|', '<', '>', '%', '/', '\\', 0:
		return true
	}
	return false
}

// UnescapeComponent reverses [EscapeComponent]: % and the two bytes after it are
// one byte. The decoded bytes are always returned; the error is a *[NameError]
// when they must not be used as part of a path: they are empty, "." or "..",
// contain NUL, or came from a % without two hex digits (a digit that is none
// counts as 0 and a % at the end as nothing, as Velociraptor reads them).
//
// A component without error may still contain separators of any system.
func UnescapeComponent(s string) (string, error) {
	out, clean := s, true
	if strings.IndexByte(s, '%') >= 0 {
		out, clean = decodeComponent(s)
	}
	switch {
	case out == "":
		return out, &NameError{s, "empty component"}
	case out == "." || out == "..":
		return out, &NameError{s, "component leaves its directory"}
	case strings.IndexByte(out, 0) >= 0:
		return out, &NameError{s, "component contains NUL"}
	case !clean:
		return out, &NameError{s, "malformed escape"}
	}
	return out, nil
}

// decodeComponent returns the decoded bytes, and false when an escape was
// malformed.
func decodeComponent(s string) (string, bool) {
	out, clean := make([]byte, 0, len(s)), true
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			clean = false
			continue
		}
		hi, okHi := unhex(s[i+1])
		lo, okLo := unhex(s[i+2])
		clean = clean && okHi && okLo
		out = append(out, hi<<4|lo)
		i += 2
	}
	return string(out), clean
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// EscapePath joins the escaped components by "/". It never shortens; use
// [MemberName] for names that come from outside.
func EscapePath(components []string) string {
	var dst []byte
	for i, c := range components {
		if i > 0 {
			dst = append(dst, '/')
		}
		dst = appendComponent(dst, c)
	}
	return string(dst)
}

// SplitMember returns the decoded components of a member name. A "/" at the end,
// which marks a directory, is no component. The components are always returned;
// the error is the *[NameError] of the first that must not be used as part of a
// path, with Name being the whole member name.
func SplitMember(name string) ([]string, error) {
	var first error
	rest := strings.TrimSuffix(name, "/")
	components := make([]string, 0, strings.Count(rest, "/")+1)
	for more := true; more; {
		var c string
		c, rest, more = strings.Cut(rest, "/")
		decoded, err := UnescapeComponent(c)
		var bad *NameError
		if errors.As(err, &bad) && first == nil {
			first = &NameError{name, bad.Reason}
		}
		components = append(components, decoded)
	}
	return components, first
}
