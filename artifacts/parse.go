package artifacts

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

var (
	nameRegex       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$`)
	setRegex        = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]*(,[A-Za-z][A-Za-z0-9_.]*)*$`)
	identifierRegex = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// ParseError is why a definition was refused: every problem found, in the order
// of the lines. It unwraps to [ErrInvalid].
type ParseError struct {
	Path     string
	Problems []Problem
}

// Error names the file, and the line and text of each problem.
func (e *ParseError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		if e.Path != "" {
			b.WriteString(e.Path + ":")
		}
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:", p.Line)
		}
		if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
			b.WriteByte(' ')
		}
		b.WriteString(p.Message)
	}
	return b.String()
}

// Unwrap returns [ErrInvalid].
func (e *ParseError) Unwrap() error { return ErrInvalid }

// Parse reads one definition. It is strict: a field that the schema does not
// have is an error, with its line and the nearest field there is. origin names
// the file in errors and becomes [Artifact.Path]. The error is a *[ParseError].
// Anchors and aliases are refused, and so is anything beyond [MaxBytes],
// [MaxDepth] and [MaxTokens].
func Parse(data []byte, origin string) (*Artifact, error) {
	a, problems := decode(data)
	var bad []Problem
	for _, p := range problems {
		if !p.Warning {
			bad = append(bad, p)
		}
	}
	if len(bad) > 0 {
		return nil, &ParseError{Path: origin, Problems: bad}
	}
	a.Path = origin
	return a, nil
}

// decode reads the document and reports all that is wrong with it. The artifact
// is what could be read, and nil only when there is no mapping at all.
func decode(data []byte) (*Artifact, []Problem) {
	n, p := root(data)
	if p != nil {
		return nil, []Problem{*p}
	}
	d := &decoder{}
	a := &Artifact{Raw: append([]byte(nil), data...)}
	if _, ok := pairs(n); !ok {
		d.problem(KindSyntax, "", line(n), "a definition is a mapping of fields, this is %s", kindName(n))
		return nil, d.problems
	}
	d.artifact(n, a)
	d.validate(a)
	return a, d.problems
}

// decoder walks the tree of a document into an Artifact and keeps the problems.
type decoder struct {
	problems []Problem
	lines    map[string]int // of the top-level fields
}

func (d *decoder) problem(kind, name string, line int, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{Kind: kind, Name: name, Line: line, Message: fmt.Sprintf(format, args...)})
	}
}

func (d *decoder) warn(kind, name string, line int, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{Kind: kind, Name: name, Line: line, Message: fmt.Sprintf(format, args...), Warning: true})
	}
}

// fields reads one mapping: each key is given to its reader. Unknown and
// repeated keys are problems. what names the mapping in messages.
func (d *decoder) fields(n ast.Node, what string, readers map[string]func(ast.Node)) {
	values, ok := pairs(n)
	if !ok {
		d.problem(KindValue, what, line(n), "%s must be a mapping of fields, not %s", what, kindName(n))
		return
	}
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		key, ok := scalar(v.Key)
		if !ok {
			d.problem(KindField, "", line(v.Key), "a field name of %s must be plain text", what)
			continue
		}
		read, known := readers[key]
		if !known {
			d.problem(KindField, key, line(v.Key), "unknown field %q in %s%s", key, what,
				didYouMean(key, slices.Collect(maps.Keys(readers))))
			continue
		}
		if seen[key] {
			d.problem(KindField, key, line(v.Key), "field %q stands twice in %s", key, what)
			continue
		}
		seen[key] = true
		read(v.Value)
	}
}

func (d *decoder) text(dst *string, field string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := scalar(n)
		if !ok {
			d.problem(KindValue, field, line(n), "%s must be text, not %s", field, kindName(n))
		}
		*dst = s
	}
}

func (d *decoder) texts(dst *[]string, field string) func(ast.Node) {
	return func(n ast.Node) {
		for _, v := range d.list(n, field) {
			if s, ok := scalar(v); ok {
				*dst = append(*dst, s)
			} else {
				d.problem(KindValue, field, line(v), "%s must be a list of texts; one of them is %s", field, kindName(v))
			}
		}
	}
}

// list returns the values of a list; a null is an empty one.
func (d *decoder) list(n ast.Node, field string) []ast.Node {
	switch v := n.(type) {
	case *ast.SequenceNode:
		return v.Values
	case *ast.NullNode:
		return nil
	}
	d.problem(KindValue, field, line(n), "%s must be a list, not %s", field, kindName(n))
	return nil
}

func (d *decoder) boolean(dst *bool, field string) func(ast.Node) {
	return func(n ast.Node) {
		s, _ := scalar(n)
		switch strings.ToLower(s) {
		case "true", "yes", "y", "on":
			*dst = true
		case "false", "no", "n", "off", "":
			*dst = false
		default:
			d.problem(KindValue, field, line(n), "%s must be true or false, not %q", field, s)
		}
	}
}

func (d *decoder) float(dst *float64, field string) func(ast.Node) {
	return func(n ast.Node) {
		s, _ := scalar(n)
		f, ok := number(s)
		if !ok {
			d.problem(KindValue, field, line(n), "%s must be a number that is not negative, not %q", field, s)
		}
		*dst = f
	}
}

func (d *decoder) integer(dst *int64, field string) func(ast.Node) {
	var f float64
	read := d.float(&f, field)
	return func(n ast.Node) {
		read(n)
		*dst = int64(f)
	}
}
