package vql

import (
	"context"
	"reflect"
)

// Option describes a plugin, function or accessor.
type Option func(*meta)

type meta struct {
	name        string
	doc         string
	permissions []string
	impure      bool
	freeArgs    bool
	event       bool
}

func newMeta(name string, options []Option) meta {
	m := meta{name: name}
	for _, o := range options {
		o(&m)
	}
	return m
}

// Name returns the name that queries use.
func (m *meta) Name() string { return m.name }

// Doc gives one sentence for people.
func Doc(text string) Option { return func(m *meta) { m.doc = text } }

// Permission names what the caller must be granted, such as "EXECVE" or
// "FILESYSTEM_WRITE". Several permissions are all needed.
func Permission(names ...string) Option {
	return func(m *meta) { m.permissions = append(m.permissions, names...) }
}

// Impure says that two calls with equal arguments may differ, or that a call
// has an effect, so that the engine calls it exactly as often as it is written.
func Impure() Option { return func(m *meta) { m.impure = true } }

// Volatile is another word for [Impure].
func Volatile() Option { return Impure() }

// FreeArgs accepts arguments that the argument struct does not name. They go
// to its field with the tag `vql:",rest"`, if there is one.
func FreeArgs() Option { return func(m *meta) { m.freeArgs = true } }

// Event marks a plugin that watches something and by itself never ends.
func Event() Option { return func(m *meta) { m.event = true } }

// Registration is a plugin, function or accessor for a [Set].
type Registration interface {
	Name() string
	addTo(s *Set) error
}

// Plugin is a source of rows for FROM.
type Plugin struct {
	*plugin
}

type plugin struct {
	meta
	args  reflect.Type
	row   reflect.Type // nil if the columns are known only at run time
	run   func(ctx context.Context, s *Scope, args any, emit func(any) bool) error
	plans plans
}

func (p *plugin) addTo(s *Set) error { return addNamed(s.plugins, "plugin", p.name, p) }

// NewPlugin makes a plugin. run is given the arguments as a struct A (see the
// package comment for its tags) and emits rows as structs R. When emit answers
// false nobody wants more rows: run returns nil soon. A row belongs to the
// engine once it is emitted. emit may be called by several goroutines, which
// must all have ended when run returns.
//
// An error ends the rows of this call only. It becomes a [QueryError] of the
// run, and so does a panic.
func NewPlugin[A, R any](name string, run func(ctx context.Context, s *Scope, args A, emit func(*R) bool) error, o ...Option) Plugin {
	return Plugin{&plugin{
		meta: newMeta(name, o),
		args: reflect.TypeFor[A](),
		row:  reflect.TypeFor[R](),
		run: func(ctx context.Context, s *Scope, args any, emit func(any) bool) error {
			return run(ctx, s, *args.(*A), func(r *R) bool { return emit(r) })
		},
	}}
}

// NewRowsPlugin is [NewPlugin] for plugins whose columns are known only at run
// time. Rows should share their [Columns].
func NewRowsPlugin[A any](name string, run func(ctx context.Context, s *Scope, args A, emit func(Row) bool) error, o ...Option) Plugin {
	return Plugin{&plugin{
		meta: newMeta(name, o),
		args: reflect.TypeFor[A](),
		run: func(ctx context.Context, s *Scope, args any, emit func(any) bool) error {
			return run(ctx, s, *args.(*A), func(r Row) bool { return emit(r) })
		},
	}}
}

// NewValuesPlugin is [NewPlugin] for plugins that pass on whatever values they
// are given as rows, such as foreach.
func NewValuesPlugin[A any](name string, run func(ctx context.Context, s *Scope, args A, emit func(any) bool) error, o ...Option) Plugin {
	return Plugin{&plugin{
		meta: newMeta(name, o),
		args: reflect.TypeFor[A](),
		run: func(ctx context.Context, s *Scope, args any, emit func(any) bool) error {
			return run(ctx, s, *args.(*A), emit)
		},
	}}
}

// Function is something that an expression calls.
type Function struct {
	*function
}

type function struct {
	meta
	args  reflect.Type
	state reflect.Type // of an aggregate, else nil
	call  func(ctx context.Context, s *Scope, args, state any) (any, error)
	plans plans
}

func (f *function) addTo(s *Set) error { return addNamed(s.functions, "function", f.name, f) }

// NewFunction makes a function. A returned nil is NULL. An error becomes a
// [QueryError] of the run, the value is NULL, and the query goes on.
func NewFunction[A any](name string, call func(ctx context.Context, s *Scope, args A) (any, error), o ...Option) Function {
	return Function{&function{
		meta: newMeta(name, o),
		args: reflect.TypeFor[A](),
		call: func(ctx context.Context, s *Scope, args, _ any) (any, error) {
			return call(ctx, s, *args.(*A))
		},
	}}
}

// NewAggregate makes a function that sees the rows of a group one after the
// other. Each place in a query that calls it has a state of its own in each
// group, which starts as the zero S. What the last call returns is the value
// of the group, also if it comes with an error, which is about one row.
func NewAggregate[A, S any](name string, call func(ctx context.Context, s *Scope, args A, state *S) (any, error), o ...Option) Function {
	return Function{&function{
		meta:  newMeta(name, append(o[:len(o):len(o)], Impure())),
		args:  reflect.TypeFor[A](),
		state: reflect.TypeFor[S](),
		call: func(ctx context.Context, s *Scope, args, state any) (any, error) {
			return call(ctx, s, *args.(*A), state.(*S))
		},
	}}
}
