package vql

import (
	"encoding/json"
	"slices"
	"strings"
)

// Style says how a path is written.
type Style uint8

// The styles of paths.
const (
	Posix    Style = iota // /usr/bin
	Windows               // C:\Windows, \\.\C:\$MFT, \\server\share\file
	Registry              // HKEY_LOCAL_MACHINE\Software\"key/with separator"
	Generic               // /folder/"name/with separator": archives, MFT and the like
)

// Path is a parsed path: components, the style to write it in, and for nested
// accessors the path of the container it lies in. It is a value and never
// changes. Components are bytes in a string and need not be UTF-8. The zero
// Path is the root in [Posix] style.
//
// VQL sees its members Basename, Dirname, Components, Path, DelegatePath and
// DelegateAccessor, takes components by index and parts by range, joins it with
// +, and compares, matches and prints it as text.
type Path struct {
	components []string
	style      Style
	delegate   *Delegate
}

// Delegate is the container that a nested path lies in.
type Delegate struct {
	Accessor string
	Path     Path
}

// NewPath returns the path with these components.
func NewPath(style Style, components ...string) Path {
	return Path{components: slices.Clone(components), style: style}
}

// ParsePath reads a path as text in that style. Empty components and "." are
// left out, ".." is kept. A text that is a pathspec, a JSON object with the
// keys Path, DelegateAccessor and DelegatePath, becomes a nested path.
func ParsePath(style Style, text string) Path {
	if p, ok := parsePathspec(style, text); ok {
		return p
	}
	p := Path{style: style}
	switch style {
	case Windows:
		p.components = splitWindows(text)
	case Registry:
		p.components = splitQuoted(text, `\/`)
		if len(p.components) > 0 {
			p.components[0] = hive(p.components[0])
		}
	case Generic:
		p.components = splitQuoted(text, `/\`)
	default:
		p.components = splitPlain(text, "/")
	}
	return p
}

type pathspecJSON struct {
	DelegateAccessor string  `json:"DelegateAccessor,omitempty"`
	DelegatePath     *string `json:"DelegatePath,omitempty"`
	Path             string  `json:"Path,omitempty"`
}

func parsePathspec(style Style, text string) (Path, bool) {
	if !strings.HasPrefix(text, "{") || len(text) > maxPathspec {
		return Path{}, false
	}
	var spec pathspecJSON
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return Path{}, false
	}
	p := ParsePath(style, spec.Path)
	if spec.DelegatePath != nil || spec.DelegateAccessor != "" {
		container := ""
		if spec.DelegatePath != nil {
			container = *spec.DelegatePath
		}
		p = p.WithDelegate(spec.DelegateAccessor, ParsePath(styleOf(container), container))
	}
	return p, true
}

// maxPathspec bounds the text of a nested path.
const maxPathspec = 1 << 20

// styleOf guesses the style of the path of a container.
func styleOf(text string) Style {
	if strings.HasPrefix(text, `\`) || (len(text) > 1 && text[1] == ':') {
		return Windows
	}
	return Posix
}

func splitPlain(text, separators string) []string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) })
	return slices.DeleteFunc(parts, func(c string) bool { return c == "." })
}

// splitWindows keeps a device or a server and share together as the first
// component.
func splitWindows(text string) []string {
	flat := strings.ReplaceAll(text, "/", `\`)
	prefix := ""
	switch {
	case strings.HasPrefix(flat, `\\.\`), strings.HasPrefix(flat, `\\?\`):
		prefix, flat = flat[:4], flat[4:]
		if rest, found := cutPrefixFold(flat, `GLOBALROOT\Device\`); found {
			prefix, flat = prefix+flat[:len(flat)-len(rest)], rest
		}
	case strings.HasPrefix(flat, `\\`):
		server, rest, _ := strings.Cut(strings.TrimLeft(flat, `\`), `\`)
		prefix, flat = `\\`+server+`\`, rest
	}
	parts := splitPlain(flat, `\`)
	if prefix != "" && len(parts) > 0 {
		parts[0] = prefix + parts[0]
	} else if prefix != "" {
		parts = []string{strings.TrimSuffix(prefix, `\`)}
	}
	return parts
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// splitQuoted lets a component stand in double quotes, a quote in it doubled.
func splitQuoted(text, separators string) []string {
	var parts []string
	for i := 0; i < len(text); {
		switch {
		case strings.IndexByte(separators, text[i]) >= 0:
			i++
		case text[i] == '"':
			part, n := cutQuoted(text[i:])
			parts = append(parts, part)
			i += n
		default:
			n := strings.IndexAny(text[i:], separators)
			if n < 0 {
				n = len(text) - i
			}
			if part := text[i : i+n]; part != "." {
				parts = append(parts, part)
			}
			i += n
		}
	}
	return parts
}

// cutQuoted reads the quoted component at the beginning of text and returns it
// with the number of bytes that it took.
func cutQuoted(text string) (string, int) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '"' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		return b.String(), i + 1
	}
	return b.String(), len(text)
}

// hive spells the short names of registry hives out.
func hive(name string) string {
	switch strings.ToUpper(name) {
	case "HKLM":
		return "HKEY_LOCAL_MACHINE"
	case "HKU":
		return "HKEY_USERS"
	case "HKCU":
		return "HKEY_CURRENT_USER"
	case "HKCR":
		return "HKEY_CLASSES_ROOT"
	case "HKCC":
		return "HKEY_CURRENT_CONFIG"
	case "HKPD":
		return "HKEY_PERFORMANCE_DATA"
	}
	return name
}

// Components returns the components. The caller must not change them.
func (p Path) Components() []string { return p.components }

// Style returns how the path is written.
func (p Path) Style() Style { return p.style }

// Base returns the last component, "" for the root.
func (p Path) Base() string {
	if len(p.components) == 0 {
		return ""
	}
	return p.components[len(p.components)-1]
}

// Dir returns the path without its last component.
func (p Path) Dir() Path {
	if n := len(p.components); n > 0 {
		p.components = p.components[: n-1 : n-1]
	}
	return p
}

// Join returns the path with more components at its end.
func (p Path) Join(components ...string) Path {
	n := len(p.components)
	p.components = append(p.components[:n:n], components...)
	return p
}

// Trim returns the path relative to the prefix, or the path itself if the
// prefix is not one. Components are compared byte by byte.
func (p Path) Trim(prefix Path) Path {
	n := len(prefix.components)
	if n > len(p.components) || !slices.Equal(p.components[:n], prefix.components) {
		return p
	}
	p.components = p.components[n:]
	return p
}

// IsRoot says whether the path has no components.
func (p Path) IsRoot() bool { return len(p.components) == 0 }

// Delegate returns the container that the path lies in, nil if there is none.
func (p Path) Delegate() *Delegate { return p.delegate }

// WithDelegate returns the path as one inside that container.
func (p Path) WithDelegate(accessor string, container Path) Path {
	p.delegate = &Delegate{Accessor: accessor, Path: container}
	return p
}

// WithStyle returns the same components written in another style.
func (p Path) WithStyle(style Style) Path {
	p.style = style
	return p
}

// String returns the path as text; a nested path as a pathspec. [ParsePath]
// reads it back.
func (p Path) String() string {
	if p.delegate == nil {
		return p.Inner()
	}
	spec := append([]byte(nil), `{"DelegateAccessor":`...)
	spec = appendString(spec, p.delegate.Accessor)
	spec = append(spec, `,"DelegatePath":`...)
	spec = appendString(spec, p.delegate.Path.String())
	spec = append(spec, `,"Path":`...)
	spec = appendString(spec, p.Inner())
	return string(append(spec, '}'))
}

// Inner returns the path as text, without the container that it lies in.
func (p Path) Inner() string {
	switch p.style {
	case Windows:
		return strings.Join(p.components, `\`)
	case Registry:
		return joinQuoted(p.components, `\`)
	case Generic:
		return "/" + joinQuoted(p.components, "/")
	}
	return "/" + strings.Join(p.components, "/")
}

func joinQuoted(components []string, separator string) string {
	quoted := make([]string, len(components))
	for i, c := range components {
		if c == "" || c == "." || strings.ContainsAny(c, `/\"`) {
			c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
		quoted[i] = c
	}
	return strings.Join(quoted, separator)
}

// MarshalJSON encodes the text of the path.
func (p Path) MarshalJSON() ([]byte, error) { return appendString(nil, p.String()), nil }
