package collector

import (
	"context"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"
)

// VQL runs items with a set of plugins.
type VQL struct {
	Set *vql.Set
	// Options are those of every run; Log, Report and Sink are replaced.
	Options vql.Options
	// Debug keeps log lines of the level DEBUG.
	Debug bool
	// Item returns the throttle of one item; nil for none.
	Item func(*artifacts.Item) vql.Throttle
}

var _ Engine = (*VQL)(nil)

// Holds implements Engine.
func (e *VQL) Holds(ctx context.Context, it *artifacts.Item, n int) (bool, error) {
	o := e.Options
	o.Log, o.Report, o.Sink = nil, nil, nil
	return vql.NewRunner(e.Set, o).Holds(ctx, it.Condition(n), variables(it))
}

// Run implements Engine.
func (e *VQL) Run(ctx context.Context, it *artifacts.Item, to flow.Sink, rows func(vql.Row) error) (vql.Stats, error) {
	o := e.Options
	o.Sink, o.Report = to, to.Report
	o.Log = func(l flow.LogLine) {
		if l.Level != flow.LevelDebug || e.Debug {
			_ = to.Log(ctx, l) // the guard notes a sink that fails
		}
	}
	q := vql.Request{Text: it.Query, Preamble: it.Preamble, Source: it.Name, Env: variables(it), MaxRows: it.MaxRows}
	if e.Item != nil {
		q.Throttle = e.Item(it)
	}
	return vql.NewRunner(e.Set, o).Run(ctx, q, rows)
}

func variables(it *artifacts.Item) []vql.Var {
	vars := make([]vql.Var, 0, len(it.Env))
	for _, p := range it.Env {
		vars = append(vars, vql.Var{Name: p.Key, Value: p.Value})
	}
	return vars
}
