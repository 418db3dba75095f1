package vql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"satchel/artifacts"
	"satchel/internal/flow"

	"www.velocidex.com/golang/vfilter"
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
	Grace           time.Duration // how long a plugin may take to end after the query has, default 5 s
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
	Calls []Call // what it calls and names, outer before inner; only by [Parse]
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
	KindAbandoned  ErrorKind = "abandoned"  // a plugin did not end with its query and was left behind
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
	random  rand.Source
	// What the evaluator must have besides the set.
	plugins   []*plugin
	functions []*function
}

// NewRunner returns a runner.
func NewRunner(set *Set, o Options) *Runner {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	if o.DefaultAccessor == "" {
		o.DefaultAccessor = "file"
		if _, found := set.accessors["auto"]; found {
			o.DefaultAccessor = "auto"
		}
	}
	source := o.Rand
	if source == nil {
		source = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	r := &Runner{set: set, options: o, random: &lockedSource{source: source}}
	r.complete()
	return r
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
	run := newRun(ctx, r, q, statements, preamble)
	err = run.all(rows)
	run.close()
	stats := run.result()
	stats.Started, stats.Duration = started, r.options.Clock().Sub(started)
	return stats, err
}

func cmpTimeout(a, b time.Duration) time.Duration {
	if a > 0 && (b <= 0 || a < b) {
		return a
	}
	return b
}

func parseRequest(q Request) (statements, preamble []*vfilter.VQL, err error) {
	for _, text := range q.Preamble {
		more, err := parse(text)
		if err != nil {
			return nil, nil, &ParseError{fmt.Errorf("preamble: %w", err)}
		}
		preamble = append(preamble, more...)
	}
	statements, err = parse(q.Text)
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
