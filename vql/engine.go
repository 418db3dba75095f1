package vql

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"

	"satchel/internal/flow"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// newScope makes the root scope of a run.
func (r *run) newScope() types.Scope {
	scope := vfilter.NewScope()
	plugins := make([]types.PluginGeneratorInterface, 0, len(r.set.plugins))
	for _, p := range r.set.plugins {
		plugins = append(plugins, &pluginCall{plugin: p, run: r})
	}
	functions := make([]types.FunctionInterface, 0, len(r.set.functions))
	for _, f := range r.set.functions {
		functions = append(functions, &functionCall{function: f, run: r})
	}
	scope.AppendPlugins(plugins...)
	scope.AppendFunctions(functions...)
	vars := ordereddict.NewDict()
	for _, v := range r.options.Env {
		vars.Set(v.Name, toEngine(v.Value))
	}
	for _, v := range r.request.Env {
		vars.Set(v.Name, toEngine(v.Value))
	}
	scope.AppendVars(vars)
	return scope
}

// pluginCall shows a plugin to the evaluator.
type pluginCall struct {
	plugin *plugin
	run    *run
}

func (c *pluginCall) Info(types.Scope, *types.TypeMap) *types.PluginInfo {
	return &types.PluginInfo{Name: c.plugin.name, Doc: c.plugin.doc, FreeFormArgs: c.plugin.freeArgs}
}

// Call starts the plugin. The channel is closed when it has ended.
func (c *pluginCall) Call(ctx context.Context, scope types.Scope, args *ordereddict.Dict) <-chan types.Row {
	out := make(chan types.Row, 64)
	c.run.calls.Add(1)
	c.run.workers.Add(1)
	go func() {
		defer c.run.workers.Done()
		defer close(out)
		if kind, err := c.invoke(ctx, scope, args, out); err != nil && ctx.Err() == nil {
			c.run.fail(kind, c.plugin.name, err)
		}
	}()
	return out
}

func (c *pluginCall) invoke(ctx context.Context, scope types.Scope, args *ordereddict.Dict, out chan<- types.Row) (kind ErrorKind, err error) {
	defer recovered(c.run, &kind, &err)
	if err := c.run.permitted(&c.plugin.meta); err != nil {
		return KindPermission, err
	}
	s := &Scope{run: c.run, scope: scope, caller: &c.plugin.meta}
	bound, err := bindArgs(ctx, s, &c.plugin.lazy, c.plugin.args, c.plugin.freeArgs, args)
	if err != nil {
		return KindArgument, err
	}
	return KindPlugin, c.plugin.run(ctx, s, bound, func(v any) bool {
		select {
		case out <- toEngine(v):
			return true
		case <-ctx.Done():
			return false
		}
	})
}

func bindArgs(ctx context.Context, s *Scope, l *lazyPlans, t reflect.Type, free bool, args *ordereddict.Dict) (any, error) {
	plan, err := l.plan(t)
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
}

func (c *functionCall) Info(types.Scope, *types.TypeMap) *types.FunctionInfo {
	return &types.FunctionInfo{Name: c.function.name, Doc: c.function.doc, IsAggregate: c.function.state != nil, FreeFormArgs: c.function.freeArgs}
}

// Copy is called once for each place in the query.
func (c *functionCall) Copy() types.FunctionInterface {
	return &functionCall{function: c.function, run: c.run}
}

func (c *functionCall) Call(ctx context.Context, scope types.Scope, args *ordereddict.Dict) types.Any {
	v, kind, err := c.invoke(ctx, scope, args)
	if err != nil {
		if ctx.Err() == nil {
			c.run.fail(kind, c.function.name, err)
		}
		return types.Null{}
	}
	return toEngine(v)
}

func (c *functionCall) invoke(ctx context.Context, scope types.Scope, args *ordereddict.Dict) (v any, kind ErrorKind, err error) {
	defer recovered(c.run, &kind, &err)
	if err := c.run.permitted(&c.function.meta); err != nil {
		return nil, KindPermission, err
	}
	s := &Scope{run: c.run, scope: scope, caller: &c.function.meta}
	bound, err := bindArgs(ctx, s, &c.function.lazy, c.function.args, c.function.freeArgs, args)
	if err != nil {
		return nil, KindArgument, err
	}
	if c.function.state == nil {
		v, err = c.function.call(ctx, s, bound, nil)
		return v, KindFunction, err
	}
	scope.GetAggregatorCtx().Modify(fmt.Sprintf("%p", c), func(old types.Any, found bool) types.Any {
		if !found {
			old = reflect.New(c.function.state).Interface()
		}
		v, err = c.function.call(ctx, s, bound, old)
		return old
	})
	return v, KindFunction, err
}
