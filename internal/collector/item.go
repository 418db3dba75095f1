package collector

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"
)

// item runs the i-th item of the plan and reports it.
func (c *collection) item(ctx context.Context, i int) {
	it := &c.plan.Items[i]
	started := c.options.Now()
	c.begin(it.Name)
	g := newGuard(it.Name, c.sink, c.totals, c.options, it.MaxUploadBytes, c.sinkFailed)
	v := c.supervise(ctx, it, g)
	keep := context.WithoutCancel(ctx)
	g.seal(v.cause())
	if err := c.closeItem(keep, g); err != nil {
		v = verdict{flow.Failed, err.Error()}
		if c.options.Full(err) {
			v.outcome = flow.OverLimit
		}
	}
	g.mu.Lock()
	r := flow.Report{
		Time: c.options.Now(), Source: it.Name, Outcome: v.outcome, Detail: v.detail,
		Rows: g.rows, Uploads: g.uploads, Bytes: g.bytes, Logs: g.logs,
		Started: started, Duration: c.options.Now().Sub(started),
	}
	g.mu.Unlock()
	if err := c.sink.Report(keep, r); err != nil {
		c.sinkFailed(fmt.Errorf("write a report: %w", err))
	}
	c.end(i, r)
}

// closeItem writes what the item still owes: reports of targets, and how much
// it was not allowed to say.
func (c *collection) closeItem(ctx context.Context, g *guard) error {
	g.mu.Lock()
	silent, failed := g.silent, g.sinkErr
	g.mu.Unlock()
	if silent > 0 {
		err := c.sink.Log(ctx, flow.LogLine{
			Time: c.options.Now(), Level: flow.LevelWarn, Source: g.source,
			Message: fmt.Sprintf("%d further messages were dropped", silent),
		})
		if err != nil {
			return g.broken(ctx, fmt.Errorf("write a log line: %w", err))
		}
	}
	if err := g.release(ctx); err != nil {
		return err
	}
	return failed
}

func (c *collection) begin(name string) {
	c.mu.Lock()
	c.running = append(c.running, name)
	c.mu.Unlock()
	c.tell(nil)
}

func (c *collection) end(i int, r flow.Report) {
	c.mu.Lock()
	c.reports[i] = r
	c.done++
	for j, name := range c.running {
		if name == r.Source {
			c.running = append(c.running[:j], c.running[j+1:]...)
			break
		}
	}
	c.mu.Unlock()
	c.tell(&r)
}

// supervise runs the item within its time. An item that has not ended a while
// after it was told to is given up: its goroutine may go on, but nothing of it
// reaches the sink any more.
func (c *collection) supervise(ctx context.Context, it *artifacts.Item, g *guard) verdict {
	if ctx.Err() != nil {
		return notRun(context.Cause(ctx))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if limit := shorter(it.Timeout, c.options.ArtifactTimeout); limit > 0 {
		timer := time.AfterFunc(limit, func() { cancel(errItemTime) })
		defer timer.Stop()
	}
	ended := make(chan verdict, 1)
	go func() { ended <- c.attempt(ctx, it, g) }()
	select {
	case v := <-ended:
		return v
	case <-ctx.Done():
	}
	patience := time.NewTimer(c.grace())
	defer patience.Stop()
	select {
	case v := <-ended:
		return v
	case <-patience.C:
		return verdict{flow.Abandoned, fmt.Sprintf("%v, and then it did not stop within %v", context.Cause(ctx), c.grace())}
	}
}

func shorter(a, b time.Duration) time.Duration {
	if a > 0 && (b <= 0 || a < b) {
		return a
	}
	return b
}

// attempt evaluates the preconditions and runs the query.
func (c *collection) attempt(ctx context.Context, it *artifacts.Item, g *guard) (v verdict) {
	defer func() {
		if p := recover(); p != nil {
			v = verdict{flow.Failed, fmt.Sprintf("panic: %v", p)}
			_ = g.Log(ctx, flow.LogLine{
				Time: c.options.Now(), Level: flow.LevelDebug, Message: "stack: " + strings.TrimSpace(string(debug.Stack())),
			})
		}
	}()
	for n, text := range it.Preconditions {
		holds, err := c.engine.Holds(ctx, it, n)
		switch {
		case err != nil && ctx.Err() != nil:
			return stopped(context.Cause(ctx), g)
		case err != nil:
			return verdict{flow.Failed, fmt.Sprintf("precondition %s: %v", oneLine(text), err)}
		case !holds:
			return verdict{flow.NotApplicable, "precondition does not hold: " + oneLine(text)}
		}
	}
	b := newBatch(c.options, func(rows flow.RowBatch) error {
		return g.WriteRows(context.WithoutCancel(ctx), it.Name, rows)
	})
	stats, err := c.engine.Run(ctx, it, g, func(r vql.Row) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return b.add(r)
	})
	if flushErr := b.close(); flushErr != nil {
		err = errors.Join(err, flushErr)
	}
	return judge(context.Cause(ctx), stats, err, g)
}

// oneLine is a text of VQL for a message.
func oneLine(text string) string {
	return clip(strings.Join(strings.Fields(text), " "), 200)
}
