package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"satchel/vql"
)

func controlList() []vql.Registration {
	return []vql.Registration{
		vql.NewValuesPlugin("foreach", foreach, vql.Doc("Runs a query for each row of another.")),
		vql.NewValuesPlugin("for", forEachVar, vql.Doc("Runs a query for each row of another, which is the value of a variable.")),
		vql.NewValuesPlugin("if", ifPlugin, vql.Doc("Runs one of two queries.")),
		vql.NewFunction("if", ifFunction, vql.Doc("Returns one of two values and does not evaluate the other.")),
		vql.NewValuesPlugin("chain", chain, vql.FreeArgs(), vql.Doc("Runs queries one after the other, by async=TRUE at once.")),
		vql.NewValuesPlugin("combine", combine, vql.FreeArgs(), vql.Doc("Runs queries at once and mixes their rows.")),
		vql.NewValuesPlugin("switch", switchPlugin, vql.FreeArgs(), vql.Doc("Runs queries in turn until one gives rows.")),
		vql.NewPlugin("range", rangePlugin, vql.Doc("Counts.")),
		vql.NewValuesPlugin("query", query, vql.Doc("Runs VQL that is a text or a query, which sees only the variables it is given.")),
	}
}

// maxWorkers bounds the goroutines of one foreach.
const maxWorkers = 256

type foreachArgs struct {
	Row     vql.Lazy  `vql:"row,required"`
	Query   vql.Query `vql:"query"`
	Async   bool      `vql:"async"`
	Workers int64     `vql:"workers"`
	Column  string    `vql:"column"`
}

func foreach(ctx context.Context, s *vql.Scope, a foreachArgs, emit func(any) bool) error {
	workers := min(a.Workers, maxWorkers)
	if a.Async && workers <= 1 {
		workers = 100
	}
	rows := func(yield func(any) bool) {
		for item := range s.Iterate(ctx, a.Row.Value(ctx)) {
			if a.Column != "" {
				item, _ = s.Member(item, a.Column)
			}
			if item != nil && !yield(item) {
				return
			}
		}
	}
	if !a.Query.IsSet() {
		for item := range rows {
			if !emit(s.RowOf(item)) {
				return nil
			}
		}
		return nil
	}
	run := func(ctx context.Context, item any) bool {
		for row := range a.Query.Values(ctx, s, s.RowOf(item)) {
			if !emit(row) {
				return false
			}
		}
		return ctx.Err() == nil
	}
	if workers <= 1 {
		for item := range rows {
			if !run(ctx, item) {
				return nil
			}
		}
		return nil
	}
	return parallel(ctx, int(workers), rows, run)
}

// parallel gives the items to so many goroutines, and returns when they have
// ended. It stops when run answers false.
func parallel(ctx context.Context, workers int, items func(func(any) bool), run func(context.Context, any) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan any)
	panics := make(chan any, workers)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panics <- p
					cancel()
				}
			}()
			for item := range queue {
				if !run(ctx, item) {
					cancel()
				}
			}
		})
	}
	for item := range items {
		select {
		case queue <- item:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	wait.Wait()
	close(panics)
	for p := range panics {
		return fmt.Errorf("panic: %v", p)
	}
	return nil
}

type forArgs struct {
	Var     string    `vql:"var,required"`
	Foreach vql.Query `vql:"foreach,required"`
	Query   vql.Query `vql:"query"`
}

func forEachVar(ctx context.Context, s *vql.Scope, a forArgs, emit func(any) bool) error {
	for item := range a.Foreach.Values(ctx, s) {
		if !a.Query.IsSet() {
			if !emit(vql.NewDict().Set(a.Var, item)) {
				return nil
			}
			continue
		}
		for row := range a.Query.Values(ctx, s, vql.NewDict().Set(a.Var, item)) {
			if !emit(row) {
				return nil
			}
		}
	}
	return nil
}

type ifArgs struct {
	Condition vql.Lazy `vql:"condition,required"`
	Then      vql.Lazy `vql:"then"`
	Else      vql.Lazy `vql:"else"`
}

func (a ifArgs) choose(ctx context.Context, s *vql.Scope) any {
	if s.Truth(a.Condition.Value(ctx)) {
		return a.Then.Value(ctx)
	}
	return a.Else.Value(ctx)
}

func ifPlugin(ctx context.Context, s *vql.Scope, a ifArgs, emit func(any) bool) error {
	for row := range s.Iterate(ctx, a.choose(ctx, s)) {
		if !emit(s.RowOf(row)) {
			return nil
		}
	}
	return nil
}

func ifFunction(ctx context.Context, s *vql.Scope, a ifArgs) (any, error) {
	return a.choose(ctx, s), nil
}

type chainArgs struct {
	Async   bool      `vql:"async"`
	Queries *vql.Dict `vql:",rest"`
}

func chain(ctx context.Context, s *vql.Scope, a chainArgs, emit func(any) bool) error {
	if a.Async {
		return combine(ctx, s, combineArgs{Queries: a.Queries}, emit)
	}
	for _, query := range a.Queries.All() {
		for row := range s.Iterate(ctx, query) {
			if !emit(s.RowOf(row)) {
				return nil
			}
		}
	}
	return nil
}

type combineArgs struct {
	Queries *vql.Dict `vql:",rest"`
}

func combine(ctx context.Context, s *vql.Scope, a combineArgs, emit func(any) bool) error {
	if a.Queries.Len() == 0 {
		return nil
	}
	queries := func(yield func(any) bool) {
		for _, query := range a.Queries.All() {
			if !yield(query) {
				return
			}
		}
	}
	return parallel(ctx, min(a.Queries.Len(), maxWorkers), queries, func(ctx context.Context, query any) bool {
		for row := range s.Iterate(ctx, query) {
			if !emit(s.RowOf(row)) {
				return false
			}
		}
		return true
	})
}

func switchPlugin(ctx context.Context, s *vql.Scope, a combineArgs, emit func(any) bool) error {
	for _, query := range a.Queries.All() {
		found := false
		for row := range s.Iterate(ctx, query) {
			found = true
			if !emit(s.RowOf(row)) {
				return nil
			}
		}
		if found {
			return nil
		}
	}
	return nil
}

type rangeArgs struct {
	Start int64 `vql:"start"`
	End   int64 `vql:"end,required"`
	Step  any   `vql:"step"`
}

type valueRow struct {
	Value int64 `vql:"_value"`
}

var errStep = errors.New("step must be a whole number other than 0")

// rangePlugin counts from start up to, not including, end; with a negative step
// down to it.
func rangePlugin(_ context.Context, _ *vql.Scope, a rangeArgs, emit func(*valueRow) bool) error {
	step := int64(1)
	if a.Step != nil {
		n, ok := a.Step.(int64)
		if !ok || n == 0 {
			return errStep
		}
		step = n
	}
	for i := a.Start; (step > 0 && i < a.End) || (step < 0 && i > a.End); {
		if !emit(&valueRow{i}) {
			return nil
		}
		next := i + step
		if (step > 0) != (next > i) { // beyond the end of int64
			return nil
		}
		i = next
	}
	return nil
}

type queryPluginArgs struct {
	Query   vql.Lazy  `vql:"query,required"`
	Env     *vql.Dict `vql:"env"`
	CopyEnv []string  `vql:"copy_env"`
	Timeout float64   `vql:"timeout"` // seconds
	Inherit bool      `vql:"inherit"` // a query sees the caller's variables, a text does not
}

func query(ctx context.Context, s *vql.Scope, a queryPluginArgs, emit func(any) bool) error {
	if a.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(a.Timeout*float64(time.Second)))
		defer cancel()
	}
	env := vql.NewDict()
	for _, name := range a.CopyEnv {
		if v, found := s.Resolve(name); found {
			env.Set(name, v)
		}
	}
	for name, v := range a.Env.All() {
		env.Set(name, v)
	}
	switch q := a.Query.Value(ctx).(type) {
	case string:
		var vars []vql.Var
		for name, v := range env.All() {
			vars = append(vars, vql.Var{Name: name, Value: v})
		}
		return s.Eval(ctx, q, vars, emit)
	case vql.Query:
		for row := range q.Values(ctx, s, env) {
			if !emit(row) {
				return nil
			}
		}
	default:
		return fmt.Errorf("query must be a text or a query, not %s", vql.TypeName(q))
	}
	return nil
}
