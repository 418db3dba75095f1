package vql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"satchel/artifacts"
	"satchel/internal/flow"

	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// AllPermissions in [Options.Permissions] grants every permission.
const AllPermissions = "*"

// ErrTimeout ends a run whose time is over.
var ErrTimeout = errors.New("the time of the query is over")

// Var is a variable of a query.
type Var struct {
	Name  string
	Value any
}

// Options are what all runs of a [Runner] have in common. The zero Options
// give the real clock, real randomness, no log and no permission.
type Options struct {
	Clock           func() time.Time
	Rand            rand.Source        // used under a lock
	Log             func(flow.LogLine) // may be called by several goroutines at once
	Report          func(context.Context, flow.Report) error
	Artifacts       *artifacts.Repository // for Artifact.X(), nil if there are none
	Sink            flow.Sink             // for uploads and reports, nil for `collect query`
	Env             []Var                 // variables of every run
	Permissions     []string              // such as "EXECVE", or AllPermissions
	Throttle        Throttle              // nil for none
	DefaultAccessor string                // "auto" if the set has it, else "file"
	Timeout         time.Duration         // of each run, 0 for none
	Limits          Limits
}

// Request is one text of VQL to run.
type Request struct {
	Text     string   // statements
	Preamble []string // texts whose statements run before, in the same scope
	Source   string   // Artifact or Artifact/Source that the rows belong to
	Env      []Var    // variables, over those of the Options
	Timeout  time.Duration
	MaxRows  int64    // the run ends after so many rows; 0 for no limit
	Throttle Throttle // beside that of the Options

	// OnStatement is called when a statement begins, before its rows.
	OnStatement func(Statement)
}

// Statement is one statement of a text.
type Statement struct {
	Index int    // from 0, counted over Text alone
	Kind  string // SELECT, EXPLAIN or LET
	Text  string // as the parser prints it
}

// Stats tells how a run went.
type Stats struct {
	Statements int
	Rows       int64
	Scanned    int64 // rows that plugins emitted
	Calls      int64 // of plugins
	Warnings   int64 // errors that did not end a call
	Started    time.Time
	Duration   time.Duration
	Errors     []QueryError // in the order in which they came, at most 1000
	Dropped    int64        // further errors
	Limited    bool         // MaxRows ended it
}

// Err joins the errors, nil if there are none.
func (s Stats) Err() error {
	all := make([]error, len(s.Errors))
	for i := range s.Errors {
		all[i] = &s.Errors[i]
	}
	return errors.Join(all...)
}

// ErrorKind says what kind of thing a [QueryError] is about.
type ErrorKind string

// The kinds of errors.
const (
	KindPlugin     ErrorKind = "plugin"     // a plugin failed
	KindFunction   ErrorKind = "function"   // a function failed
	KindArgument   ErrorKind = "argument"   // a call with bad arguments
	KindPermission ErrorKind = "permission" // a permission is not granted
	KindUnknown    ErrorKind = "unknown"    // there is no such plugin, function or artifact
	KindSymbol     ErrorKind = "symbol"     // there is no such variable or column
	KindPanic      ErrorKind = "panic"      // a defect in a plugin or function
	KindParse      ErrorKind = "parse"      // the text is not VQL
	KindEngine     ErrorKind = "engine"     // other errors of the evaluator
)

// QueryError is an error of one statement. Others go on.
type QueryError struct {
	Kind      ErrorKind
	Name      string // of the plugin, function or symbol
	Statement int    // -1 in the preamble
	Count     int64  // how often it happened
	Err       error
}

func (e *QueryError) Error() string {
	if e.Name == "" {
		return e.Err.Error()
	}
	return e.Name + ": " + e.Err.Error()
}

func (e *QueryError) Unwrap() error { return e.Err }

// ParseError is an error of the text: nothing was run.
type ParseError struct {
	Err error
}

func (e *ParseError) Error() string { return "parse VQL: " + e.Err.Error() }

func (e *ParseError) Unwrap() error { return e.Err }

// Runner runs queries with a set of plugins. It may be used by several
// goroutines at once.
type Runner struct {
	set     *Set
	options Options
}

// NewRunner returns a runner.
func NewRunner(set *Set, o Options) *Runner {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.DefaultAccessor == "" {
		o.DefaultAccessor = "file"
		if _, found := set.accessors["auto"]; found {
			o.DefaultAccessor = "auto"
		}
	}
	return &Runner{set: set, options: o}
}

// Run runs the statements of the request in order and gives their rows to the
// callback, from one goroutine. A row and its values are good until the
// callback returns; an error of it ends the run.
//
// The error is a [*ParseError], [ErrTimeout], the context's, or the
// callback's. Errors of plugins and functions are in the Stats alone.
func (r *Runner) Run(ctx context.Context, q Request, rows func(Row) error) (Stats, error) {
	started := r.options.Clock()
	statements, preamble, err := parseRequest(q)
	if err != nil {
		return Stats{Started: started}, err
	}
	if timeout := cmpTimeout(q.Timeout, r.options.Timeout); timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, ErrTimeout)
		defer cancel()
	}
	run := newRun(ctx, r, q)
	run.stats.Started = started
	err = run.statements(preamble, statements, rows)
	run.close()
	run.stats.Duration = r.options.Clock().Sub(started)
	return run.stats, err
}

func cmpTimeout(a, b time.Duration) time.Duration {
	if a > 0 && (b <= 0 || a < b) {
		return a
	}
	return b
}

func parseRequest(q Request) (statements, preamble []*vfilter.VQL, err error) {
	for _, text := range q.Preamble {
		more, err := vfilter.MultiParse(text)
		if err != nil {
			return nil, nil, &ParseError{fmt.Errorf("preamble: %w", err)}
		}
		preamble = append(preamble, more...)
	}
	statements, err = vfilter.MultiParse(q.Text)
	if err != nil {
		return nil, nil, &ParseError{err}
	}
	return statements, preamble, nil
}

// Holds runs a precondition and says whether it gives a row. The rules are
// those of artifacts: no text holds.
func (r *Runner) Holds(ctx context.Context, precondition string, env []Var) (bool, error) {
	if precondition == "" {
		return true, nil
	}
	holds := false
	stats, err := r.Run(ctx, Request{Text: precondition, Env: env}, func(Row) error {
		holds = true
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return false, err
	}
	if !holds {
		return false, stats.Err()
	}
	return true, nil
}

var errEnough = errors.New("enough rows")

// run is the state of one Run.
type run struct {
	*Runner
	request Request
	limits  Limits
	ctx     context.Context // marked as the run's; ends with it
	cancel  context.CancelCauseFunc
	scope   types.Scope
	random  *rand.Rand
	grants  map[string]bool

	statement atomic.Int64
	warnings  atomic.Int64
	calls     atomic.Int64
	scanned   atomic.Int64
	workers   sync.WaitGroup

	mu        sync.Mutex
	stats     Stats
	ends      []func()
	values    map[any]any
	accessors map[string]Accessor
}

func newRun(ctx context.Context, r *Runner, q Request) *run {
	run := &run{Runner: r, request: q, limits: r.options.Limits, values: map[any]any{}, accessors: map[string]Accessor{}, grants: map[string]bool{}}
	if q.MaxRows > 0 {
		run.limits.MaxRows = q.MaxRows
	}
	for _, p := range r.options.Permissions {
		run.grants[p] = true
	}
	source := r.options.Rand
	if source == nil {
		source = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	run.random = rand.New(&lockedSource{source: source})
	ctx, run.cancel = context.WithCancelCause(ctx)
	run.ctx = context.WithValue(ctx, runKey{}, run)
	run.scope = run.newScope()
	return run
}

type runKey struct{}

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

func (r *run) log(level flow.Level, message string) {
	if r.options.Log != nil {
		r.options.Log(flow.LogLine{Time: r.now(), Level: level, Source: r.request.Source, Message: message})
	}
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

func (r *run) fail(kind ErrorKind, name string, err error) {
	statement := int(r.statement.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.stats.Errors {
		e := &r.stats.Errors[i]
		if e.Kind == kind && e.Name == name && e.Statement == statement && e.Err.Error() == err.Error() {
			e.Count++
			return
		}
	}
	if len(r.stats.Errors) >= 1000 {
		r.stats.Dropped++
		return
	}
	r.stats.Errors = append(r.stats.Errors, QueryError{Kind: kind, Name: name, Statement: statement, Count: 1, Err: err})
	e := r.stats.Errors[len(r.stats.Errors)-1]
	r.log(flow.LevelError, e.Error())
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
	a, err := def.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("accessor %s: %w", name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, found := r.accessors[name]; found {
		return other, nil
	}
	r.accessors[name] = a
	return a, nil
}

func (r *run) statements(preamble, statements []*vfilter.VQL, rows func(Row) error) error {
	r.statement.Store(-1)
	for _, s := range preamble {
		if err := r.one(s, func(Row) error { return nil }); err != nil {
			return err
		}
	}
	for i, s := range statements {
		r.statement.Store(int64(i))
		r.stats.Statements++
		if r.request.OnStatement != nil {
			r.request.OnStatement(Statement{Index: i, Kind: statementKind(s), Text: vfilter.FormatToString(r.scope, s)})
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

func (r *run) one(s *vfilter.VQL, rows func(Row) error) error {
	ctx, cancel := context.WithCancel(r.ctx)
	out := s.Eval(ctx, r.scope)
	defer func() {
		cancel()
		for range out {
		}
	}()
	var shape shaper
	for v := range out {
		if r.limits.MaxRows > 0 && r.stats.Rows >= r.limits.MaxRows {
			r.stats.Limited = true
			return nil
		}
		r.stats.Rows++
		if err := rows(shape.row(ctx, r.scope, v)); err != nil {
			return err
		}
	}
	if err := r.ctx.Err(); err != nil {
		return context.Cause(r.ctx)
	}
	return nil
}

func (r *run) close() {
	r.cancel(nil)
	r.workers.Wait()
	r.scope.Close()
	for i := len(r.ends) - 1; i >= 0; i-- {
		r.ends[i]()
	}
	r.stats.Warnings = r.warnings.Load()
	r.stats.Calls = r.calls.Load()
	r.stats.Scanned = r.scanned.Load()
}
