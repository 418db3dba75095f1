package core

import (
	"context"
	"fmt"
	"math"

	"satchel/vql"
)

func aggregateList() []vql.Registration {
	return []vql.Registration{
		vql.NewAggregate("count", count, vql.Doc("Counts the rows of a group.")),
		vql.NewAggregate("sum", sum, vql.Doc("Adds the values of a group.")),
		vql.NewAggregate("min", minimum, vql.Doc("Returns the least value of a group.")),
		vql.NewAggregate("max", maximum, vql.Doc("Returns the greatest value of a group.")),
		vql.NewAggregate("enumerate", enumerate, vql.Doc("Lists the values of a group.")),
		vql.NewAggregate("rate", rate, vql.Doc("Returns how fast x grows with y, between one row and the next.")),
	}
}

type countArgs struct {
	Items vql.Lazy `vql:"items"`
}

func count(_ context.Context, _ *vql.Scope, _ countArgs, n *int64) (any, error) {
	*n++
	return *n, nil
}

type itemArgs struct {
	Item any `vql:"item,required"`
}

// total is exact for whole numbers as long as they fit into 64 bits.
type total struct {
	whole   int64
	float   float64
	isFloat bool
}

func sum(_ context.Context, _ *vql.Scope, a itemArgs, t *total) (any, error) {
	switch v := a.Item.(type) {
	case nil:
	case int64:
		t.addInt(v)
	case uint64:
		if v > math.MaxInt64 {
			t.addFloat(float64(v))
		} else {
			t.addInt(int64(v))
		}
	case float64:
		t.addFloat(v)
	case bool:
		if v {
			t.addInt(1)
		}
	default:
		return t.value(), fmt.Errorf("cannot add %T", a.Item)
	}
	return t.value(), nil
}

func (t *total) addInt(v int64) {
	if t.isFloat {
		t.float += float64(v)
		return
	}
	next := t.whole + v
	if (v > 0) != (next > t.whole) && v != 0 { // beyond 64 bits
		t.addFloat(float64(v))
		return
	}
	t.whole = next
}

func (t *total) addFloat(v float64) {
	if !t.isFloat {
		t.isFloat, t.float = true, float64(t.whole)
	}
	t.float += v
}

func (t *total) value() any {
	if t.isFloat {
		return t.float
	}
	return t.whole
}

type extreme struct {
	value any
}

// minimum and maximum pass over NULL.
func minimum(_ context.Context, s *vql.Scope, a itemArgs, e *extreme) (any, error) {
	if a.Item != nil && (e.value == nil || s.Less(a.Item, e.value)) {
		e.value = a.Item
	}
	return e.value, nil
}

func maximum(_ context.Context, s *vql.Scope, a itemArgs, e *extreme) (any, error) {
	if a.Item != nil && (e.value == nil || s.Less(e.value, a.Item)) {
		e.value = a.Item
	}
	return e.value, nil
}

type enumerateArgs struct {
	Items any `vql:"items"`
}

func enumerate(_ context.Context, _ *vql.Scope, a enumerateArgs, list *[]any) (any, error) {
	*list = append(*list, a.Items)
	return (*list)[:len(*list):len(*list)], nil
}

type rateArgs struct {
	X float64 `vql:"x,required"`
	Y float64 `vql:"y,required"`
}

type point struct {
	x, y  float64
	known bool
}

func rate(_ context.Context, _ *vql.Scope, a rateArgs, last *point) (any, error) {
	before := *last
	*last = point{a.X, a.Y, true}
	if !before.known || a.Y == before.y {
		return nil, nil
	}
	return (a.X - before.x) / (a.Y - before.y), nil
}
