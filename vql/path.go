package vql

import (
	"slices"
	"strings"
)

// Style says how a path is written.
type Style uint8

// The styles of paths.
const (
	Posix    Style = iota // /usr/bin
	Windows               // C:\Windows, \\.\C:\Windows
	Registry              // HKEY_LOCAL_MACHINE\Software, components with a separator are quoted
	Generic               // /a/"b/c": components with a separator are quoted; for archives and the like
)

// Path is a parsed path: components, the style to write it in, and for nested
// accessors the path of the container it lies in. It is a value and never
// changes. Components are bytes in a string and need not be UTF-8. The zero
// Path is the root in [Posix] style.
//
// VQL sees its members Basename, Dirname, Components, Path, Accessor,
// DelegatePath and DelegateAccessor, joins it with +, and matches and prints it
// as text.
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

// String returns the path as text, without its delegate.
func (p Path) String() string {
	switch p.style {
	case Windows:
		return strings.Join(p.components, `\`)
	case Registry:
		return strings.Join(p.components, `\`)
	}
	return "/" + strings.Join(p.components, "/")
}

// MarshalJSON encodes the text of the path.
func (p Path) MarshalJSON() ([]byte, error) { return appendString(nil, p.String()), nil }

// ParsePath reads a path as text in that style.
func ParsePath(style Style, text string) Path {
	split := func(r rune) bool { return r == '/' }
	if style == Windows || style == Registry {
		split = func(r rune) bool { return r == '/' || r == '\\' }
	}
	return Path{components: strings.FieldsFunc(text, split), style: style}
}
