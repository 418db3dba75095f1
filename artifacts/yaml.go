package artifacts

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxBlank bounds the empty lines in a row; see checkLines.
const maxBlank = 100

// maxColumn bounds how far a structural token of block style may be indented,
// and with it how deep block style can nest.
const maxColumn = 200

// root reads the text as one YAML document and returns its mapping. What could
// make the parser work hard (deep nesting, anchors) is refused from the tokens,
// before there is a tree.
func root(data []byte) (ast.Node, *Problem) {
	if len(data) > MaxBytes {
		return nil, &Problem{Kind: KindSyntax, Message: fmt.Sprintf("the definition has %d bytes, more than %d", len(data), MaxBytes)}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return nil, &Problem{Kind: KindSyntax, Line: invalidLine(data), Message: "the text is not UTF-8"}
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, &Problem{Kind: KindSyntax, Line: lineOf(data, i), Message: "the text has a NUL byte"}
	}
	text := string(data)
	if strings.Contains(text, "\r") {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	if p := checkLines(text); p != nil {
		return nil, p
	}
	tokens := lexer.Tokenize(text)
	if p := checkTokens(tokens); p != nil {
		return nil, p
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntaxProblem(err)
	}
	return document(file)
}

// document returns the body of the only document of the file.
func document(file *ast.File) (ast.Node, *Problem) {
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return nil, &Problem{Kind: KindSyntax, Line: line(d.Body), Message: "more than one document in the file"}
		}
		body = d.Body
	}
	if body == nil {
		return nil, &Problem{Kind: KindSyntax, Message: "the document is empty"}
	}
	return body, nil
}

// checkLines refuses many empty lines in a row: the scanner takes them off the
// end of a block of text one by one, each time copying the block.
func checkLines(text string) *Problem {
	blank, n := 0, 0
	for l := range strings.Lines(text) {
		n++
		if strings.TrimSpace(l) == "" {
			blank++
		} else {
			blank = 0
		}
		if blank > maxBlank {
			return &Problem{Kind: KindSyntax, Line: n, Message: fmt.Sprintf("more than %d empty lines in a row", maxBlank)}
		}
	}
	return nil
}

// checkTokens bounds the nesting and refuses anchors, aliases and merge keys:
// no definition needs them, and they can name more than memory holds.
func checkTokens(tokens token.Tokens) *Problem {
	if len(tokens) > MaxTokens {
		return &Problem{Kind: KindSyntax, Message: fmt.Sprintf("more than %d YAML tokens", MaxTokens)}
	}
	flow, inline, lastLine := 0, 0, 0
	for _, t := range tokens {
		at := 0
		if t.Position != nil {
			at = t.Position.Line
		}
		if at != lastLine {
			inline, lastLine = 0, at
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return &Problem{Kind: KindSyntax, Line: at, Message: "anchors, aliases and merge keys are not allowed in a definition; quote the text if it only begins like one"}
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.TagType:
			if flow > 0 {
				break
			}
			if inline++; inline > MaxDepth || (t.Position != nil && t.Position.Column > maxColumn) {
				return &Problem{Kind: KindSyntax, Line: at, Message: "nested too deeply"}
			}
		}
		if flow > MaxDepth {
			return &Problem{Kind: KindSyntax, Line: at, Message: "nested too deeply"}
		}
	}
	return nil
}

// syntaxProblem says what the YAML parser did not like, in one line.
func syntaxProblem(err error) *Problem {
	p := &Problem{Kind: KindSyntax, Message: err.Error()}
	var ye yaml.Error
	if errors.As(err, &ye) {
		p.Message = ye.GetMessage()
		if t := ye.GetToken(); t != nil && t.Position != nil {
			p.Line = t.Position.Line
		}
	}
	if i := strings.IndexByte(p.Message, '\n'); i >= 0 {
		p.Message = p.Message[:i]
	}
	return p
}

func invalidLine(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return lineOf(data, i)
		}
		i += n
	}
	return 0
}

func lineOf(data []byte, at int) int { return 1 + bytes.Count(data[:at], []byte("\n")) }

// line is the line of a node in the document, 0 where it is unknown.
func line(n ast.Node) int {
	if n == nil {
		return 0
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		if len(v.Values) > 0 {
			return line(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return line(v.Key)
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}

// pairs returns the entries of a mapping in the order of the document; false
// when the node is none.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch v := n.(type) {
	case *ast.MappingNode:
		return v.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{v}, true
	}
	return nil, false
}

// scalar returns the text of a scalar as it was written: `0x10`, `1.50` and
// `yes` stay what they are. Null is the empty text.
func scalar(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		if v.Value == nil {
			return "", true
		}
		return v.Value.Value, true
	case *ast.NullNode:
		return "", true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		if t := n.GetToken(); t != nil {
			return t.Value, true
		}
	case *ast.TagNode:
		// `!!str 12` and the like; other tags are not for us to interpret.
		if v.Start != nil && strings.HasPrefix(v.Start.Value, "!!") && v.Value != nil {
			return scalar(v.Value)
		}
	}
	return "", false
}

// kindName says what a node is, for messages.
func kindName(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case nil:
		return "nothing"
	}
	return "a scalar"
}

// number reads a YAML number as a float: 10, 1.5, 1e6, 0x10.
func number(s string) (float64, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f <= 1<<62 {
		return f, true
	}
	if i, err := strconv.ParseInt(s, 0, 64); err == nil && i >= 0 {
		return float64(i), true
	}
	return 0, false
}
