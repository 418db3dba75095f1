package vql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"satchel/internal/flow"

	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// maxErrors bounds how many different errors a run keeps.
const maxErrors = 1000

// run is the state of one Run.
type run struct {
	*Runner
	request  Request
	limits   Limits
	parsed   []*vfilter.VQL
	preamble []*vfilter.VQL
	ctx      context.Context // ends with the run
	cancel   context.CancelCauseFunc
	scope    types.Scope
	random   *rand.Rand
	throttle Throttle
	grants   map[string]bool
	messages messages
	regexps  regexps

	statement atomic.Int64
	warnings  atomic.Int64
	calls     atomic.Int64
	scanned   atomic.Int64
	workers   workers
	places    places
	parsing   parsing

	mu        sync.Mutex
	texts     map[string]bool // that were parsed
	unseen    []string        // texts whose calls are not in called yet
	called    map[string]bool // functions that the statements call
	stats     Stats
	errors    map[errorKey]int // index in stats.Errors
	ends      []func()
	values    map[any]any
	accessors map[string]Accessor
}

type runKey struct{}

func newRun(ctx context.Context, r *Runner, q Request, statements, preamble []*vfilter.VQL) *run {
	run := &run{
		Runner: r, request: q, limits: r.options.Limits, parsed: statements, preamble: preamble,
		values: map[any]any{}, accessors: map[string]Accessor{}, errors: map[errorKey]int{}, texts: map[string]bool{}, grants: map[string]bool{},
		throttle: Throttles(r.options.Throttle, q.Throttle),
	}
	if q.MaxRows > 0 {
		run.limits.MaxRows = q.MaxRows
	}
	for _, p := range r.options.Permissions {
		run.grants[p] = true
	}
	run.random = rand.New(r.random)
	ctx, run.cancel = context.WithCancelCause(ctx)
	run.ctx = context.WithValue(ctx, runKey{}, run)
	run.scope = run.newScope(q.Env)
	run.knowCalls(q.Preamble...)
	run.knowCalls(q.Text)
	return run
}

// lockedSource makes a source of randomness safe for several goroutines.
type lockedSource struct {
	mu     sync.Mutex
	source rand.Source
}

func (l *lockedSource) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.source.Uint64()
}

// context returns ctx as one that ends with the run as well. The evaluator
// calls some things without the context of the query.
func (r *run) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Value(runKey{}) != nil {
		return context.WithCancel(ctx)
	}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, runKey{}, r))
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// eval runs a query in a child of the scope. Breaking out of the loop ends it.
func (r *run) eval(ctx context.Context, scope types.Scope, q types.StoredQuery, vars ...any) func(func(types.Row) bool) {
	return func(yield func(types.Row) bool) {
		ctx, cancel := r.context(ctx)
		inner := scope.Copy()
		for _, v := range vars {
			inner.AppendVars(toEngine(v))
		}
		rows := q.Eval(ctx, inner)
		defer func() {
			cancel()
			for range rows {
			}
			inner.Close()
		}()
		for row := range rows {
			if !yield(row) {
				return
			}
		}
	}
}

func (r *run) now() time.Time { return r.options.Clock() }

func (r *run) granted(permission string) bool {
	return r.grants[AllPermissions] || r.grants[permission]
}

func (r *run) onEnd(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, f)
}

func (r *run) shared(key any, create func() any) (v any, made bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, found := r.values[key]
	if !found {
		v = create()
		r.values[key] = v
	}
	return v, !found
}

func (r *run) report(ctx context.Context, rep flow.Report) error {
	if rep.Source == "" {
		rep.Source = r.request.Source
	}
	if rep.Time.IsZero() {
		rep.Time = r.now()
	}
	if r.options.Report != nil {
		return r.options.Report(ctx, rep)
	}
	if r.options.Sink != nil {
		return r.options.Sink.Report(ctx, rep)
	}
	return nil
}

// fail keeps an error of the current statement, equal ones once.
func (r *run) fail(kind ErrorKind, name string, err error) {
	var k kinded
	if errors.As(err, &k) {
		kind, err = k.kind, k.error
	}
	e := QueryError{Kind: kind, Name: name, Statement: int(r.statement.Load()), Count: 1, Err: err}
	if r.keep(e) {
		r.log(flow.LevelError, e.Error())
	}
}

func (r *run) keep(e QueryError) (isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := errorKey{e.Kind, e.Name, e.Statement, e.Err.Error()}
	if i, found := r.errors[key]; found {
		r.stats.Errors[i].Count++
		return false
	}
	if len(r.stats.Errors) >= maxErrors {
		r.stats.Dropped++
		return false
	}
	r.errors[key] = len(r.stats.Errors)
	r.stats.Errors = append(r.stats.Errors, e)
	return true
}

// errorKey tells errors apart.
type errorKey struct {
	kind      ErrorKind
	name      string
	statement int
	message   string
}

func (r *run) accessor(ctx context.Context, s *Scope, name string) (Accessor, error) {
	if name == "" {
		name = r.options.DefaultAccessor
	}
	r.mu.Lock()
	a, found := r.accessors[name]
	r.mu.Unlock()
	if found {
		return a, nil
	}
	def, found := r.set.accessors[name]
	if !found {
		return nil, fmt.Errorf("there is no accessor %s%s", name, didYouMean(name, r.set.Accessors()))
	}
	if err := r.permitted(&def.meta); err != nil {
		return nil, fmt.Errorf("accessor %s: %w", name, err)
	}
	a, err := def.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("accessor %s: %w", name, err)
	}
	if def.impure {
		return a, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, found := r.accessors[name]; found {
		return other, nil
	}
	r.accessors[name] = a
	return a, nil
}

// all runs the preamble and the statements.
func (r *run) all(rows func(Row) error) error {
	r.statement.Store(-1)
	for _, s := range r.preamble {
		if err := r.one(s, nil); err != nil {
			return err
		}
	}
	for i, s := range r.parsed {
		r.statement.Store(int64(i))
		r.stats.Statements++
		if r.request.OnStatement != nil {
			r.request.OnStatement(Statement{Index: i, Kind: statementKind(s), Text: statementText(s)})
		}
		if err := r.one(s, rows); err != nil {
			return err
		}
	}
	return nil
}

func statementKind(s *vfilter.VQL) string {
	switch k := s.Type(); k {
	case "LAZY_LET", "MATERIALIZED_LET":
		return "LET"
	default:
		return k
	}
}

func statementText(s *vfilter.VQL) string {
	text := vfilter.FormatToString(vfilter.NewScope(), s)
	if rest, twice := strings.CutPrefix(text, "EXPLAIN EXPLAIN "); twice {
		return "EXPLAIN " + rest
	}
	return text
}

// one runs a statement. rows is nil in the preamble, whose rows nobody wants.
func (r *run) one(s *vfilter.VQL, rows func(Row) error) error {
	if statementKind(s) == "EXPLAIN" {
		return r.explain(s, rows)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	out := s.Eval(ctx, r.scope)
	defer func() {
		cancel()
		for range out {
		}
	}()
	var shape shaper
	for v := range out {
		if rows == nil {
			continue
		}
		more, err := r.deliver(shape.row(r.scope, v), rows)
		if err != nil || !more {
			return err
		}
	}
	return r.ended()
}

// deliver gives one row to the callback, unless there were enough.
func (r *run) deliver(row Row, rows func(Row) error) (more bool, err error) {
	if r.limits.MaxRows > 0 && r.stats.Rows >= r.limits.MaxRows {
		r.stats.Limited = true
		return false, nil
	}
	r.stats.Rows++
	return true, rows(row)
}

func (r *run) ended() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return nil
}

func (r *run) close() {
	r.cancel(errors.New("the query has ended"))
	for _, name := range r.wait() {
		r.fail(KindAbandoned, name, fmt.Errorf("did not end within %s of the query and was left behind", r.options.Grace))
	}
	r.scope.Close()
	r.mu.Lock()
	ends := slices.Clone(r.ends)
	r.mu.Unlock()
	for _, f := range slices.Backward(ends) {
		f()
	}
	r.messages.mu.Lock()
	repeated := r.messages.take()
	r.messages.mu.Unlock()
	r.logRepeated(repeated)
}

func (r *run) result() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.stats
	stats.Errors = slices.Clone(stats.Errors)
	stats.Warnings = r.warnings.Load()
	stats.Calls = r.calls.Load()
	stats.Scanned = r.scanned.Load()
	return stats
}
