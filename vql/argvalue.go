package vql

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"www.velocidex.com/golang/vfilter/types"
)

// single takes the one element out of a list of one, and the one value out of
// a dictionary of one, so that a query can stand for a value.
func single(v any) any {
	if list, ok := v.([]any); ok && len(list) == 1 {
		return onlyValue(fromEngine(list[0]))
	}
	return v
}

func toQuery(ctx context.Context, raw any) (Query, error) {
	if q, ok := raw.(types.StoredQuery); ok {
		return Query{query: q}, nil
	}
	v := reduce(ctx, raw)
	if q, ok := v.(types.StoredQuery); ok {
		return Query{query: q}, nil
	}
	if fromEngine(v) == nil {
		return Query{}, nil
	}
	return Query{query: valueQuery{v}}, nil
}

// valueQuery lets a value stand where a query is wanted: a list gives its
// elements, anything else one row.
type valueQuery struct {
	value any
}

func (q valueQuery) Eval(ctx context.Context, scope types.Scope) <-chan types.Row {
	items := listItems(fromEngine(q.value))
	out := make(chan types.Row, min(channelSize, len(items)))
	go func() {
		defer close(out)
		for _, item := range items {
			if item == nil {
				continue
			}
			select {
			case out <- toEngine(rowOf(scope, item)):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// toList makes a list of a value: of a list itself, of a query its rows, of
// anything else a list of one. Rows of one column become their value.
func toList(ctx context.Context, s *Scope, v any) []any {
	items := listItems(s.materialize(ctx, v))
	for i, item := range items {
		if row, ok := item.(Row); ok && len(row.Columns.Names()) == 1 {
			items[i] = row.At(0)
		}
	}
	return items
}

// onlyValue takes the value out of a row or dictionary of one.
func onlyValue(v any) any {
	switch t := v.(type) {
	case Row:
		if len(t.Columns.Names()) == 1 {
			return t.At(0)
		}
	case *Dict:
		if t.Len() == 1 {
			for _, value := range t.All() {
				return value
			}
		}
	}
	return v
}

func listItems(v any) []any {
	switch t := v.(type) {
	case nil:
		return nil
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = fromEngine(t[i])
		}
		return out
	case string, *Dict, []byte:
		return []any{v}
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Slice && rv.Kind() != reflect.Array {
		return []any{v}
	}
	out := make([]any, rv.Len())
	for i := range out {
		out[i] = fromEngine(toEngine(rv.Index(i).Interface()))
	}
	return out
}

func toDict(s *Scope, v any) (*Dict, error) {
	switch t := v.(type) {
	case *Dict:
		return t, nil
	case nil:
		return nil, nil
	case string, bool, int64, uint64, float64, []byte, []any, time.Time:
		return nil, fmt.Errorf("must be a dict, not %s", TypeName(v))
	}
	d := NewDict()
	in := toEngine(v)
	for _, name := range s.scope.GetMembers(in) {
		value, _ := s.scope.Associative(in, name)
		d.Set(name, value)
	}
	return d, nil
}

// ToPath makes a path of a value: a Path stays, a text is parsed by the
// accessor of that name.
func (s *Scope) ToPath(ctx context.Context, accessor string, v any) (Path, error) {
	switch t := v.(type) {
	case Path:
		return t, nil
	case nil:
		return Path{}, fmt.Errorf("must be a path, not NULL")
	case string, []byte:
		return s.parsePath(ctx, accessor, toText(t))
	case *Dict, []any, bool:
		return Path{}, fmt.Errorf("must be a path, not %s", TypeName(v))
	}
	return s.parsePath(ctx, accessor, toText(v))
}

func (s *Scope) parsePath(ctx context.Context, accessor, text string) (Path, error) {
	a, err := s.Accessor(ctx, accessor)
	if err != nil {
		if accessor == "" {
			return ParsePath(Posix, text), nil
		}
		return Path{}, err
	}
	return a.Parse(text)
}

func toInt(v any) (int64, error) {
	switch t := v.(type) {
	case int64:
		return t, nil
	case uint64:
		if t > math.MaxInt64 {
			return 0, fmt.Errorf("%d is out of range", t)
		}
		return int64(t), nil
	case float64:
		if t != math.Trunc(t) || t < -(1<<63) || t >= 1<<63 {
			return 0, fmt.Errorf("must be a whole number, not %v", t)
		}
		return int64(t), nil
	case bool:
		if t {
			return 1, nil
		}
		return 0, nil
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(t), 0, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("must be an integer, not %s", TypeName(v))
}

func toUint(v any) (uint64, error) {
	switch t := v.(type) {
	case uint64:
		return t, nil
	case string:
		if n, err := strconv.ParseUint(strings.TrimSpace(t), 0, 64); err == nil {
			return n, nil
		}
	}
	n, err := toInt(v)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, fmt.Errorf("%d is out of range", n)
	}
	return uint64(n), nil
}

func toFloat(v any) (float64, error) {
	switch t := v.(type) {
	case float64:
		return t, nil
	case int64:
		return float64(t), nil
	case uint64:
		return float64(t), nil
	case string:
		if n, err := strconv.ParseFloat(strings.TrimSpace(t), 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("must be a number, not %s", TypeName(v))
}
