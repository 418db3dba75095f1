package collector

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"
)

type countArgs struct {
	N int64 `vql:"n"`
}

type countRow struct {
	N int64
}

// fakes are plugins that do what plugins do on bad days. release ends the one
// that ignores its context.
func fakes(t *testing.T, release <-chan struct{}) *vql.Set {
	t.Helper()
	set := vql.NewSet()
	err := set.Add(
		vql.NewPlugin("count", func(_ context.Context, _ *vql.Scope, a countArgs, emit func(*countRow) bool) error {
			for i := range a.N {
				if !emit(&countRow{i}) {
					return nil
				}
			}
			return nil
		}),
		vql.NewPlugin("broken", func(_ context.Context, _ *vql.Scope, a countArgs, emit func(*countRow) bool) error {
			for i := range a.N {
				emit(&countRow{i})
			}
			return errors.New("it broke")
		}),
		vql.NewPlugin("panics", func(_ context.Context, _ *vql.Scope, a countArgs, emit func(*countRow) bool) error {
			for i := range a.N {
				emit(&countRow{i})
			}
			panic("oh no")
		}),
		vql.NewPlugin("hangs", func(ctx context.Context, _ *vql.Scope, a countArgs, emit func(*countRow) bool) error {
			for i := range a.N {
				emit(&countRow{i})
			}
			<-ctx.Done()
			return ctx.Err()
		}),
		vql.NewPlugin("deaf", func(context.Context, *vql.Scope, countArgs, func(*countRow) bool) error {
			<-release
			return nil
		}),
		vql.NewPlugin("says", func(ctx context.Context, s *vql.Scope, a countArgs, emit func(*countRow) bool) error {
			s.Log(flow.LevelInfo, "hello from %s", s.Source())
			s.Warn(errors.New("passed over"))
			return s.Report(ctx, flow.Report{Target: "/target", Outcome: flow.Denied, Detail: "no"})
		}),
		vql.NewPlugin("uploads", func(ctx context.Context, s *vql.Scope, a countArgs, emit func(*countRow) bool) error {
			w, err := s.Sink().Upload(ctx, flow.Upload{Path: "/f", Accessor: "file", Size: a.N})
			if err != nil {
				return err
			}
			if _, err := w.Write(make([]byte, a.N)); err != nil {
				return errors.Join(err, w.Abort(err))
			}
			_, err = w.Commit()
			return err
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestRealRunner(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		item    artifacts.Item
		options Options
		want    flow.Outcome
		detail  string
		rows    int64
		log     string
	}{
		{name: "rows", item: artifacts.Item{Query: "SELECT * FROM count(n=1000)"}, want: flow.Collected, rows: 1000},
		{name: "no rows", item: artifacts.Item{Query: "SELECT * FROM count(n=0)"}, want: flow.Empty},
		{name: "preamble and parameters", item: artifacts.Item{
			Conversions: []string{"LET Double = 2"}, Preamble: []string{"LET Double = 2", "LET Twice(x) = x * Double"},
			Query: "SELECT Twice(x=N) AS N, Word FROM count(n=2)", Env: []flow.Param{{Key: "Word", Value: "w"}},
		}, want: flow.Collected, rows: 2},
		{name: "a precondition that holds", item: artifacts.Item{
			Preconditions: []string{"SELECT * FROM count(n=1)"}, Query: "SELECT * FROM count(n=3)",
		}, want: flow.Collected, rows: 3},
		{name: "a precondition with a parameter", item: artifacts.Item{
			Preconditions: []string{"SELECT * FROM count(n=1) WHERE Word = 'other'"}, Query: "SELECT * FROM count(n=3)",
			Env: []flow.Param{{Key: "Word", Value: "w"}},
		}, want: flow.NotApplicable, detail: "Word = 'other'"},
		{name: "a precondition that fails", item: artifacts.Item{
			Preconditions: []string{"SELECT * FROM broken(n=0)"}, Query: "SELECT * FROM count(n=3)",
		}, want: flow.Failed, detail: "it broke"},
		{name: "an error", item: artifacts.Item{Query: "SELECT * FROM broken(n=0)"}, want: flow.Failed, detail: "broken: it broke", log: "it broke"},
		{name: "an error after rows", item: artifacts.Item{Query: "SELECT * FROM broken(n=3)"}, want: flow.Partial, detail: "broken: it broke", rows: 3},
		{name: "a panic", item: artifacts.Item{Query: "SELECT * FROM panics(n=0)"}, want: flow.Failed, detail: "panic: oh no"},
		{name: "a panic after rows", item: artifacts.Item{Query: "SELECT * FROM panics(n=3)"}, want: flow.Partial, detail: "panic: oh no", rows: 3},
		{name: "an unknown plugin", item: artifacts.Item{Query: "SELECT * FROM nosuch()"}, want: flow.Failed, detail: "nosuch"},
		{name: "not VQL", item: artifacts.Item{Query: "SELECT FROM"}, want: flow.Failed, detail: "parse VQL"},
		{name: "its time", item: artifacts.Item{Query: "SELECT * FROM hangs(n=4)", Timeout: 200 * time.Millisecond}, want: flow.TimedOut, rows: 4},
		{name: "the promised end", item: artifacts.Item{Query: "SELECT * FROM hangs(n=4)"}, options: Options{Timeout: time.Second}, want: flow.TimedOut, rows: 4},
		{name: "deaf", item: artifacts.Item{Query: "SELECT * FROM deaf()", Timeout: 50 * time.Millisecond}, options: Options{Grace: 50 * time.Millisecond}, want: flow.Abandoned},
		{name: "a row limit", item: artifacts.Item{Query: "SELECT * FROM count(n=100)", MaxRows: 10}, want: flow.OverLimit, detail: "10 rows", rows: 10},
		{name: "a target", item: artifacts.Item{Query: "SELECT * FROM says()"}, want: flow.Denied, detail: "/target: no", log: "hello from A"},
		{name: "an upload", item: artifacts.Item{Query: "SELECT * FROM uploads(n=10)"}, want: flow.Collected},
		{name: "an upload over the limit", item: artifacts.Item{Query: "SELECT * FROM uploads(n=10)"}, options: Options{MaxFileBytes: 9}, want: flow.Failed, detail: "limit of one file is 9"},
		{name: "an upload over the limit of the artifact", item: artifacts.Item{Query: "SELECT * FROM uploads(n=10)", MaxUploadBytes: 9}, want: flow.OverLimit, detail: "may upload 9 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			defer close(release)
			m := &memory{}
			tt.item.Name, tt.item.Artifact = "A", "A"
			s, err := Run(t.Context(), plan(tt.item), &VQL{Set: fakes(t, release)}, m, tt.options)
			if err != nil {
				t.Fatal(err)
			}
			r := m.outcome(t, "A", "")
			if r.Outcome != tt.want || !strings.Contains(r.Detail, tt.detail) || r.Rows != tt.rows {
				t.Errorf("got %s, %d rows, %q; want %s, %d rows, %q", r.Outcome, r.Rows, r.Detail, tt.want, tt.rows, tt.detail)
			}
			if s.Rows != tt.rows || int64(strings.Count(m.rows("A"), "\n")) != tt.rows {
				t.Errorf("%d rows counted, stored:\n%s", s.Rows, m.rows("A"))
			}
			found := tt.log == ""
			for _, l := range m.logs {
				found = found || strings.Contains(l.Message, tt.log) && l.Source == "A"
			}
			if !found {
				t.Errorf("no log line with %q: %v", tt.log, m.logs)
			}
		})
	}
}

func TestInterruptOfRealRunner(t *testing.T) {
	t.Parallel()
	m := &memory{}
	ctx, cancel := context.WithCancelCause(t.Context())
	hangs := artifacts.Item{Name: "A", Query: "SELECT * FROM hangs(n=4)"}
	waits := artifacts.Item{Name: "B", Query: "SELECT * FROM count(n=1)"}
	s, err := Run(ctx, plan(hangs, waits), &VQL{Set: fakes(t, nil)}, m, Options{Concurrency: 1, Changed: func(p Progress) {
		if p.Rows == 4 {
			cancel(errors.New("interrupted"))
		}
	}})
	if err != nil || s.Stopped != "interrupted" {
		t.Fatalf("%v, %+v", err, s)
	}
	if r := m.outcome(t, "A", ""); r.Outcome != flow.Partial || r.Rows != 4 {
		t.Errorf("A: %+v", r)
	}
	if r := m.outcome(t, "B", ""); r.Outcome != flow.NotRun {
		t.Errorf("B: %+v", r)
	}
}
