package collector

import (
	"context"
	"regexp"
	"strings"
	"sync"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"
)

// plainCondition is a query of info() by its own columns, as most conditions
// are: nothing that an artifact defines can be in it.
var plainCondition = regexp.MustCompile(`(?is)^SELECT\s+[\w\s,*]+\s+FROM\s+info\(\s*\)(\s+WHERE\s+((\w+|'[^']*'|"[^"]*"|=~|!=|=|<|>)\s*)+)?$`)

// letName finds the names that statements define.
var letName = regexp.MustCompile("(?i)\\bLET\\s+`?(\\w+)")

// VQL runs items with a set of plugins.
type VQL struct {
	Set *vql.Set
	// Options are those of every run; Log, Report and Sink are replaced.
	Options vql.Options
	// Debug keeps log lines of the level DEBUG.
	Debug bool
	// Item returns the throttle of one item; nil for none.
	Item func(*artifacts.Item) vql.Throttle

	mu       sync.Mutex
	verdicts map[string]*verdictOnce // of conditions that depend on the host alone
}

// verdictOnce is the verdict of a condition that many items share.
type verdictOnce struct {
	once  sync.Once
	holds bool
	err   error
}

var _ Engine = (*VQL)(nil)

// Holds implements Engine. A condition that names none of its item's
// parameters asks about the host alone: it is asked once for all items.
func (e *VQL) Holds(ctx context.Context, it *artifacts.Item, n int) (bool, error) {
	text := it.Preconditions[n]
	if usesParameters(text, it.Env, it.Preamble) {
		return e.holds(ctx, it.Condition(n), variables(it))
	}
	e.mu.Lock()
	v := e.verdicts[text]
	if v == nil {
		if e.verdicts == nil {
			e.verdicts = map[string]*verdictOnce{}
		}
		v = new(verdictOnce)
		e.verdicts[text] = v
	}
	e.mu.Unlock()
	v.once.Do(func() { v.holds, v.err = e.holds(ctx, it.Condition(n), variables(it)) })
	if v.err != nil { // it may have been the item's time that was over
		return e.holds(ctx, it.Condition(n), variables(it))
	}
	return v.holds, nil
}

func (e *VQL) holds(ctx context.Context, condition string, env []vql.Var) (bool, error) {
	o := e.Options
	o.Log, o.Report, o.Sink = nil, nil, nil
	return vql.NewRunner(e.Set, o).Holds(ctx, condition, env)
}

// usesParameters says whether a name in the text may be one of the
// parameters, or an artifact, or one of the LETs before it.
func usesParameters(text string, env []flow.Param, preamble []string) bool {
	if !plainCondition.MatchString(strings.TrimSpace(text)) {
		return true
	}
	for _, p := range env {
		if strings.Contains(text, p.Key) {
			return true
		}
	}
	for _, statement := range preamble {
		for _, m := range letName.FindAllStringSubmatch(statement, -1) {
			if strings.Contains(text, m[1]) {
				return true
			}
		}
	}
	return false
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
