package vql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"satchel/artifacts"
	"satchel/internal/flow"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// maxArtifactDepth bounds how deep artifacts call each other.
const maxArtifactDepth = 10

// artifactName is the variable Artifact, and with each member a longer name.
// Called as a plugin it runs the artifact of that name.
type artifactName struct {
	run  *run
	name string
}

var (
	_ types.LazyRow                  = (*artifactName)(nil)
	_ types.PluginGeneratorInterface = (*artifactName)(nil)
)

func (a *artifactName) Get(name string) (types.Any, bool) {
	if a.name != "" {
		name = a.name + "." + name
	}
	return &artifactName{run: a.run, name: name}, true
}

func (a *artifactName) Has(string) bool { return true }

func (a *artifactName) Columns() []string { return nil }

// AddColumn is part of the evaluator's interface and does nothing.
func (a *artifactName) AddColumn(string, func(context.Context, types.Scope) types.Any) types.LazyRow {
	return a
}

// Info is part of the evaluator's interface.
func (a *artifactName) Info(types.Scope, *types.TypeMap) *types.PluginInfo {
	return &types.PluginInfo{Name: "Artifact." + a.name, FreeFormArgs: true}
}

// Call runs the artifact as a plugin.
func (a *artifactName) Call(ctx context.Context, scope types.Scope, args *ordereddict.Dict) <-chan types.Row {
	p := NewValuesPlugin("Artifact."+a.name, func(ctx context.Context, s *Scope, in artifactArgs, emit func(any) bool) error {
		return a.collect(ctx, s, in, emit)
	}, FreeArgs())
	return (&pluginCall{plugin: p.plugin, run: a.run}).Call(ctx, scope, args)
}

type artifactArgs struct {
	Source        string `vql:"source"`
	Preconditions bool   `vql:"preconditions"`
	Parameters    *Dict  `vql:",rest"`
}

type artifactDepth struct{}

func (a *artifactName) collect(ctx context.Context, s *Scope, in artifactArgs, emit func(any) bool) error {
	depth, _ := ctx.Value(artifactDepth{}).(int)
	if depth >= maxArtifactDepth {
		return fmt.Errorf("artifacts call each other more than %d deep", maxArtifactDepth)
	}
	ctx = context.WithValue(ctx, artifactDepth{}, depth+1)
	params, values, err := a.parameters(s, in.Parameters)
	if err != nil {
		return err
	}
	compiled, err := a.run.options.Artifacts.Compile(a.name, params)
	switch {
	case errors.Is(err, artifacts.ErrNotFound):
		return kinded{KindUnknown, err}
	case errors.Is(err, artifacts.ErrParameter):
		return kinded{KindArgument, err}
	case err != nil:
		return err
	}
	sources, err := pickSources(compiled, in.Source)
	if err != nil {
		return kinded{KindArgument, err}
	}
	for _, source := range sources {
		if in.Preconditions {
			if holds, err := a.holds(ctx, compiled, source, values); err != nil || !holds {
				if err != nil {
					return err
				}
				continue
			}
		}
		if more, err := a.source(ctx, compiled, source, values, emit); err != nil || !more {
			return err
		}
	}
	return nil
}

// parameters divides the arguments into texts, which the artifact converts as
// it declares, and values that it sees as they are.
func (a *artifactName) parameters(s *Scope, in *Dict) (texts []flow.Param, values []Var, err error) {
	for name, v := range in.All() {
		switch t := v.(type) {
		case string:
			texts = append(texts, flow.Param{Key: name, Value: t})
		case bool:
			texts = append(texts, flow.Param{Key: name, Value: map[bool]string{true: "Y", false: "N"}[t]})
		default:
			texts = append(texts, flow.Param{Key: name})
			values = append(values, Var{Name: name, Value: v})
		}
	}
	return texts, values, nil
}

func pickSources(c *artifacts.Compiled, name string) ([]artifacts.CompiledSource, error) {
	if name == "" {
		return c.Sources, nil
	}
	var names []string
	for _, s := range c.Sources {
		if s.Name == name {
			return []artifacts.CompiledSource{s}, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("%s has no source %s, its sources are %s", c.Artifact.Name, name, strings.Join(names, ", "))
}

// isolated returns a scope that sees the artifact's parameters and nothing of
// the caller.
func (a *artifactName) isolated(c *artifacts.Compiled, values []Var) types.Scope {
	scope := a.run.newScope(nil)
	vars := ordereddict.NewDict()
	for _, p := range c.Env {
		vars.Set(p.Key, p.Value)
	}
	for _, v := range values {
		vars.Set(v.Name, toEngine(v.Value))
	}
	return scope.AppendVars(vars)
}

// conversions leaves out those of parameters that were given as values.
func conversions(c *artifacts.Compiled, values []Var) []string {
	var out []string
	for _, conversion := range c.Conversions {
		if !slices.ContainsFunc(values, func(v Var) bool { return v.Name == conversion.Name }) {
			out = append(out, conversion.VQL)
		}
	}
	return out
}

func (a *artifactName) holds(ctx context.Context, c *artifacts.Compiled, source artifacts.CompiledSource, values []Var) (bool, error) {
	text := source.Precondition
	if c.Artifact.Precondition != "" {
		text = c.Artifact.Precondition
	}
	if strings.TrimSpace(text) == "" {
		return true, nil
	}
	scope := a.isolated(c, values)
	defer scope.Close()
	holds := false
	err := a.run.evaluate(ctx, scope, append(conversions(c, values), text), func(any) bool {
		holds = true
		return false
	})
	return holds, err
}

func (a *artifactName) source(ctx context.Context, c *artifacts.Compiled, source artifacts.CompiledSource, values []Var, emit func(any) bool) (more bool, err error) {
	scope := a.isolated(c, values)
	defer scope.Close()
	texts := slices.Concat(conversions(c, values), c.Exports, source.Lets, []string{source.Query})
	more = true
	err = a.run.evaluate(ctx, scope, texts, func(v any) bool {
		if d, ok := v.(*ordereddict.Dict); ok {
			d.Set("_Source", source.FullName)
		}
		more = emit(v)
		return more
	})
	return more, err
}

// evaluate runs the statements of the texts in the scope and gives their rows.
func (r *run) evaluate(ctx context.Context, scope types.Scope, texts []string, emit func(any) bool) error {
	for _, text := range texts {
		statements, err := r.parsing.take(r, text)
		if err != nil {
			return kinded{KindParse, err}
		}
		for _, s := range statements {
			if !evaluateOne(ctx, scope, s, emit) {
				return nil
			}
		}
		r.parsing.giveBack(text, statements)
	}
	return nil
}

// evaluateOne runs a statement and says whether it ran to its end.
func evaluateOne(ctx context.Context, scope types.Scope, s *vfilter.VQL, emit func(any) bool) (ended bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var rows <-chan types.Row
	if s.Query == nil {
		rows = s.Eval(ctx, scope)
	} else {
		inner := scope.Copy()
		defer inner.Close()
		rows = s.Query.Eval(ctx, inner)
	}
	for v := range rows {
		if !emit(v) {
			cancel()
			for range rows {
			}
			return false
		}
	}
	return ctx.Err() == nil
}

// maxParsed bounds how many texts a run keeps parsed.
const maxParsed = 1000

// parsing keeps parsed texts, so that an artifact that is called for each row
// is not parsed for each. Whoever takes one has it alone.
type parsing struct {
	mu   sync.Mutex
	idle map[string][][]*vfilter.VQL
}

func (p *parsing) take(r *run, text string) ([]*vfilter.VQL, error) {
	p.mu.Lock()
	if list := p.idle[text]; len(list) > 0 {
		statements := list[len(list)-1]
		p.idle[text] = list[:len(list)-1]
		p.mu.Unlock()
		return statements, nil
	}
	p.mu.Unlock()
	statements, err := parse(text)
	if err == nil {
		r.knowCalls(text)
	}
	return statements, err
}

func (p *parsing) giveBack(text string, statements []*vfilter.VQL) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle == nil || len(p.idle) >= maxParsed {
		p.idle = make(map[string][][]*vfilter.VQL)
	}
	p.idle[text] = append(p.idle[text], statements)
}

// kinded is an error of a plugin with a kind of its own.
type kinded struct {
	kind ErrorKind
	error
}

func (k kinded) Unwrap() error { return k.error }
