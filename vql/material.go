package vql

import (
	"context"
	"time"

	"www.velocidex.com/golang/vfilter/types"
)

// materializer runs the query of `LET X <= SELECT ...` once and keeps its rows.
type materializer struct {
	run *run
}

func (m materializer) Materialize(ctx context.Context, scope types.Scope, _ string, query types.StoredQuery) types.StoredQuery {
	if list, ok := query.(*rowList); ok {
		return list
	}
	return &rowList{items: m.run.collectRows(ctx, scope, query)}
}

// collectRows runs a query into a list. Rows share their shape.
func (r *run) collectRows(ctx context.Context, scope types.Scope, query types.StoredQuery) []any {
	items := []any{}
	var shape shaper
	for v := range r.eval(ctx, scope, query) {
		row := shape.row(scope, v)
		items = append(items, &sharedRow{columns: row.Columns, values: row.Values})
	}
	return items
}

// rowList is rows in memory. It can be selected from, indexed, cut, tested and
// searched.
type rowList struct {
	items []any // values of the evaluator
}

var (
	_ types.StoredQuery  = (*rowList)(nil)
	_ types.Materializer = (*rowList)(nil)
)

// Eval streams the rows.
func (l *rowList) Eval(ctx context.Context, _ types.Scope) <-chan types.Row {
	out := make(chan types.Row, min(channelSize, len(l.items)))
	go func() {
		defer close(out)
		for _, row := range l.items {
			select {
			case out <- row:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Materialize returns the rows as a list.
func (l *rowList) Materialize(context.Context, types.Scope) types.Any { return l.items }

// rowListProtocol answers for a rowList what a stored query answers only by
// running.
type rowListProtocol struct{}

func (rowListProtocol) Applicable(a, _ types.Any) bool {
	_, ok := a.(*rowList)
	return ok
}

func (rowListProtocol) GetMembers(scope types.Scope, a types.Any) []string {
	if l, ok := a.(*rowList); ok && len(l.items) > 0 {
		return scope.GetMembers(l.items[0])
	}
	return nil
}

func (rowListProtocol) Associative(scope types.Scope, a, b types.Any) (types.Any, bool) {
	l, ok := a.(*rowList)
	if !ok {
		return nil, false
	}
	return scope.Associative(l.items, b)
}

// queryTruth makes a query true if it has a row, and stops it then.
type queryTruth struct {
	run *run
}

func (queryTruth) Applicable(a types.Any) bool {
	_, ok := a.(types.StoredQuery)
	return ok
}

func (p queryTruth) Bool(_ context.Context, scope types.Scope, a types.Any) bool {
	switch q := a.(type) {
	case *rowList:
		return len(q.items) > 0
	case types.StoredQuery:
		for range p.run.eval(p.run.ctx, scope, q) {
			return true
		}
	}
	return false
}

// queryMembership makes `x IN query` look among the rows, or among the values
// of their only column.
type queryMembership struct {
	run *run
}

func (queryMembership) Applicable(_, b types.Any) bool {
	_, ok := b.(types.StoredQuery)
	return ok
}

func (p queryMembership) Membership(scope types.Scope, a, b types.Any) bool {
	q, ok := b.(types.StoredQuery)
	if !ok {
		return false
	}
	for row := range p.run.eval(p.run.ctx, scope, q) {
		if names := scope.GetMembers(row); len(names) == 1 {
			if v, found := scope.Associative(row, names[0]); found && scope.Eq(a, v) {
				return true
			}
		}
		if scope.Eq(a, row) {
			return true
		}
	}
	return false
}

// rowEquality compares rows and dictionaries by content.
type rowEquality struct{}

func (rowEquality) Applicable(a, b types.Any) bool {
	return isRow(a) && (isRow(b) || isDict(b)) || isDict(a) && isRow(b)
}

func isRow(v any) bool {
	switch v.(type) {
	case *sharedRow, *structRow:
		return true
	}
	return false
}

func isDict(v any) bool {
	_, ok := fromEngine(v).(*Dict)
	return ok
}

func (rowEquality) Eq(scope types.Scope, a, b types.Any) bool {
	names := scope.GetMembers(a)
	if len(names) != len(scope.GetMembers(b)) {
		return false
	}
	for _, name := range names {
		x, _ := scope.Associative(a, name)
		y, found := scope.Associative(b, name)
		if !found || !scope.Eq(x, y) {
			return false
		}
	}
	return true
}

// rowTruth makes rows true.
type rowTruth struct{}

func (rowTruth) Applicable(a types.Any) bool { return isRow(a) }

func (rowTruth) Bool(_ context.Context, scope types.Scope, a types.Any) bool {
	return len(scope.GetMembers(a)) > 0
}

// valueTruth makes times and paths true unless they are empty.
type valueTruth struct{}

func (valueTruth) Applicable(a types.Any) bool {
	switch a.(type) {
	case Path, time.Time:
		return true
	}
	return false
}

func (valueTruth) Bool(_ context.Context, _ types.Scope, a types.Any) bool {
	switch t := a.(type) {
	case Path:
		return len(t.components) > 0 || t.delegate != nil
	case time.Time:
		return !t.IsZero()
	}
	return false
}
