package collector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"satchel/internal/flow"
	"satchel/vql"
)

type behaviour = func(ctx context.Context, to flow.Sink, row func(n int) error) (vql.Stats, error)

func someRows(n int) behaviour {
	return func(_ context.Context, _ flow.Sink, row func(int) error) (vql.Stats, error) {
		for i := range n {
			if err := row(i); err != nil {
				return vql.Stats{}, err
			}
		}
		return vql.Stats{Rows: int64(n)}, nil
	}
}

func rowsThen(n int, errs ...vql.QueryError) behaviour {
	return func(ctx context.Context, to flow.Sink, row func(int) error) (vql.Stats, error) {
		stats, err := someRows(n)(ctx, to, row)
		stats.Errors = errs
		return stats, err
	}
}

func targets(n int, outcomes ...flow.Outcome) behaviour {
	return func(ctx context.Context, to flow.Sink, row func(int) error) (vql.Stats, error) {
		for i, o := range outcomes {
			if err := to.Report(ctx, flow.Report{Target: fmt.Sprint("/t", i), Outcome: o, Detail: "why"}); err != nil {
				return vql.Stats{}, err
			}
		}
		return someRows(n)(ctx, to, row)
	}
}

func uploads(size int, declared int64) behaviour {
	return func(ctx context.Context, to flow.Sink, _ func(int) error) (vql.Stats, error) {
		w, err := to.Upload(ctx, flow.Upload{Path: "/big", Size: declared})
		if err != nil {
			return vql.Stats{}, to.Report(ctx, flow.Report{Target: "/big", Outcome: flow.OutcomeOf(err, flow.Failed), Detail: err.Error()})
		}
		for size > 0 {
			n, err := w.Write(make([]byte, min(size, 1000)))
			if err != nil {
				if err := w.Abort(err); err != nil {
					return vql.Stats{}, err
				}
				return vql.Stats{}, to.Report(ctx, flow.Report{Target: "/big", Outcome: flow.OutcomeOf(err, flow.Failed), Detail: err.Error()})
			}
			size -= n
		}
		_, err = w.Commit()
		return vql.Stats{}, err
	}
}

func untilStopped(rows int) behaviour {
	return func(ctx context.Context, to flow.Sink, row func(int) error) (vql.Stats, error) {
		if _, err := someRows(rows)(ctx, to, row); err != nil {
			return vql.Stats{}, err
		}
		<-ctx.Done()
		return vql.Stats{}, context.Cause(ctx)
	}
}

// deaf ignores that it is told to stop, as a read of a dead network drive does.
func deaf(ctx context.Context, to flow.Sink, row func(int) error) (vql.Stats, error) {
	if err := row(1); err != nil {
		return vql.Stats{}, err
	}
	w, err := to.Upload(ctx, flow.Upload{Path: "/dead"})
	if err != nil {
		return vql.Stats{}, err
	}
	if _, err := w.Write([]byte("half")); err != nil {
		return vql.Stats{}, err
	}
	time.Sleep(time.Hour)
	if _, err := w.Write([]byte("more")); err == nil {
		panic("an abandoned item could still write")
	}
	if _, err := w.Commit(); err == nil {
		panic("an abandoned item could still commit")
	}
	if err := to.Log(ctx, flow.LogLine{Message: "late"}); err == nil {
		panic("an abandoned item could still log")
	}
	return vql.Stats{}, nil
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	boom := vql.QueryError{Kind: vql.KindPlugin, Name: "boom", Count: 1, Err: errors.New("it broke")}
	symbol := vql.QueryError{Kind: vql.KindSymbol, Name: "Foo", Count: 7, Err: errors.New("not found")}
	tests := []struct {
		name         string
		run          behaviour
		precondition string
		options      Options
		rowLimit     int64
		timeout      time.Duration
		want         flow.Outcome
		detail       string
		rows         int64
	}{
		{name: "rows", run: someRows(3), want: flow.Collected, rows: 3},
		{name: "nothing", run: someRows(0), want: flow.Empty},
		{name: "an upload alone", run: uploads(10, 10), want: flow.Collected},
		{name: "a precondition that holds", run: someRows(1), precondition: "yes", want: flow.Collected, rows: 1},
		{name: "a precondition that does not", run: someRows(1), precondition: "no", want: flow.NotApplicable, detail: "precondition does not hold: no"},
		{name: "a precondition that fails", run: someRows(1), precondition: "bad", want: flow.Failed, detail: "precondition bad: no such plugin"},
		{name: "a precondition that panics", run: someRows(1), precondition: "panic", want: flow.Failed, detail: "panic: in a precondition"},
		{name: "a precondition that hangs", run: someRows(1), precondition: "hang", timeout: time.Minute, want: flow.TimedOut},
		{name: "an error before any row", run: rowsThen(0, boom), want: flow.Failed, detail: "boom: it broke"},
		{name: "an error after rows", run: rowsThen(2, boom, boom), want: flow.Partial, detail: "boom: it broke (and 1 more)", rows: 2},
		{name: "an unknown symbol beside rows", run: rowsThen(2, symbol), want: flow.Collected, rows: 2},
		{name: "an unknown symbol and no rows", run: rowsThen(0, symbol), want: flow.Failed, detail: "Foo: not found (and 6 more)"},
		{name: "a parse error", want: flow.Failed, detail: "parse VQL: line 1",
			run: func(context.Context, flow.Sink, func(int) error) (vql.Stats, error) {
				return vql.Stats{}, &vql.ParseError{Err: errors.New("line 1")}
			}},
		{name: "an error of the engine", want: flow.Failed, detail: "odd",
			run: func(context.Context, flow.Sink, func(int) error) (vql.Stats, error) {
				return vql.Stats{}, errors.New("odd")
			}},
		{name: "a panic", want: flow.Failed, detail: "panic: oh",
			run: func(context.Context, flow.Sink, func(int) error) (vql.Stats, error) { panic("oh") }},
		{name: "a row limit", want: flow.OverLimit, detail: "stopped after 5 rows",
			run: func(context.Context, flow.Sink, func(int) error) (vql.Stats, error) {
				return vql.Stats{Rows: 5, Limited: true}, nil
			}},
		{name: "its own timeout", run: untilStopped(4), timeout: time.Minute, want: flow.TimedOut, detail: "the time of the artifact is over; what it had found is kept: 4 rows, 0 files", rows: 4},
		{name: "the timeout of all artifacts", run: untilStopped(0), options: Options{ArtifactTimeout: time.Second}, timeout: time.Minute, want: flow.TimedOut},
		{name: "the promised end", run: untilStopped(4), options: Options{Timeout: time.Minute}, want: flow.TimedOut, detail: "the time of the collection is over", rows: 4},
		{name: "targets that are all missing", run: targets(0, flow.Missing, flow.Missing), want: flow.Missing, detail: "of 2 targets: 2 missing"},
		{name: "targets found and missing", run: targets(1, flow.Missing, flow.Collected), want: flow.Collected, rows: 1},
		{name: "targets that are all denied", run: targets(0, flow.Denied, flow.Denied), want: flow.Denied, detail: "of 2 targets: 2 denied (/t0: why)"},
		{name: "targets denied and locked", run: targets(0, flow.Denied, flow.Locked, flow.Missing), want: flow.Failed, detail: "of 3 targets: 1 denied, 1 locked (/t0: why)"},
		{name: "rows beside a denied target", run: targets(2, flow.Collected, flow.Denied), want: flow.Partial, detail: "of 2 targets: 1 denied (/t1: why)", rows: 2},
		{name: "a file over the limit", run: uploads(5000, 5000), options: Options{MaxFileBytes: 4000}, want: flow.OverLimit, detail: "/big has 5000 bytes"},
		{name: "a file that grows over the limit", run: uploads(5000, -1), options: Options{MaxFileBytes: 4000}, want: flow.Partial, detail: "/big has more than 4000 bytes"},
		{name: "the collection's uploads over the limit", run: uploads(5000, 5000), options: Options{MaxUploadBytes: 4000}, want: flow.OverLimit, detail: "the collection may upload 4000 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &memory{}
				it := item("A")
				if tt.precondition != "" {
					it.Preconditions = []string{"yes", tt.precondition}
				}
				it.Timeout = tt.timeout
				s, err := Run(t.Context(), plan(it), script{"A": tt.run}, m, tt.options)
				if err != nil {
					t.Fatal(err)
				}
				r := m.outcome(t, "A", "")
				if r.Outcome != tt.want || !strings.Contains(r.Detail, tt.detail) || r.Rows != tt.rows {
					t.Errorf("got %s, %d rows, %q; want %s, %d rows, %q", r.Outcome, r.Rows, r.Detail, tt.want, tt.rows, tt.detail)
				}
				if got := int64(strings.Count(m.rows("A"), "\n")); got != tt.rows || s.Rows != tt.rows {
					t.Errorf("%d rows stored, %d in the summary, want %d", got, s.Rows, tt.rows)
				}
				if want := map[bool]int{true: 1}[tt.want.Failure()]; s.Failed() != want || s.Outcomes[tt.want] != 1 {
					t.Errorf("summary %+v", s)
				}
				for _, u := range m.uploads {
					if u.ended != 1 {
						t.Errorf("an upload was ended %d times", u.ended)
					}
				}
			})
		})
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Second, func() { cancel(errors.New("interrupted")) })
		s, err := Run(ctx, plan(item("A"), item("B"), item("C"), item("D")),
			script{"A": someRows(1), "B": untilStopped(2), "C": deaf, "D": someRows(1)}, m, Options{Concurrency: 2})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]flow.Outcome{"A": flow.Collected, "B": flow.Partial, "C": flow.Abandoned, "D": flow.NotRun}
		for name, o := range want {
			if r := m.outcome(t, name, ""); r.Outcome != o || o.Failure() && !strings.Contains(r.Detail, "interrupted") {
				t.Errorf("%s: %s %q, want %s", name, r.Outcome, r.Detail, o)
			}
		}
		if s.Stopped != "interrupted" || s.Failed() != 3 {
			t.Errorf("summary %+v", s)
		}
		if len(m.uploads) != 1 || m.uploads[0].ended != 1 || !errors.Is(m.uploads[0].cause, errAbandoned) {
			t.Errorf("the upload of the abandoned item: %+v", m.uploads)
		}
		if m.rows("B") != "{\"N\":0}\n{\"N\":1}\n" {
			t.Errorf("rows of B: %q", m.rows("B"))
		}
		time.Sleep(2 * time.Hour) // the deaf one wakes up and finds all doors shut
	})
}

func TestPromisedEnd(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{2 * time.Second, time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{}
			started := time.Now()
			_, err := Run(t.Context(), plan(item("A"), item("B"), item("C")),
				script{"A": untilStopped(1), "B": deaf, "C": someRows(1)}, m, Options{Concurrency: 2, Timeout: limit})
			if took := time.Since(started); err != nil || took >= limit || took < limit/3 {
				t.Errorf("limit %v: it took %v, %v", limit, took, err)
			}
			if r := m.outcome(t, "C", ""); r.Outcome != flow.NotRun {
				t.Errorf("C: %+v", r)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

func TestOrderAndConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var begun []string
		var now, most atomic.Int64
		s := script{}
		var names []string
		for i := range 20 {
			name := fmt.Sprintf("A%02d", i)
			names = append(names, name)
			s[name] = func(context.Context, flow.Sink, func(int) error) (vql.Stats, error) {
				mu.Lock()
				begun = append(begun, name)
				mu.Unlock()
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				return vql.Stats{}, nil
			}
		}
		p := plan()
		for _, n := range names {
			p.Items = append(p.Items, item(n))
		}
		var seen []Progress
		_, err := Run(t.Context(), p, s, &memory{}, Options{Concurrency: 3, Changed: func(p Progress) { seen = append(seen, p) }})
		if err != nil || most.Load() != 3 {
			t.Errorf("%v, %d at once", err, most.Load())
		}
		for i, n := range begun {
			// A worker may overtake its neighbours, not more.
			if at := indexOf(names, n); at > i+2 || at < i-2 {
				t.Errorf("%s began as number %d", n, i)
			}
		}
		last := seen[len(seen)-1]
		if last.Done != 20 || last.Total != 20 || len(last.Running) != 0 {
			t.Errorf("last progress: %+v", last)
		}
	})
}

func indexOf(list []string, s string) int {
	for i, x := range list {
		if x == s {
			return i
		}
	}
	return -1
}

func TestSinkFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left")
		m := &memory{rowsErr: full}
		s, err := Run(t.Context(), plan(item("A"), item("B"), item("C")),
			script{"A": someRows(1), "B": untilStopped(1), "C": someRows(1)}, m, Options{Concurrency: 2})
		if !errors.Is(err, ErrSink) || !errors.Is(err, full) {
			t.Errorf("error is %v", err)
		}
		if s.Failed() != 3 || s.Items[0].Outcome != flow.Failed || !strings.Contains(s.Items[0].Detail, "no space left") {
			t.Errorf("summary %+v", s)
		}
		if s.Rows != 0 {
			t.Errorf("%d rows counted that were not stored", s.Rows)
		}
	})
}

func TestSinkIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("full")
		m := &memory{rowsErr: full}
		s, err := Run(t.Context(), plan(item("A"), item("B"), item("C")), script{
			"A": func(ctx context.Context, to flow.Sink, row func(int) error) (vql.Stats, error) {
				time.Sleep(time.Second)
				return someRows(1)(ctx, to, row)
			},
			"B": untilStopped(0), "C": someRows(1),
		}, m, Options{Concurrency: 2, Full: func(err error) bool { return errors.Is(err, full) }})
		if !errors.Is(err, full) {
			t.Errorf("error is %v", err)
		}
		for name, want := range map[string]flow.Outcome{"A": flow.OverLimit, "B": flow.Partial, "C": flow.NotRun} {
			if r := m.outcome(t, name, ""); r.Outcome != want || !strings.Contains(r.Detail, "full") {
				t.Errorf("%s: %+v, want %s", name, r, want)
			}
		}
		if !strings.Contains(s.Stopped, "full") {
			t.Errorf("stopped: %q", s.Stopped)
		}
	})
}

func TestTargetIsReportedOnce(t *testing.T) {
	t.Parallel()
	m := &memory{}
	_, err := Run(t.Context(), plan(item("A")), script{"A": func(ctx context.Context, to flow.Sink, _ func(int) error) (vql.Stats, error) {
		for _, r := range []flow.Report{
			{Target: "/x", Outcome: flow.Collected, Rows: 2}, {Target: "/x", Outcome: flow.Denied, Detail: "no", Rows: 1},
			{Target: "/x", Outcome: flow.Missing}, {Target: "/y", Outcome: flow.Collected}, {Outcome: flow.Failed},
		} {
			if err := to.Report(ctx, r); err != nil {
				return vql.Stats{}, err
			}
		}
		for i := range 2*maxTargets + 5 {
			if err := to.Report(ctx, flow.Report{Target: fmt.Sprint("/many/", i%(maxTargets+100)), Outcome: flow.Collected}); err != nil {
				return vql.Stats{}, err
			}
		}
		return vql.Stats{}, nil
	}}, m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r := m.outcome(t, "A", "/x"); r.Outcome != flow.Denied || r.Detail != "no" || r.Rows != 3 {
		t.Errorf("/x: %+v", r)
	}
	if r := m.outcome(t, "A", "/many/7"); r.Outcome != flow.Collected {
		t.Errorf("/many/7: %+v", r)
	}
	if r := m.outcome(t, "A", ""); r.Outcome != flow.Denied {
		t.Errorf("the item: %+v", r)
	}
	if want := maxTargets + 100 + 2 + 1; len(m.reports) != want {
		t.Errorf("%d reports, want %d", len(m.reports), want)
	}
}

func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	m := &memory{}
	s, err := Run(t.Context(), plan(item("A")), script{"A": func(ctx context.Context, to flow.Sink, _ func(int) error) (vql.Stats, error) {
		for range maxLogs + 7 {
			if err := to.Log(ctx, flow.LogLine{Message: "x"}); err != nil {
				return vql.Stats{}, err
			}
		}
		return vql.Stats{}, nil
	}}, m, Options{})
	if err != nil || len(m.logs) != maxLogs+1 || s.Logs != maxLogs {
		t.Fatalf("%v, %d lines, %d counted", err, len(m.logs), s.Logs)
	}
	if got := m.logs[maxLogs].Message; got != "7 further messages were dropped" || m.logs[0].Source != "A" {
		t.Errorf("last line %q, first %+v", got, m.logs[0])
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		_, err := Run(t.Context(), plan(item("Fast"), item("Slow")), script{
			"Fast": someRows(10_000),
			"Slow": func(_ context.Context, _ flow.Sink, row func(int) error) (vql.Stats, error) {
				for i := range 3 {
					if err := row(i); err != nil {
						return vql.Stats{}, err
					}
					time.Sleep(1500 * time.Millisecond)
					m.mu.Lock()
					if got := len(m.batches["Slow"]); got != i+1 {
						t.Errorf("%d batches after %d slow rows", got, i+1)
					}
					m.mu.Unlock()
				}
				return vql.Stats{}, nil
			},
		}, m, Options{BatchBytes: 4096})
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for _, b := range m.batches["Fast"] {
			if len(b.JSONL) > 4096 || strings.Count(string(b.JSONL), "\n") != b.Rows || !strings.HasSuffix(string(b.JSONL), "}\n") || b.First.IsZero() || b.Last.Before(b.First) {
				t.Fatalf("batch of %d bytes, %d rows", len(b.JSONL), b.Rows)
			}
			rows += b.Rows
		}
		if rows != 10_000 || len(m.batches["Fast"]) > 40 {
			t.Errorf("%d rows in %d batches", rows, len(m.batches["Fast"]))
		}
	})
}
