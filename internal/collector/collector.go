// Package collector runs a plan and gives what it finds to a sink.
//
// [Run] takes the items of an [artifacts.Plan] in their order, most volatile
// first, several at once. Every item ends with exactly one [flow.Report], and so
// does every path or glob that an item reported as a target, whatever happens:
// a precondition that does not hold, an error, a panic, a limit, a timeout, an
// interruption, a plugin that never returns.
//
// Rows are encoded and handed on in batches of at most 256 KiB or a quarter of a
// second. Nothing grows with the amount of evidence but counters.
package collector

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"
)

// The causes that end a collection or an item early.
var (
	// ErrDeadline ends what runs when the collection's promised end is near.
	ErrDeadline = errors.New("the time of the collection is over")
	// ErrSink ends a collection whose sink took no more.
	ErrSink = errors.New("the collection could not be stored")

	errItemTime  = errors.New("the time of the artifact is over")
	errAbandoned = errors.New("it did not stop when it was told to")
)

// Engine runs the queries of items.
type Engine interface {
	// Holds says whether the n-th precondition of the item gives a row.
	Holds(ctx context.Context, item *artifacts.Item, n int) (bool, error)
	// Run runs the query of the item and gives its rows to the callback, from
	// one goroutine. Uploads, target reports and log lines go to the sink.
	Run(ctx context.Context, item *artifacts.Item, to flow.Sink, rows func(vql.Row) error) (vql.Stats, error)
}

// Options tune a collection. The zero value has no limits.
type Options struct {
	Concurrency     int           // items at once; default the number of CPUs, 2 to 4
	Timeout         time.Duration // promised end, the closing of the container included
	ArtifactTimeout time.Duration // of every item, beside the item's own
	MaxUploadBytes  int64         // of all uploads together
	MaxFileBytes    int64         // of one upload; larger files are not taken
	Grace           time.Duration // how long a stopped item may take to end; default 3 s
	BatchBytes      int           // default 256 KiB
	BatchEvery      time.Duration // default 250 ms, of the second within which rows are promised to be safe
	Throttle        vql.Throttle  // waited for before uploaded bytes are passed on
	Now             func() time.Time

	// Own says that an upload would read the collection's own output: such a
	// file grows while it is read. See [OwnFiles].
	Own func(flow.Upload) bool

	// Full says of an error of the sink that a limit was reached and the sink
	// is sound: the items it ends are over_limit, not failed.
	Full func(error) bool

	// Changed is told how the collection stands when an item begins or ends,
	// and four times a second. Calls never overlap.
	Changed func(Progress)
}

// Progress tells how a running collection stands.
type Progress struct {
	Done, Total int
	Running     []string // names of items, oldest first
	Rows        int64
	Uploads     int64
	Bytes       int64
	Ended       *flow.Report // the item that just ended, else nil
}

// Summary tells how a collection went.
type Summary struct {
	Items    []flow.Report        `json:"items"` // one for each planned item, in the order of the plan
	Outcomes map[flow.Outcome]int `json:"outcomes"`
	Targets  map[flow.Outcome]int `json:"targets,omitempty"`
	Rows     int64                `json:"rows"`
	Uploads  int64                `json:"uploads"` // files stored, duplicates not counted
	Bytes    int64                `json:"bytes"`   // of uploads, before compression
	Logs     int64                `json:"logs"`
	Started  time.Time            `json:"started"`
	Duration time.Duration        `json:"duration_ns"`
	Stopped  string               `json:"stopped,omitempty"` // why it ended early, empty if it did not
}

// Failed counts the items whose outcome makes the collection incomplete.
func (s Summary) Failed() int {
	n := 0
	for outcome, count := range s.Outcomes {
		if outcome.Failure() {
			n += count
		}
	}
	return n
}

func (o Options) withDefaults() Options {
	if o.Concurrency <= 0 {
		o.Concurrency = min(4, max(2, runtime.NumCPU()))
	}
	if o.Grace <= 0 {
		o.Grace = 3 * time.Second
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = 256 << 10
	}
	if o.BatchEvery <= 0 {
		o.BatchEvery = 250 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Full == nil {
		o.Full = func(error) bool { return false }
	}
	if o.Own == nil {
		o.Own = func(flow.Upload) bool { return false }
	}
	if o.Throttle == nil {
		o.Throttle = freely{}
	}
	return o
}

type freely struct{}

func (freely) Wait(context.Context) {}

// Run runs every item of the plan and reports each to the sink. It returns
// when all items have ended, or were given up. A cancelled ctx ends the items
// that run as partial and the others as not run; that is no error. The error
// is ErrSink with the cause when the sink failed; the summary is whole then
// too.
func Run(ctx context.Context, plan *artifacts.Plan, engine Engine, sink flow.Sink, o Options) (Summary, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &collection{
		options: o, engine: engine, sink: sink, plan: plan, cancel: cancel,
		started: o.Now(), reports: make([]flow.Report, len(plan.Items)), totals: &totals{targets: map[flow.Outcome]int{}},
	}
	stop := c.watch(ctx)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(o.Concurrency, len(plan.Items)) {
		workers.Go(func() {
			for i := range next {
				c.item(ctx, i)
			}
		})
	}
	for i := range plan.Items {
		next <- i
	}
	close(next)
	workers.Wait()
	cause := context.Cause(ctx)
	stop()
	return c.summary(cause), c.sinkError()
}

// collection is one Run.
type collection struct {
	options Options
	engine  Engine
	sink    flow.Sink
	plan    *artifacts.Plan
	cancel  context.CancelCauseFunc
	started time.Time
	totals  *totals

	mu      sync.Mutex
	reports []flow.Report
	done    int
	running []string
	failure error // of the sink

	telling sync.Mutex
}

// totals count over all items.
type totals struct {
	mu                         sync.Mutex
	rows, uploads, bytes, logs int64
	rowBytes                   int64
	targets                    map[flow.Outcome]int
}

func (t *totals) add(rows, rowBytes, uploads, logs int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows += rows
	t.rowBytes += rowBytes
	t.uploads += uploads
	t.logs += logs
}

func (t *totals) target(o flow.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.targets[o]++
}

// take counts n more uploaded bytes, or refuses them when limit is reached.
func (t *totals) take(n, limit int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit > 0 && t.bytes > limit-n {
		return false
	}
	t.bytes += n
	return true
}

// watch tells about progress and cancels when the promised end is near. The
// returned function ends it and waits.
func (c *collection) watch(ctx context.Context) func() {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(tickEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if c.options.Timeout > 0 && ctx.Err() == nil && c.options.Now().Sub(c.started)+c.reserve() >= c.options.Timeout {
				c.cancel(ErrDeadline)
			}
			c.tell(nil)
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

const tickEvery = 250 * time.Millisecond

// What closing a container is reckoned to take.
const (
	closingBase      = 500 * time.Millisecond
	closingRowBytes  = 30 << 20 // per second
	closingPerUpload = 60 * time.Microsecond
)

// reserve is how long before the promised end the items are stopped: time to
// let them end, and to turn rows and records into members.
func (c *collection) reserve() time.Duration {
	c.totals.mu.Lock()
	bytes, uploads := c.totals.rowBytes, c.totals.uploads
	c.totals.mu.Unlock()
	closing := closingBase + time.Duration(float64(bytes)/closingRowBytes*float64(time.Second)) + time.Duration(uploads)*closingPerUpload
	return tickEvery + min(closing+c.grace(), c.options.Timeout/2)
}

// grace is how long a stopped item may take to end.
func (c *collection) grace() time.Duration {
	if c.options.Timeout > 0 {
		return min(c.options.Grace, max(c.options.Timeout/10, 100*time.Millisecond))
	}
	return c.options.Grace
}

func (c *collection) tell(ended *flow.Report) {
	if c.options.Changed == nil {
		return
	}
	c.mu.Lock()
	p := Progress{Done: c.done, Total: len(c.reports), Running: append([]string(nil), c.running...), Ended: ended}
	c.mu.Unlock()
	c.totals.mu.Lock()
	p.Rows, p.Uploads, p.Bytes = c.totals.rows, c.totals.uploads, c.totals.bytes
	c.totals.mu.Unlock()
	c.telling.Lock()
	defer c.telling.Unlock()
	c.options.Changed(p)
}

// sinkFailed notes that the sink took no more and ends the collection.
func (c *collection) sinkFailed(err error) {
	c.mu.Lock()
	if c.failure == nil {
		c.failure = err
	}
	c.mu.Unlock()
	c.cancel(fmt.Errorf("%w: %w", ErrSink, err))
}

func (c *collection) sinkError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrSink, c.failure)
}

func (c *collection) summary(cause error) Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals.mu.Lock()
	defer c.totals.mu.Unlock()
	s := Summary{
		Items: c.reports, Outcomes: map[flow.Outcome]int{}, Targets: c.totals.targets,
		Rows: c.totals.rows, Uploads: c.totals.uploads, Bytes: c.totals.bytes, Logs: c.totals.logs,
		Started: c.started, Duration: c.options.Now().Sub(c.started),
	}
	if cause != nil {
		s.Stopped = cause.Error()
	}
	for _, r := range c.reports {
		s.Outcomes[r.Outcome]++
	}
	return s
}
