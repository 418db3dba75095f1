package artifacts

import (
	"fmt"
	"strings"
)

// This file knows as much of VQL as its tokens: enough to find where statements
// begin, which names they use and which artifacts they call.

type tokenKind int

const (
	tokenSymbol tokenKind = iota
	tokenWord             // identifier or keyword
	tokenQuoted           // identifier in backticks
	tokenString
	tokenNumber
)

type vqlToken struct {
	kind tokenKind
	text string // without backticks; a string as it stands
	at   int    // byte offset
}

func isWordStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isWordByte(c byte) bool { return isWordStart(c) || isDigit(c) }
func isDigit(c byte) bool    { return c >= '0' && c <= '9' }

// lexError says that VQL text is not made of whole tokens.
type lexError struct {
	at      int
	message string
}

// lex splits VQL into tokens, leaving out space and comments. On an error the
// tokens up to it are returned.
func lex(text string) ([]vqlToken, *lexError) {
	var tokens []vqlToken
	for i := 0; i < len(text); {
		next, err := skip(text, i)
		if err != nil {
			return tokens, err
		}
		if next > i {
			i = next
			continue
		}
		t, next, err := scan(text, i)
		if err != nil {
			return tokens, err
		}
		tokens = append(tokens, t)
		i = next
	}
	return tokens, nil
}

// skip returns the offset after the space or comment that begins at i, or i.
func skip(text string, i int) (int, *lexError) {
	rest := text[i:]
	switch {
	case strings.ContainsRune(" \t\r\n\v\f", rune(rest[0])):
		return i + 1, nil
	case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "//"):
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			return i + end + 1, nil
		}
		return len(text), nil
	case strings.HasPrefix(rest, "/*"):
		if end := strings.Index(rest[2:], "*/"); end >= 0 {
			return i + 2 + end + 2, nil
		}
		return 0, &lexError{i, "a comment is not closed"}
	}
	return i, nil
}

// scan reads the token that begins at i.
func scan(text string, i int) (vqlToken, int, *lexError) {
	rest := text[i:]
	c := rest[0]
	switch {
	case strings.HasPrefix(rest, "'''"):
		end := strings.Index(rest[3:], "'''")
		if end < 0 {
			return vqlToken{}, 0, &lexError{i, "a ''' string is not closed"}
		}
		return vqlToken{tokenString, rest[:end+6], i}, i + end + 6, nil
	case c == '\'' || c == '"':
		for j := 1; j < len(rest); j++ {
			switch rest[j] {
			case '\\':
				j++
			case c:
				return vqlToken{tokenString, rest[:j+1], i}, i + j + 1, nil
			}
		}
		return vqlToken{}, 0, &lexError{i, "a string is not closed"}
	case c == '`':
		end := strings.IndexByte(rest[1:], '`')
		if end < 0 {
			return vqlToken{}, 0, &lexError{i, "a name in backticks is not closed"}
		}
		return vqlToken{tokenQuoted, rest[1 : end+1], i}, i + end + 2, nil
	case isWordByte(c):
		kind := tokenWord
		if isDigit(c) {
			kind = tokenNumber
		}
		j := 1
		for j < len(rest) && isWordByte(rest[j]) {
			j++
		}
		return vqlToken{kind, rest[:j], i}, i + j, nil
	case strings.HasPrefix(rest, "<="), strings.HasPrefix(rest, ">="), strings.HasPrefix(rest, "=>"),
		strings.HasPrefix(rest, "=~"), strings.HasPrefix(rest, "!="), strings.HasPrefix(rest, "<>"):
		return vqlToken{tokenSymbol, rest[:2], i}, i + 2, nil
	}
	return vqlToken{tokenSymbol, rest[:1], i}, i + 1, nil
}

// statement is one statement of a query.
type statement struct {
	text string
	at   int    // byte offset of its first token
	let  string // the name that a LET defines, else empty
	uses map[string]bool
}

// split cuts VQL into its statements. VQL has no separator: a statement begins
// at LET, EXPLAIN or SELECT outside of brackets, unless that SELECT is the
// right side of a LET or the object of an EXPLAIN.
func split(text string) ([]statement, *lexError) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	var found []statement
	var open []byte
	for i, t := range tokens {
		switch {
		case t.kind == tokenSymbol && strings.Contains("([{", t.text):
			open = append(open, t.text[0])
		case t.kind == tokenSymbol && strings.Contains(")]}", t.text):
			if len(open) == 0 || strings.IndexByte("([{", open[len(open)-1]) != strings.IndexByte(")]}", t.text[0]) {
				return nil, &lexError{t.at, fmt.Sprintf("a %q too many", t.text)}
			}
			open = open[:len(open)-1]
		case len(open) == 0 && begins(tokens, i):
			found = append(found, statement{at: t.at, let: letName(tokens, i), uses: make(map[string]bool)})
		}
		if len(found) == 0 {
			return nil, &lexError{t.at, "a statement begins with SELECT, LET or EXPLAIN"}
		}
		if t.kind == tokenWord || t.kind == tokenQuoted {
			found[len(found)-1].uses[t.text] = true
		}
	}
	if len(open) > 0 {
		return nil, &lexError{len(text), fmt.Sprintf("a %q is not closed", open[len(open)-1])}
	}
	for i := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1].at
		}
		found[i].text = strings.TrimSpace(text[found[i].at:end])
	}
	return found, nil
}

// begins says whether token i, which stands outside of brackets, begins a
// statement.
func begins(tokens []vqlToken, i int) bool {
	if tokens[i].kind != tokenWord {
		return false
	}
	switch strings.ToUpper(tokens[i].text) {
	case "LET", "EXPLAIN":
		return true
	case "SELECT":
		if i == 0 {
			return true
		}
		switch prev := tokens[i-1]; {
		case prev.kind == tokenSymbol && (prev.text == "=" || prev.text == "<="):
			return false
		case prev.kind == tokenWord && strings.EqualFold(prev.text, "EXPLAIN"):
			return false
		}
		return true
	}
	return false
}

func letName(tokens []vqlToken, i int) string {
	if !strings.EqualFold(tokens[i].text, "LET") || i+1 >= len(tokens) {
		return ""
	}
	return tokens[i+1].text
}

// Calls returns the names of the artifacts that VQL text calls as plugins,
// Artifact.Name(...), each once, in the order of the text.
func Calls(text string) []string {
	tokens, _ := lex(text)
	var names []string
	seen := make(map[string]bool)
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].kind != tokenWord || tokens[i].text != "Artifact" {
			continue
		}
		var parts []string
		j := i + 1
		for j+1 < len(tokens) && tokens[j].text == "." && tokens[j+1].kind != tokenString && tokens[j+1].kind != tokenSymbol {
			parts = append(parts, tokens[j+1].text)
			j += 2
		}
		if len(parts) == 0 || j >= len(tokens) || tokens[j].text != "(" {
			continue
		}
		if name := strings.Join(parts, "."); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
		i = j
	}
	return names
}

// callsAny says whether the text calls one of the given plugins or functions.
func callsAny(text string, names ...string) bool {
	tokens, _ := lex(text)
	for i := 0; i+1 < len(tokens); i++ {
		if tokens[i].kind != tokenWord || tokens[i+1].text != "(" {
			continue
		}
		for _, n := range names {
			if tokens[i].text == n {
				return true
			}
		}
	}
	return false
}
