package vql

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// Bounds of a text, checked before it is parsed: the parser recurses.
const (
	maxTextBytes = 8 << 20
	maxNesting   = 256
)

// parse reads statements and repairs what the evaluator gets wrong.
func parse(text string) ([]*vfilter.VQL, error) {
	if err := bounded(text); err != nil {
		return nil, err
	}
	statements, err := vfilter.MultiParse(text)
	if err != nil {
		return nil, err
	}
	if negation.MatchString(text) || emptyLimit.MatchString(text) {
		for _, s := range statements {
			if err := repair(s); err != nil {
				return nil, err
			}
		}
	}
	return statements, nil
}

var (
	negation   = regexp.MustCompile("-[A-Za-z_`]")
	emptyLimit = regexp.MustCompile(`(?i)\blimit\s+0`)
)

// bounded refuses a text that is too long or whose brackets nest too deep.
// Brackets in strings count as well, as far as they open more than they close.
func bounded(text string) error {
	if len(text) > maxTextBytes {
		return fmt.Errorf("the text has %d bytes, more than %d", len(text), maxTextBytes)
	}
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[', '{':
			if depth++; depth > maxNesting {
				return fmt.Errorf("brackets nest deeper than %d", maxNesting)
			}
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return nil
}

// walk visits every node of a parsed statement, parents first. The parser's
// node types are not exported, but their fields are.
func walk(v reflect.Value, visit func(name string, node reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		// Literals are pointers to plain values, which a running query fills in.
		if v.Type().Elem().Kind() == reflect.Struct && !v.IsNil() {
			visit(v.Elem().Type().Name(), v)
			walk(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	case reflect.Struct:
		t := v.Type()
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				walk(v.Field(i), visit)
			}
		}
	}
}

// walkStatement is walk for a whole statement. Plugin nodes are values in
// their parent; they are visited by address all the same.
func walkStatement(s *vfilter.VQL, visit func(name string, node reflect.Value)) {
	walk(reflect.ValueOf(s), func(name string, node reflect.Value) {
		visit(name, node)
		if name == "_From" {
			visit("Plugin", node.Elem().FieldByName("Plugin").Addr())
		}
	})
}

// Call is one place where a statement calls or names something.
type Call struct {
	Kind string   // plugin, function, or symbol: a variable or column
	Name string   // of an artifact with "Artifact." in front
	Args []string // names of the arguments
}

// Parse reads statements without running them. The error is a [*ParseError].
func Parse(text string) ([]Statement, error) {
	parsed, err := parse(text)
	if err != nil {
		return nil, &ParseError{err}
	}
	statements := make([]Statement, len(parsed))
	for i, s := range parsed {
		statements[i] = Statement{Index: i, Kind: statementKind(s), Text: statementText(s), Calls: calls(s)}
	}
	return statements, nil
}

// calls lists what a statement calls, outer before inner.
func calls(s *vfilter.VQL) []Call {
	var out []Call
	walkStatement(s, func(name string, node reflect.Value) {
		e := node.Elem()
		switch name {
		case "Plugin":
			c := Call{Kind: "symbol", Name: unquoteSymbol(e.FieldByName("Name").String()), Args: argNames(e.FieldByName("Args"))}
			if e.FieldByName("Call").Bool() {
				c.Kind = "plugin"
			}
			out = append(out, c)
		case "_SymbolRef":
			c := Call{Kind: "symbol", Name: unquoteSymbol(strings.TrimPrefix(e.FieldByName("Symbol").String(), "-")), Args: argNames(e.FieldByName("Parameters"))}
			if e.FieldByName("Called").Bool() {
				c.Kind = "function"
			}
			if c.Name != negateName {
				out = append(out, c)
			}
		}
	})
	return out
}

func argNames(args reflect.Value) []string {
	var out []string
	for i := range args.Len() {
		out = append(out, unquoteSymbol(args.Index(i).Elem().FieldByName("Left").String()))
	}
	return out
}

func unquoteSymbol(s string) string { return strings.ReplaceAll(s, "`", "") }

// Names of the functions and plugins that repair puts into queries.
const (
	negateName = "_negate"
	noneName   = "_none"
)

// repair rewrites a statement where the evaluator is wrong: a negated name is
// negated only the first time that it is evaluated, and LIMIT 0 gives a row.
func repair(s *vfilter.VQL) error {
	scope := vfilter.NewScope()
	var failed error
	walkStatement(s, func(name string, node reflect.Value) {
		var err error
		switch name {
		case "_AliasedExpression":
			keepName(scope, node)
		case "_Value":
			err = repairNegation(node)
		case "_Select":
			err = repairLimit(node)
		}
		if err != nil && failed == nil {
			failed = err
		}
	})
	return failed
}

// keepName gives a column without AS the name that it has before the rewrite.
func keepName(scope types.Scope, node reflect.Value) {
	as := node.Elem().FieldByName("As")
	if as.String() != "" || node.Elem().FieldByName("Expression").IsNil() {
		return
	}
	text := vfilter.FormatToString(scope, node.Interface())
	if negation.MatchString(text) {
		as.SetString("`" + strings.ReplaceAll(text, `\`, `\\`) + "`")
	}
}

// repairNegation turns -X into _negate(value=X).
func repairNegation(node reflect.Value) error {
	ref := node.Elem().FieldByName("SymbolRef")
	if ref.IsNil() || !strings.HasPrefix(ref.Elem().FieldByName("Symbol").String(), "-") {
		return nil
	}
	donor, err := vfilter.Parse("SELECT " + negateName + "(value=X) FROM scope()")
	if err != nil {
		return fmt.Errorf("rewrite a negation: %w", err)
	}
	var outer, inner reflect.Value
	walkStatement(donor, func(name string, n reflect.Value) {
		if name != "_SymbolRef" {
			return
		}
		if !outer.IsValid() {
			outer = n
		} else if !inner.IsValid() {
			inner = n
		}
	})
	inner.Elem().FieldByName("Symbol").SetString(strings.TrimPrefix(ref.Elem().FieldByName("Symbol").String(), "-"))
	inner.Elem().FieldByName("Called").Set(ref.Elem().FieldByName("Called"))
	inner.Elem().FieldByName("Parameters").Set(ref.Elem().FieldByName("Parameters"))
	ref.Set(outer)
	return nil
}

// repairLimit turns FROM anything LIMIT 0 into FROM _none().
func repairLimit(node reflect.Value) error {
	limit := node.Elem().FieldByName("Limit")
	if limit.IsNil() || limit.Elem().Int() > 0 {
		return nil
	}
	donor, err := vfilter.Parse("SELECT * FROM " + noneName + "()")
	if err != nil {
		return fmt.Errorf("rewrite LIMIT 0: %w", err)
	}
	node.Elem().FieldByName("From").Set(reflect.ValueOf(donor.Query.From))
	return nil
}

// complete makes what queries need besides the set: the functions of repair,
// and for each plugin and function of the evaluator's own that the set lacks
// one that says that there is none. They would run unguarded.
func (r *Runner) complete() {
	r.plugins = append(r.plugins, NewRowsPlugin(noneName, func(context.Context, *Scope, struct{}, func(Row) bool) error { return nil }).plugin)
	r.functions = append(r.functions, NewFunction(negateName, negate).function)
	for _, name := range []string{"if", "flatten", "chain", "foreach", "range"} {
		if _, found := r.set.plugins[name]; !found {
			r.plugins = append(r.plugins, NewRowsPlugin(name, func(context.Context, *Scope, struct{}, func(Row) bool) error {
				return kinded{KindUnknown, errors.New("there is no such plugin")}
			}, FreeArgs()).plugin)
		}
	}
	for _, name := range []string{"dict", "timestamp", "split", "if", "format", "get", "encode", "count", "sum", "min", "max", "enumerate", "len", "version"} {
		if _, found := r.set.functions[name]; !found {
			r.functions = append(r.functions, NewFunction(name, func(context.Context, *Scope, struct{}) (any, error) {
				return nil, kinded{KindUnknown, errors.New("there is no such function")}
			}, FreeArgs()).function)
		}
	}
}

type negateArgs struct {
	Value any `vql:"value"`
}

func negate(_ context.Context, _ *Scope, a negateArgs) (any, error) {
	switch t := a.Value.(type) {
	case bool:
		return !t, nil
	case int64:
		return -t, nil
	case uint64:
		if t <= 1<<63 {
			return -int64(t), nil
		}
		return -float64(t), nil
	case float64:
		return -t, nil
	}
	return nil, nil
}
