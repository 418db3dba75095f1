package main

import (
	"fmt"
	"regexp"
	"strings"
)

// compileGlob gives a function that says whether a collected path matches. *
// and ? stay within one part of a path, ** spans several, [...] is one of a
// set. Slash and backslash both part a path, in the pattern too. A pattern of
// one part is held against the last part of the path, any other against the
// whole, for which a leading slash may be left out. Letter case counts, except
// in paths with a drive letter or backslashes.
func compileGlob(pattern string) (func(path string) bool, error) {
	if len(pattern) > 4096 {
		return nil, fmt.Errorf("a pattern of %d bytes is too long", len(pattern))
	}
	parts := strings.Split(strings.Trim(strings.ReplaceAll(pattern, `\`, "/"), "/"), "/")
	var b strings.Builder
	for i, part := range parts {
		if part == "**" {
			if i == len(parts)-1 {
				b.WriteString(".*")
			} else {
				b.WriteString("(?:.*/)?")
			}
			continue
		}
		if err := globPart(&b, part); err != nil {
			return nil, err
		}
		if i < len(parts)-1 {
			b.WriteString("/")
		}
	}
	exact, err := regexp.Compile(`(?s)\A` + b.String() + `\z`)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	folded, err := regexp.Compile(`(?is)\A` + b.String() + `\z`)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	last := len(parts) == 1 && parts[0] != "**"
	return func(path string) bool {
		re := exact
		if windowsPath(path) {
			re = folded
		}
		path = strings.Trim(strings.ReplaceAll(path, `\`, "/"), "/")
		if last {
			path = path[strings.LastIndexByte(path, '/')+1:]
		}
		return re.MatchString(path)
	}, nil
}

func windowsPath(path string) bool {
	return strings.HasPrefix(path, `\\`) || len(path) > 1 && path[1] == ':'
}

// globPart writes the expression of one part of a pattern.
func globPart(b *strings.Builder, part string) error {
	for i := 0; i < len(part); i++ {
		switch c := part[i]; c {
		case '*':
			b.WriteString("[^/]*")
		case '?':
			b.WriteString("[^/]")
		case '[':
			end := strings.IndexByte(part[i:], ']')
			if end < 2 {
				return fmt.Errorf("pattern %q: [ without ]", part)
			}
			set := part[i+1 : i+end]
			b.WriteByte('[')
			if set[0] == '!' || set[0] == '^' {
				b.WriteString("^/")
				set = set[1:]
			}
			b.WriteString(strings.NewReplacer(`\`, `\\`, `[`, `\[`, `^`, `\^`, `&`, `\&`).Replace(set))
			b.WriteByte(']')
			i += end
		default:
			b.WriteString(regexp.QuoteMeta(part[i : i+1]))
		}
	}
	return nil
}
