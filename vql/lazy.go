package vql

import (
	"context"
	"iter"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// Lazy is an argument that is evaluated only when asked, at most once.
type Lazy struct {
	scope types.Scope
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
	return materialize(ctx, l.scope, l.Value(ctx))
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
		ctx, cancel := context.WithCancel(ctx)
		scope := s.scope.Copy()
		for _, v := range vars {
			scope.AppendVars(toEngine(v))
		}
		rows := q.query.Eval(ctx, scope)
		defer func() {
			cancel()
			for range rows {
			}
			scope.Close()
		}()
		for row := range rows {
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
		var shape shaper
		for v := range q.Values(ctx, s, vars...) {
			if !yield(shape.row(ctx, s.scope, toEngine(v))) {
				return
			}
		}
	}
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
	return materialize(ctx, s.scope, fromEngine(l.lambda.Reduce(ctx, s.scope, in)))
}

// materialize runs a query into the list of its rows and leaves other values.
func materialize(ctx context.Context, scope types.Scope, v any) any {
	switch t := v.(type) {
	case Query:
		return queryValues(ctx, scope, t.query)
	case types.Materializer:
		return fromEngine(t.Materialize(ctx, scope))
	}
	return v
}

// queryValues runs a query into a list: of dictionaries.
func queryValues(ctx context.Context, scope types.Scope, q types.StoredQuery) []any {
	inner := scope.Copy()
	defer inner.Close()
	out := []any{}
	for row := range q.Eval(ctx, inner) {
		out = append(out, fromEngine(row))
	}
	return out
}

// shaper makes rows of engine values and shares the shape of equal neighbours.
type shaper struct {
	columns *Columns
}

func (sh *shaper) row(ctx context.Context, scope types.Scope, v any) Row {
	switch t := v.(type) {
	case *ordereddict.Dict:
		return sh.items(t.Items())
	case *structRow:
		values := make([]any, len(t.plan.fields))
		for i := range values {
			values[i] = t.at(i)
		}
		return Row{Columns: t.plan.columns, Values: values}
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
	if sh.columns != nil && len(sh.columns.names) == len(names) {
		same := true
		for i, name := range names {
			same = same && sh.columns.names[i] == name
		}
		if same {
			return sh.columns
		}
	}
	sh.columns = NewColumns(names...)
	return sh.columns
}
