package vql

import (
	"context"
	"sync"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter/types"
)

// grouper runs GROUP BY in time linear in the rows. It keeps one row and the
// states of the aggregates for each group.
type grouper struct{}

type group struct {
	row   *ordereddict.Dict
	state aggregates
}

// aggregates keeps the states of the aggregate functions of one group.
type aggregates struct {
	mu     sync.Mutex
	states map[string]types.Any
}

// Modify replaces the state under the key by what modify makes of it.
func (a *aggregates) Modify(key string, modify func(old types.Any, found bool) types.Any) types.Any {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, found := a.states[key]
	v := modify(old, found)
	if a.states == nil {
		a.states = make(map[string]types.Any, 2)
	}
	a.states[key] = v
	return v
}

// Group reads all rows and then emits the last row of each group, groups in
// the order in which they were first seen.
func (g grouper) Group(ctx context.Context, scope types.Scope, actor types.GroupbyActor) <-chan types.Row {
	out := make(chan types.Row, channelSize)
	go func() {
		defer close(out)
		for _, group := range g.collect(ctx, scope, actor) {
			select {
			case out <- group.row:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (g grouper) collect(ctx context.Context, scope types.Scope, actor types.GroupbyActor) (order []*group) {
	outer := scope.Copy()
	defer outer.Close()
	groups := make(map[string]*group)
	for {
		row, _, key, inner, err := actor.GetNextRow(ctx, outer)
		if err != nil {
			return order
		}
		bin, found := groups[key]
		if !found {
			bin = &group{}
			groups[key] = bin
			order = append(order, bin)
		}
		inner.SetAggregatorCtx(&bin.state)
		bin.row = actor.MaterializeRow(ctx, row, inner)
		inner.Close()
	}
}
