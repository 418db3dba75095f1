package collector

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"satchel/internal/flow"
	"satchel/vql"
)

// How much an item may say.
const (
	maxLogs    = 100_000 // log lines of one item; more are counted
	maxTargets = 10_000  // targets whose reports are held back to be merged
	maxSeen    = 2 << 20 // targets of which is remembered that they were reported
)

// guard stands between an item and the sink. It counts, holds the limits,
// sees to it that a target is reported once, and lets nothing through once it
// is sealed.
type guard struct {
	source   string
	sink     flow.Sink
	totals   *totals
	throttle vql.Throttle
	maxFile  int64 // of one upload, 0: no limit
	maxAll   int64 // of all uploads of the collection
	maxItem  int64 // of all uploads of the item
	failed   func(error)
	own      func(flow.Upload) bool

	mu      sync.Mutex
	sealed  bool
	open    map[*upload]struct{}
	rows    int64
	uploads int64
	bytes   int64
	logs    int64
	silent  int64  // log lines beyond maxLogs
	over    string // the limit that stopped uploads, empty if none did
	large   int64  // files beyond the limit of one file
	first   string // what was said of the first of them
	sinkErr error

	targets  map[string]*flow.Report
	order    []string
	seen     map[uint64]struct{}
	seed     maphash.Seed
	outcomes map[flow.Outcome]int
}

var _ flow.Sink = (*guard)(nil)

var errSealed = errors.New("the item has ended")

func newGuard(source string, sink flow.Sink, t *totals, o Options, maxItem int64, failed func(error)) *guard {
	return &guard{
		source: source, sink: sink, totals: t, throttle: o.Throttle, maxFile: o.MaxFileBytes, maxAll: o.MaxUploadBytes,
		maxItem: maxItem, failed: failed, own: o.Own, open: map[*upload]struct{}{}, targets: map[string]*flow.Report{},
		seen: map[uint64]struct{}{}, seed: maphash.MakeSeed(), outcomes: map[flow.Outcome]int{},
	}
}

// WriteRows passes rows on under the name of the item.
func (g *guard) WriteRows(ctx context.Context, _ string, b flow.RowBatch) error {
	if g.isSealed() {
		return errSealed
	}
	if err := g.sink.WriteRows(ctx, g.source, b); err != nil {
		var refused *flow.OutcomeError
		if errors.As(err, &refused) {
			return fmt.Errorf("write rows: %w", err) // of these rows alone
		}
		return g.broken(ctx, fmt.Errorf("write rows: %w", err))
	}
	g.mu.Lock()
	g.rows += int64(b.Rows)
	g.mu.Unlock()
	g.totals.add(int64(b.Rows), int64(len(b.JSONL)), 0, 0)
	return nil
}

// Log passes a line on, up to a number.
func (g *guard) Log(ctx context.Context, l flow.LogLine) error {
	g.mu.Lock()
	if g.sealed {
		g.mu.Unlock()
		return errSealed
	}
	if g.logs >= maxLogs {
		g.silent++
		g.mu.Unlock()
		return nil
	}
	g.logs++
	g.mu.Unlock()
	if l.Source == "" {
		l.Source = g.source
	}
	ctx = context.WithoutCancel(ctx)
	if err := g.sink.Log(ctx, l); err != nil {
		return g.broken(ctx, fmt.Errorf("write a log line: %w", err))
	}
	g.totals.add(0, 0, 0, 1)
	return nil
}

// Report holds the outcome of a target back until the item ends, so that a
// target that is reported again, by a second call of a plugin, has one outcome
// all the same: the worst.
func (g *guard) Report(ctx context.Context, r flow.Report) error {
	g.mu.Lock()
	if g.sealed {
		g.mu.Unlock()
		return errSealed
	}
	r.Source = g.source
	if r.Target == "" {
		g.mu.Unlock()
		return nil // the item's own outcome is for the collector to tell
	}
	if _, reported := g.seen[maphash.String(g.seed, r.Target)]; reported {
		g.mu.Unlock()
		return nil
	}
	if old, found := g.targets[r.Target]; found {
		merge(old, r)
		g.mu.Unlock()
		return nil
	}
	g.targets[r.Target] = &r
	g.order = append(g.order, r.Target)
	full := len(g.order) >= maxTargets
	g.mu.Unlock()
	if full {
		return g.release(ctx)
	}
	return nil
}

// merge adds a second report of a target to the first.
func merge(into *flow.Report, r flow.Report) {
	if severity(r.Outcome) > severity(into.Outcome) {
		into.Outcome, into.Detail = r.Outcome, r.Detail
	}
	into.Time = r.Time
	into.Rows += r.Rows
	into.Uploads += r.Uploads
	into.Bytes += r.Bytes
	into.Logs += r.Logs
	into.Duration += r.Duration
}

// severity orders outcomes: nothing found, found, found in part, failed.
func severity(o flow.Outcome) int {
	switch o {
	case flow.NotApplicable:
		return 0
	case flow.Missing, flow.Empty:
		return 1
	case flow.Vanished:
		return 2
	case flow.Duplicate:
		return 3
	case flow.Collected:
		return 4
	case flow.NotRun:
		return 5
	case flow.Partial, flow.Changed:
		return 6
	}
	return 7
}

// release writes the reports that are held back.
func (g *guard) release(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	g.mu.Lock()
	order, targets := g.order, g.targets
	g.order, g.targets = nil, map[string]*flow.Report{}
	for _, name := range order {
		if len(g.seen) < maxSeen {
			g.seen[maphash.String(g.seed, name)] = struct{}{}
		}
		g.outcomes[targets[name].Outcome]++
	}
	g.mu.Unlock()
	for _, name := range order {
		if err := g.sink.Report(ctx, *targets[name]); err != nil {
			return g.broken(ctx, fmt.Errorf("write a report: %w", err))
		}
		g.totals.target(targets[name].Outcome)
	}
	return nil
}

// seal lets nothing through from now on and ends open uploads as partial.
func (g *guard) seal(cause error) {
	g.mu.Lock()
	g.sealed = true
	open := g.open
	g.open = map[*upload]struct{}{}
	g.mu.Unlock()
	for u := range open {
		u.end(cause)
	}
}

func (g *guard) isSealed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sealed
}

// broken notes an error of the sink, unless it is only that ctx ended.
func (g *guard) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	g.mu.Lock()
	if g.sinkErr == nil {
		g.sinkErr = err
	}
	g.mu.Unlock()
	g.failed(err)
	return err
}

// overLimit notes that uploads have reached a limit.
func (g *guard) overLimit(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	g.mu.Lock()
	if g.over == "" {
		g.over = err.Error()
	}
	g.mu.Unlock()
	return &flow.OutcomeError{Outcome: flow.OverLimit, Err: err}
}

func (g *guard) tooLarge(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	g.mu.Lock()
	if g.large++; g.large == 1 {
		g.first = err.Error()
	}
	g.mu.Unlock()
	return &flow.OutcomeError{Outcome: flow.OverLimit, Err: err}
}

// take counts uploaded bytes against the limits.
func (g *guard) take(n int64) error {
	g.mu.Lock()
	over := g.maxItem > 0 && g.bytes > g.maxItem-n
	if !over {
		g.bytes += n
	}
	g.mu.Unlock()
	if over {
		return g.overLimit("the artifact may upload %d bytes", g.maxItem)
	}
	if !g.totals.take(n, g.maxAll) {
		return g.overLimit("the collection may upload %d bytes", g.maxAll)
	}
	return nil
}
