package vql

import (
	"context"
	"fmt"
	"log"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"satchel/internal/flow"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// channelSize is how many rows a plugin may be ahead of its query.
const channelSize = 64

// newScope makes a root scope of the run, with the variables that all runs
// have and these.
func (r *run) newScope(env []Var) types.Scope {
	scope := vfilter.NewScope()
	plugins := make([]types.PluginGeneratorInterface, 0, len(r.set.plugins)+len(r.plugins))
	for _, p := range r.set.plugins {
		plugins = append(plugins, &pluginCall{plugin: p, run: r})
	}
	for _, p := range r.plugins {
		plugins = append(plugins, &pluginCall{plugin: p, run: r})
	}
	functions := make([]types.FunctionInterface, 0, len(r.set.functions)+len(r.functions))
	for _, f := range r.set.functions {
		functions = append(functions, &functionCall{function: f, run: r})
	}
	for _, f := range r.functions {
		functions = append(functions, &functionCall{function: f, run: r})
	}
	scope.AppendPlugins(plugins...)
	scope.AppendFunctions(functions...)
	scope.SetLogger(log.New(r, "", 0))
	scope.SetGrouper(grouper{})
	scope.SetSorter(sorter{})
	scope.SetMaterializer(materializer{r})
	scope.AddProtocolImpl(valueTruth{}, rowTruth{}, queryTruth{r}, queryMembership{r}, rowEquality{},
		rowListProtocol{}, pathMembers{}, pathText{}, pathAdd{}, pathOrder{}, pathAfter{}, pathMatch{},
		textMembers{}, timeText{}, timeOrder{}, timeAfter{})
	vars := ordereddict.NewDict()
	if r.options.Artifacts != nil {
		vars.Set("Artifact", &artifactName{run: r})
	}
	for _, v := range r.options.Env {
		vars.Set(v.Name, toEngine(v.Value))
	}
	for _, v := range env {
		vars.Set(v.Name, toEngine(v.Value))
	}
	return scope.AppendVars(vars)
}

// pluginCall shows a plugin to the evaluator.
type pluginCall struct {
	plugin *plugin
	run    *run
}

func (c *pluginCall) Info(types.Scope, *types.TypeMap) *types.PluginInfo {
	return &types.PluginInfo{Name: c.plugin.name, Doc: c.plugin.doc, FreeFormArgs: c.plugin.freeArgs}
}

// Call starts the plugin. The channel is closed when the plugin or the query
// has ended, whichever comes first.
func (c *pluginCall) Call(ctx context.Context, scope types.Scope, args *ordereddict.Dict) <-chan types.Row {
	ctx, cancel := c.run.context(ctx)
	o := &outlet{run: c.run, ctx: ctx, rows: make(chan types.Row, channelSize)}
	stop := context.AfterFunc(ctx, o.close)
	c.run.calls.Add(1)
	c.run.workers.add(c)
	go func() {
		defer c.run.workers.done(c)
		defer func() {
			stop()
			o.close()
			cancel()
		}()
		if kind, err := c.invoke(ctx, scope, args, o); err != nil && ctx.Err() == nil {
			c.run.fail(kind, c.plugin.name, err)
		}
	}()
	return o.rows
}

func (c *pluginCall) invoke(ctx context.Context, scope types.Scope, args *ordereddict.Dict, o *outlet) (kind ErrorKind, err error) {
	defer recovered(c.run, &kind, &err)
	if err := c.run.permitted(&c.plugin.meta); err != nil {
		return KindPermission, err
	}
	s := &Scope{run: c.run, scope: scope, caller: &c.plugin.meta}
	bound, err := bindArgs(ctx, s, &c.plugin.plans, c.plugin.args, c.plugin.freeArgs, args)
	if err != nil {
		return KindArgument, err
	}
	emit := func(v any) bool { return o.send(toEngine(v)) }
	if c.plugin.row != nil {
		plan := c.plugin.plans.row(c.plugin.row)
		emit = func(v any) bool {
			return o.send(&structRow{plan: plan, elem: reflect.ValueOf(v).Elem()})
		}
	}
	return KindPlugin, c.plugin.run(ctx, s, bound, emit)
}

// outlet is the channel of one plugin call. It closes when the query ends even
// if the plugin hangs.
type outlet struct {
	run  *run
	ctx  context.Context
	rows chan types.Row

	mu     sync.RWMutex
	closed bool
}

func (o *outlet) send(row types.Row) bool {
	o.run.throttle.Wait(o.ctx)
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed || o.ctx.Err() != nil {
		return false
	}
	select {
	case o.rows <- row:
		o.run.scanned.Add(1)
		return true
	case <-o.ctx.Done():
		return false
	}
}

func (o *outlet) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		close(o.rows)
	}
}

func bindArgs(ctx context.Context, s *Scope, p *plans, t reflect.Type, free bool, args *ordereddict.Dict) (any, error) {
	plan, err := p.args(t)
	if err != nil {
		return nil, err
	}
	return plan.bind(ctx, s, t, free, args)
}

func (r *run) permitted(m *meta) error {
	for _, p := range m.permissions {
		if !r.granted(p) {
			return fmt.Errorf("needs the permission %s, which is not granted", p)
		}
	}
	return nil
}

// recovered turns a panic into an error.
func recovered(r *run, kind *ErrorKind, err *error) {
	if p := recover(); p != nil {
		*kind = KindPanic
		*err = fmt.Errorf("panic: %v", p)
		r.log(flow.LevelDebug, "stack: "+strings.TrimSpace(string(debug.Stack())))
	}
}

// functionCall shows a function to the evaluator. Each place in a query that
// calls it has its own.
type functionCall struct {
	function *function
	run      *run
	site     string
	active   atomic.Int64 // calls that have not returned
}

func (c *functionCall) Info(types.Scope, *types.TypeMap) *types.FunctionInfo {
	return &types.FunctionInfo{Name: c.function.name, Doc: c.function.doc, IsAggregate: c.function.state != nil, FreeFormArgs: c.function.freeArgs}
}

// Copy is called once for each place in the query.
func (c *functionCall) Copy() types.FunctionInterface {
	return c.run.place(c.function)
}

func (c *functionCall) Call(ctx context.Context, scope types.Scope, args *ordereddict.Dict) types.Any {
	if ctx.Value(runKey{}) == nil {
		ctx = c.run.ctx
	}
	if ctx.Err() != nil {
		return types.Null{}
	}
	c.active.Add(1)
	defer c.active.Add(-1)
	v, kind, err := c.invoke(ctx, scope, args)
	if err == nil {
		return toEngine(v)
	}
	if ctx.Err() == nil {
		c.run.fail(kind, c.function.name, err)
	}
	if c.function.state != nil && kind == KindFunction {
		return toEngine(v) // one bad row does not spoil its group
	}
	return types.Null{}
}

func (c *functionCall) invoke(ctx context.Context, scope types.Scope, args *ordereddict.Dict) (v any, kind ErrorKind, err error) {
	defer recovered(c.run, &kind, &err)
	if err := c.run.permitted(&c.function.meta); err != nil {
		return nil, KindPermission, err
	}
	s := &Scope{run: c.run, scope: scope, caller: &c.function.meta, site: c.site}
	bound, err := bindArgs(ctx, s, &c.function.plans, c.function.args, c.function.freeArgs, args)
	if err != nil {
		return nil, KindArgument, err
	}
	if c.function.state == nil {
		v, err = c.function.call(ctx, s, bound, nil)
		return v, KindFunction, err
	}
	scope.GetAggregatorCtx().Modify(c.site, func(old types.Any, found bool) types.Any {
		if !found {
			old = reflect.New(c.function.state).Interface()
		}
		v, err = c.function.call(ctx, s, bound, old)
		return old
	})
	return v, KindFunction, err
}

// Throttle counts one operation of a plugin that works long between rows, and
// waits if the run is to be slow.
func (s *Scope) Throttle(ctx context.Context) { s.run.throttle.Wait(ctx) }

// Pause waits for the time, or until ctx ends, and says whether it waited to
// the end.
func (s *Scope) Pause(ctx context.Context, d time.Duration) bool {
	pause(ctx, d)
	return ctx.Err() == nil
}
