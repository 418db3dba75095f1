package vql

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"sync"
	"time"

	"satchel/internal/flow"

	"www.velocidex.com/golang/vfilter/types"
)

// Scope is what a plugin or function sees of the query that calls it: its
// variables, and the run it is part of. It is good until the call returns.
type Scope struct {
	run    *run
	scope  types.Scope
	caller *meta
	site   string
}

// Limits bound what plugins collect. Zero means unlimited.
type Limits struct {
	MaxFileBytes   int64 // of one upload
	MaxUploadBytes int64 // of all uploads of the run
	MaxRows        int64 // of the run
}

// Log writes a message into the log of the run.
func (s *Scope) Log(level flow.Level, format string, args ...any) {
	s.run.log(level, fmt.Sprintf(format, args...))
}

// LogAlways is [Scope.Log] for messages that are wanted each time. Log passes
// equal messages of a run on once and in the end says how often they came.
func (s *Scope) LogAlways(level flow.Level, message string) { s.run.logAlways(level, message) }

// Warn logs an error that does not end the call, and counts it.
func (s *Scope) Warn(err error) {
	if err == nil {
		return
	}
	s.run.warnings.Add(1)
	s.run.log(flow.LevelWarn, s.caller.name+": "+err.Error())
}

// Report tells the outcome of one path or glob that the source was asked for.
// Source and Time are filled in where they are empty.
func (s *Scope) Report(ctx context.Context, r flow.Report) error {
	return s.run.report(ctx, r)
}

// Sink returns where uploads go, nil when nothing takes them.
func (s *Scope) Sink() flow.Sink { return s.run.options.Sink }

// Source returns the Artifact or Artifact/Source that runs, "" for a query.
func (s *Scope) Source() string { return s.run.request.Source }

// Limits returns the bounds of the run.
func (s *Scope) Limits() Limits { return s.run.limits }

// Now returns the time by the clock of the run.
func (s *Scope) Now() time.Time { return s.run.now() }

// Rand returns the randomness of the run. Its methods may be called by several
// goroutines at once.
func (s *Scope) Rand() *rand.Rand { return s.run.random }

// Resolve returns the value of a variable, nil for NULL, and whether it exists.
func (s *Scope) Resolve(name string) (any, bool) {
	v, found := s.scope.Resolve(name)
	return fromEngine(v), found
}

// Member returns the member of a value: a dictionary's key, a struct's column,
// a list's index.
func (s *Scope) Member(v, key any) (any, bool) {
	m, found := s.scope.Associative(toEngine(v), toEngine(key))
	return fromEngine(m), found
}

// Members returns the names of the members of a value.
func (s *Scope) Members(v any) []string { return s.scope.GetMembers(toEngine(v)) }

// Truth says whether a value counts as true.
func (s *Scope) Truth(v any) bool { return s.scope.Bool(toEngine(v)) }

// Equal says whether VQL finds the values equal.
func (s *Scope) Equal(a, b any) bool { return s.scope.Eq(toEngine(a), toEngine(b)) }

// Less says whether VQL finds a less than b.
func (s *Scope) Less(a, b any) bool { return s.scope.Lt(toEngine(a), toEngine(b)) }

// Add returns what a + b is in VQL.
func (s *Scope) Add(a, b any) any { return fromEngine(s.scope.Add(toEngine(a), toEngine(b))) }

// Match says whether the text, or one of the texts of a list, matches the
// regular expression, without regard to case.
func (s *Scope) Match(pattern string, v any) bool { return s.scope.Match(pattern, toEngine(v)) }

// Text returns a value as VQL prints it.
func (s *Scope) Text(v any) string { return toText(v) }

// Accessor returns the accessor of that name, the run's default for "".
func (s *Scope) Accessor(ctx context.Context, name string) (Accessor, error) {
	return s.run.accessor(ctx, s, name)
}

// Granted says whether the run has that permission.
func (s *Scope) Granted(permission string) bool { return s.run.granted(permission) }

// OnEnd has f called when the run has ended, last first.
func (s *Scope) OnEnd(f func()) { s.run.onEnd(f) }

// Shared returns the value that the run keeps under the key, made by create
// when it is first asked for. A value that is an [io.Closer] is closed at the
// end of the run. Keys are namespaced by type: use a type of your own.
func (s *Scope) Shared(key any, create func() any) any {
	v, made := s.run.shared(key, create)
	if c, ok := v.(io.Closer); ok && made {
		s.run.onEnd(func() { _ = c.Close() })
	}
	return v
}

// Site tells the places of a query that call functions apart: the same for
// each call from one place of one run, else different. It is "" in a plugin.
func (s *Scope) Site() string { return s.site }

// HasPlugin says whether queries can use a plugin of that name.
func (s *Scope) HasPlugin(name string) bool {
	_, found := s.run.set.plugins[name]
	return found
}

// HasFunction says whether queries can use a function of that name.
func (s *Scope) HasFunction(name string) bool {
	_, found := s.run.set.functions[name]
	return found
}

// maxRegexps bounds how many compiled regular expressions a run keeps.
const maxRegexps = 1000

type regexps struct {
	mu       sync.Mutex
	compiled map[string]*regexp.Regexp
}

// Regexp compiles a regular expression that does not regard case, as VQL's
// do, and keeps it for the run.
func (s *Scope) Regexp(pattern string) (*regexp.Regexp, error) {
	r := &s.run.regexps
	r.mu.Lock()
	defer r.mu.Unlock()
	if re, found := r.compiled[pattern]; found {
		return re, nil
	}
	if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		return nil, fmt.Errorf("compile regular expression: %w", err)
	}
	re, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return nil, fmt.Errorf("compile regular expression: %w", err)
	}
	if r.compiled == nil || len(r.compiled) >= maxRegexps {
		r.compiled = make(map[string]*regexp.Regexp)
	}
	r.compiled[pattern] = re
	return re, nil
}

// RunContext returns a context that ends with the run. It is for what is kept
// beyond the call that made it, such as values of [Scope.Shared].
func (s *Scope) RunContext() context.Context { return s.run.ctx }
