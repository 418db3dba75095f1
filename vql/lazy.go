package vql

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// Lazy is an argument that is evaluated only when asked, at most once.
type Lazy struct {
	scope *Scope
	expr  any
}

// IsSet says whether the argument was given.
func (l Lazy) IsSet() bool { return l.expr != nil }

// Value evaluates the expression. The result of a query is a [Query], not yet
// run. An argument that was not given is nil.
func (l Lazy) Value(ctx context.Context) any {
	if e, ok := l.expr.(types.LazyExpr); ok {
		return fromEngine(e.Reduce(ctx))
	}
	return fromEngine(l.expr)
}

// Reduce evaluates the expression. The result of a query is the list of its
// rows.
func (l Lazy) Reduce(ctx context.Context) any {
	if l.expr == nil {
		return nil
	}
	return l.scope.materialize(ctx, l.Value(ctx))
}

// Query is an argument that is a query, to be run by the plugin.
type Query struct {
	query types.StoredQuery
}

// IsSet says whether the argument was given.
func (q Query) IsSet() bool { return q.query != nil }

// Values runs the query in the scope of the caller with more variables, each a
// *Dict, a Row or a struct whose members become variables. It yields what the
// query yields, mostly *Dict. Breaking out of the loop ends the query.
func (q Query) Values(ctx context.Context, s *Scope, vars ...any) iter.Seq[any] {
	return func(yield func(any) bool) {
		if q.query == nil {
			return
		}
		for row := range s.run.eval(ctx, s.scope, q.query, vars...) {
			if !yield(fromEngine(row)) {
				return
			}
		}
	}
}

// Rows is [Query.Values] with every value as a row. A value that has no
// members becomes a row with the column _value.
func (q Query) Rows(ctx context.Context, s *Scope, vars ...any) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		if q.query == nil {
			return
		}
		var shape shaper
		for row := range s.run.eval(ctx, s.scope, q.query, vars...) {
			if !yield(shape.row(s.scope, row)) {
				return
			}
		}
	}
}

// List runs the query into the list of its rows.
func (q Query) List(ctx context.Context, s *Scope, vars ...any) []Row {
	var out []Row
	for row := range q.Rows(ctx, s, vars...) {
		out = append(out, row)
	}
	return out
}

// Iterate yields what a value holds: the rows of a query, the elements of a
// list without the NULLs, else the value itself. What has no members, such as a
// text, is yielded as it is; see [Scope.RowOf].
func (s *Scope) Iterate(ctx context.Context, v any) iter.Seq[any] {
	switch t := v.(type) {
	case Query:
		return t.Values(ctx, s)
	case *rowList:
		return Query{query: t}.Values(ctx, s)
	}
	return func(yield func(any) bool) {
		for _, item := range listItems(v) {
			if item != nil && (ctx.Err() != nil || !yield(item)) {
				return
			}
		}
	}
}

// RowOf returns the value if it has members, so that it can be a row, else a
// dictionary with the value under the key _value.
func (s *Scope) RowOf(v any) any { return rowOf(s.scope, v) }

func rowOf(scope types.Scope, v any) any {
	switch v.(type) {
	case *Dict, Row:
		return v
	case nil, string, bool, int64, uint64, float64, []byte, time.Time, Path, []any, []string:
		return NewDict().Set("_value", v)
	}
	if len(scope.GetMembers(toEngine(v))) == 0 {
		return NewDict().Set("_value", v)
	}
	return v
}

// Eval runs VQL as a text of its own: it sees the variables that every run has
// and these, and nothing of the caller. It stops when yield answers false.
func (s *Scope) Eval(ctx context.Context, text string, vars []Var, yield func(any) bool) error {
	ctx, cancel := s.run.context(ctx)
	defer cancel()
	depth, _ := ctx.Value(artifactDepth{}).(int)
	if depth >= maxArtifactDepth {
		return fmt.Errorf("queries call each other more than %d deep", maxArtifactDepth)
	}
	scope := s.run.newScope(vars)
	defer scope.Close()
	return s.run.evaluate(context.WithValue(ctx, artifactDepth{}, depth+1), scope, []string{text}, func(v any) bool { return yield(fromEngine(v)) })
}

// Materialize runs a query into the list of its rows and leaves other values
// as they are.
func (s *Scope) Materialize(ctx context.Context, v any) any { return s.materialize(ctx, v) }

// Items returns a value as a list: of a query its rows, of a list itself, of
// NULL none, of anything else a list of one.
func (s *Scope) Items(ctx context.Context, v any) []any {
	return listItems(s.materialize(ctx, v))
}

// Lambda is an argument of the form "x=>x.Size > 5".
type Lambda struct {
	lambda *vfilter.Lambda
	text   string
}

// IsSet says whether the argument was given.
func (l Lambda) IsSet() bool { return l.lambda != nil }

// String returns the text of the lambda.
func (l Lambda) String() string { return l.text }

// Call evaluates the lambda in the scope of the caller.
func (l Lambda) Call(ctx context.Context, s *Scope, args ...any) any {
	if l.lambda == nil {
		return nil
	}
	in := make([]vfilter.Any, len(args))
	for i, a := range args {
		in[i] = toEngine(a)
	}
	return s.materialize(ctx, fromEngine(l.lambda.Reduce(ctx, s.scope, in)))
}

// materialize runs a query into the list of its rows and leaves other values.
func (s *Scope) materialize(ctx context.Context, v any) any {
	switch t := v.(type) {
	case Query:
		return s.run.collectRows(ctx, s.scope, t.query)
	case *rowList:
		return t.items
	case types.Materializer:
		return fromEngine(t.Materialize(ctx, s.scope))
	}
	return v
}

// shaper makes rows of engine values and shares the shape of equal neighbours.
type shaper struct {
	columns *Columns
}

func (sh *shaper) row(scope types.Scope, v any) Row {
	switch t := v.(type) {
	case *ordereddict.Dict:
		return sh.items(t.Items())
	case *structRow:
		return t.row()
	case *sharedRow:
		return t.row()
	}
	names := scope.GetMembers(v)
	if len(names) == 0 {
		return Row{Columns: sh.shape("_value"), Values: []any{v}}
	}
	values := make([]any, len(names))
	for i, name := range names {
		values[i], _ = scope.Associative(v, name)
	}
	return Row{Columns: sh.shape(names...), Values: values}
}

func (sh *shaper) items(items []ordereddict.Item) Row {
	values := make([]any, len(items))
	same := sh.columns != nil && len(sh.columns.names) == len(items)
	for i, item := range items {
		values[i] = item.Value
		same = same && sh.columns.names[i] == item.Key
	}
	if !same {
		names := make([]string, len(items))
		for i, item := range items {
			names[i] = item.Key
		}
		sh.columns = NewColumns(names...)
	}
	return Row{Columns: sh.columns, Values: values}
}

func (sh *shaper) shape(names ...string) *Columns {
	if sh.columns == nil || !slices.Equal(sh.columns.names, names) {
		sh.columns = NewColumns(names...)
	}
	return sh.columns
}
