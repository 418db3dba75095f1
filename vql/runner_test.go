package vql_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/internal/flow"
	"satchel/vql"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type countArgs struct {
	End   int64  `vql:"end,required"`
	Label string `vql:"label"`
}

type countRow struct {
	N    int64
	Text string `vql:"Label"`
}

func count(_ context.Context, _ *vql.Scope, a countArgs, emit func(*countRow) bool) error {
	for i := range a.End {
		if !emit(&countRow{N: i, Text: a.Label}) {
			return nil
		}
	}
	return nil
}

func newSet(t testing.TB, more ...vql.Registration) *vql.Set {
	t.Helper()
	set := vql.NewSet()
	if err := set.Add(append(more, vql.NewPlugin("counter", count))...); err != nil {
		t.Fatal(err)
	}
	return set
}

// run runs a query and returns its rows as lines.
func run(t *testing.T, set *vql.Set, o vql.Options, q vql.Request) ([]string, vql.Stats, error) {
	t.Helper()
	var rows []string
	stats, err := vql.NewRunner(set, o).Run(t.Context(), q, func(r vql.Row) error {
		rows = append(rows, r.String())
		return nil
	})
	return rows, stats, err
}

func TestRun(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var statements []string
	rows, stats, err := run(t, newSet(t), vql.Options{
		Clock: func() time.Time { now = now.Add(time.Second); return now },
		Env:   []vql.Var{{Name: "A", Value: 1}, {Name: "B", Value: 2}},
	}, vql.Request{
		Text:     "LET C = A + B\nSELECT *, C FROM counter(end=2, label=D)\nSELECT A FROM counter(end=1)",
		Preamble: []string{"LET D = 'pre' LET Unused <= SELECT * FROM counter(end=1)"},
		Env:      []vql.Var{{Name: "B", Value: 20}},
		OnStatement: func(s vql.Statement) {
			statements = append(statements, fmt.Sprint(s.Index, " ", s.Kind, " ", s.Text))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{"N":0,"Label":"pre","C":21}`, `{"N":1,"Label":"pre","C":21}`, `{"A":1}`}, rows); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0 LET LET C = A + B", "1 SELECT SELECT *, C FROM counter(end=2, label=D)", "2 SELECT SELECT A FROM counter(end=1)"}, statements); diff != "" {
		t.Error(diff)
	}
	want := vql.Stats{Statements: 3, Rows: 3, Scanned: 4, Calls: 3, Started: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC), Duration: time.Second}
	if diff := cmp.Diff(want, stats); diff != "" {
		t.Error(diff)
	}
}

func TestRunIsDeterministic(t *testing.T) {
	t.Parallel()
	set := newSet(t, vql.NewFunction("dice", func(_ context.Context, s *vql.Scope, _ struct{}) (any, error) { return s.Rand().IntN(1000000), nil }))
	query := vql.Request{Text: "SELECT dice() AS D FROM counter(end=5)"}
	first, _, err := run(t, set, vql.Options{Rand: rand.NewPCG(1, 2)}, query)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := run(t, set, vql.Options{Rand: rand.NewPCG(1, 2)}, query)
	if err != nil || !slices.Equal(first, again) || len(slices.Compact(slices.Clone(first))) < 5 {
		t.Fatalf("%v then %v, %v", first, again, err)
	}
}

func TestRunParseErrors(t *testing.T) {
	t.Parallel()
	for _, q := range []vql.Request{{Text: "SELECT"}, {Text: ""}, {Text: "SELECT * FROM a()", Preamble: []string{"LET"}}, {Text: strings.Repeat("(", 100_000)}, {Text: strings.Repeat(" ", 9<<20)}} {
		rows, stats, err := run(t, newSet(t), vql.Options{}, q)
		var parse *vql.ParseError
		if !errors.As(err, &parse) || rows != nil || stats.Statements != 0 {
			t.Errorf("%.20q: %v, %d rows", q.Text, err, len(rows))
		}
	}
}

func TestRunEndsOnCallbackError(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	n := 0
	stats, err := vql.NewRunner(newSet(t), vql.Options{}).Run(t.Context(), vql.Request{Text: "SELECT * FROM counter(end=100000) SELECT * FROM counter(end=5)"}, func(vql.Row) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 || stats.Statements != 1 {
		t.Fatalf("%v after %d rows and %d statements", err, n, stats.Statements)
	}
}

func TestRunMaxRows(t *testing.T) {
	t.Parallel()
	rows, stats, err := run(t, newSet(t), vql.Options{}, vql.Request{Text: "SELECT N FROM counter(end=100000)", MaxRows: 4})
	if err != nil || len(rows) != 4 || !stats.Limited || stats.Rows != 4 {
		t.Fatalf("%d rows, limited %v, %v", len(rows), stats.Limited, err)
	}
	rows, stats, err = run(t, newSet(t), vql.Options{}, vql.Request{Text: "SELECT N FROM counter(end=4)", MaxRows: 4})
	if err != nil || len(rows) != 4 || stats.Limited {
		t.Fatalf("%d rows, limited %v, %v", len(rows), stats.Limited, err)
	}
}

func TestRunTimeout(t *testing.T) {
	t.Parallel()
	forever := vql.NewPlugin("forever", func(ctx context.Context, _ *vql.Scope, _ struct{}, emit func(*countRow) bool) error {
		emit(&countRow{N: 1})
		<-ctx.Done()
		return ctx.Err()
	})
	for _, text := range []string{
		"SELECT N FROM forever()",
		"SELECT count FROM forever() ORDER BY N",
		"SELECT N FROM forever() GROUP BY N",
		"SELECT { SELECT N FROM forever() } AS X FROM counter(end=1)",
		"LET Q <= SELECT N FROM forever() SELECT * FROM Q",
		"LET Q = SELECT N FROM forever() SELECT Q.N AS X FROM counter(end=1)",
		"LET Q = SELECT N FROM forever() SELECT 5 IN Q AS X FROM counter(end=1)",
		"LET Q = SELECT N FROM forever() SELECT Q + Q AS X FROM counter(end=1)",
	} {
		_, stats, err := run(t, newSet(t, forever), vql.Options{Timeout: time.Hour}, vql.Request{Text: text, Timeout: 30 * time.Millisecond})
		if !errors.Is(err, vql.ErrTimeout) {
			t.Errorf("%s: %v", text, err)
		}
		if n := len(slices.DeleteFunc(stats.Errors, func(e vql.QueryError) bool { return e.Kind == vql.KindSymbol })); n > 0 {
			t.Errorf("%s: %v", text, stats.Err())
		}
	}
}

func TestRunCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	n := 0
	_, err := vql.NewRunner(newSet(t), vql.Options{}).Run(ctx, vql.Request{Text: "SELECT * FROM counter(end=1000000000)"}, func(vql.Row) error {
		if n++; n == 10 {
			cancel(stop)
		}
		return nil
	})
	if !errors.Is(err, stop) || n > 500 {
		t.Fatalf("%v after %d rows", err, n)
	}
}

// A plugin that does not end must not hold the query, and is told.
func TestRunLeavesHangingPluginBehind(t *testing.T) {
	t.Parallel()
	release, ended := make(chan struct{}), make(chan struct{})
	hanging := vql.NewPlugin("hanging", func(_ context.Context, _ *vql.Scope, _ struct{}, emit func(*countRow) bool) error {
		defer close(ended)
		emit(&countRow{N: 1})
		<-release
		if emit(&countRow{N: 2}) {
			t.Error("a row was wanted after the end")
		}
		return errors.New("too late to matter")
	})
	rows, stats, err := run(t, newSet(t, hanging), vql.Options{Grace: 20 * time.Millisecond}, vql.Request{Text: "SELECT N FROM hanging() GROUP BY N", Timeout: 20 * time.Millisecond})
	close(release)
	<-ended
	if !errors.Is(err, vql.ErrTimeout) || len(rows) > 0 {
		t.Errorf("%v, %v", rows, err)
	}
	if len(stats.Errors) != 1 || stats.Errors[0].Kind != vql.KindAbandoned || stats.Errors[0].Name != "hanging" {
		t.Errorf("errors: %v", stats.Err())
	}
}

// So with a function that does not return.
func TestRunLeavesHangingFunctionBehind(t *testing.T) {
	t.Parallel()
	release, ended := make(chan struct{}), make(chan struct{})
	hanging := vql.NewFunction("hang", func(context.Context, *vql.Scope, struct{}) (any, error) {
		defer close(ended)
		<-release
		return nil, nil
	})
	for _, text := range []string{"SELECT hang() FROM counter(end=1)"} {
		rows, stats, err := run(t, newSet(t, hanging), vql.Options{Grace: 20 * time.Millisecond}, vql.Request{Text: text, Timeout: 20 * time.Millisecond})
		if !errors.Is(err, vql.ErrTimeout) || len(rows) > 0 || len(stats.Errors) != 1 || stats.Errors[0].Kind != vql.KindAbandoned || stats.Errors[0].Name != "hang" {
			t.Errorf("%v, %v, %v", rows, err, stats.Err())
		}
	}
	close(release)
	<-ended
}

func TestLimitStopsPlugins(t *testing.T) {
	t.Parallel()
	var emitted atomic.Int64
	endless := vql.NewPlugin("endless", func(_ context.Context, _ *vql.Scope, _ struct{}, emit func(*countRow) bool) error {
		for i := int64(0); ; i++ {
			if !emit(&countRow{N: i}) {
				return nil
			}
			emitted.Add(1)
		}
	})
	for _, text := range []string{
		"SELECT N FROM endless() LIMIT 3",
		"LET Q = SELECT N FROM endless() SELECT N FROM Q LIMIT 3",
		"LET Q = SELECT N FROM endless() LIMIT 3 SELECT N FROM Q ORDER BY N",
		"SELECT { SELECT N FROM endless() LIMIT 1 } AS N FROM counter(end=3)",
		"LET Q = SELECT N FROM endless() SELECT Q[N] AS X FROM counter(end=3)",
		"LET Q = SELECT N FROM endless() SELECT N FROM counter(end=3) WHERE Q",
	} {
		emitted.Store(0)
		rows, stats, err := run(t, newSet(t, endless), vql.Options{}, vql.Request{Text: text})
		if err != nil || stats.Err() != nil || len(rows) != 3 {
			t.Errorf("%s: %v, %v, %v", text, rows, err, stats.Err())
		}
		if n := emitted.Load(); n > 2000 {
			t.Errorf("%s: %d rows were made for 3", text, n)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	var logs []string
	var mu sync.Mutex
	set := newSet(t,
		vql.NewFunction("fails", func(context.Context, *vql.Scope, struct{}) (any, error) { return "half", fmt.Errorf("step: %w", cause) }),
		vql.NewFunction("varies", func(_ context.Context, s *vql.Scope, _ struct{}) (any, error) {
			n, _ := s.Resolve("N")
			return nil, fmt.Errorf("row %v", n)
		}),
		vql.NewPlugin("warns", func(_ context.Context, s *vql.Scope, _ struct{}, emit func(*countRow) bool) error {
			for range 5 {
				s.Warn(cause)
			}
			s.Warn(nil)
			s.Log(flow.LevelInfo, "%d of %d", 1, 2)
			s.LogAlways(flow.LevelInfo, "twice")
			s.LogAlways(flow.LevelInfo, "twice")
			return nil
		}))
	o := vql.Options{Log: func(l flow.LogLine) {
		mu.Lock()
		defer mu.Unlock()
		logs = append(logs, string(l.Level)+" "+l.Source+" "+l.Message)
	}}
	rows, stats, err := run(t, set, o, vql.Request{Source: "A/B", Text: "SELECT fails() AS F FROM counter(end=3) SELECT * FROM warns() SELECT varies() FROM counter(end=1500)"})
	if err != nil || len(rows) != 1503 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	first := stats.Errors[0]
	if first.Kind != vql.KindFunction || first.Name != "fails" || first.Count != 3 || first.Statement != 0 || !errors.Is(&first, cause) || !errors.Is(stats.Err(), cause) {
		t.Errorf("first error: %+v", first)
	}
	if rows[0] != `{"F":null}` {
		t.Errorf("row %s: the value beside an error was taken", rows[0])
	}
	if len(stats.Errors) != 1000 || stats.Dropped != 501 || stats.Warnings != 5 {
		t.Errorf("%d errors, %d dropped, %d warnings", len(stats.Errors), stats.Dropped, stats.Warnings)
	}
	head := []string{"ERROR A/B fails: step: cause", "WARN A/B warns: cause", "INFO A/B 1 of 2", "INFO A/B twice", "INFO A/B twice", "ERROR A/B varies: row 0"}
	if diff := cmp.Diff(head, logs[:len(head)]); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(logs, "WARN A/B warns: cause (said 5 times)") {
		t.Errorf("repetitions were not told: %q", logs[len(logs)-3:])
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	set := newSet(t,
		vql.NewFunction("both", func(context.Context, *vql.Scope, struct{}) (any, error) { return 1, nil }, vql.Permission("A", "B")),
		vql.NewAccessor("closed", func(context.Context, *vql.Scope) (vql.Accessor, error) { return nil, errors.New("was opened") }, vql.Permission("C")),
		vql.NewFunction("open", func(ctx context.Context, s *vql.Scope, _ struct{}) (any, error) {
			_, err := s.Accessor(ctx, "closed")
			return nil, err
		}))
	for _, c := range []struct {
		granted []string
		want    string
	}{
		{nil, `[{"B":null,"O":null}] both: needs the permission A, which is not granted; open: accessor closed: needs the permission C, which is not granted`},
		{[]string{"A"}, `[{"B":null,"O":null}] both: needs the permission B, which is not granted; open: accessor closed: needs the permission C, which is not granted`},
		{[]string{"A", "B", "C"}, `[{"B":1,"O":null}] open: accessor closed: was opened`},
		{[]string{vql.AllPermissions}, `[{"B":1,"O":null}] open: accessor closed: was opened`},
	} {
		rows, stats, err := run(t, set, vql.Options{Permissions: c.granted}, vql.Request{Text: "SELECT both() AS B, open() AS O FROM counter(end=1)"})
		if got := fmt.Sprint(rows, " ", strings.ReplaceAll(fmt.Sprint(stats.Err()), "\n", "; ")); err != nil || got != c.want {
			t.Errorf("%v: got %s, want %s (%v)", c.granted, got, c.want, err)
		}
	}
}

type closer struct{ log *[]string }

func (c closer) Close() error {
	*c.log = append(*c.log, "closed")
	return nil
}

var _ io.Closer = closer{}

func TestSharedAndOnEnd(t *testing.T) {
	t.Parallel()
	type key struct{}
	var log []string
	set := newSet(t, vql.NewFunction("share", func(_ context.Context, s *vql.Scope, _ struct{}) (any, error) {
		s.Shared(key{}, func() any {
			log = append(log, "made")
			return closer{&log}
		})
		s.OnEnd(func() { log = append(log, "end") })
		return nil, nil
	}))
	if _, _, err := run(t, set, vql.Options{}, vql.Request{Text: "SELECT share() FROM counter(end=2)"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"made", "end", "end", "closed"}, log); diff != "" {
		t.Error(diff)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var got []flow.Report
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	set := newSet(t, vql.NewFunction("tell", func(ctx context.Context, s *vql.Scope, _ struct{}) (any, error) {
		return s.Source(), s.Report(ctx, flow.Report{Target: "/etc", Outcome: flow.Denied})
	}))
	o := vql.Options{Clock: func() time.Time { return at }, Report: func(_ context.Context, r flow.Report) error {
		got = append(got, r)
		return nil
	}}
	rows, _, err := run(t, set, o, vql.Request{Text: "SELECT tell() AS T FROM counter(end=1)", Source: "X"})
	if err != nil || rows[0] != `{"T":"X"}` {
		t.Fatal(rows, err)
	}
	if diff := cmp.Diff([]flow.Report{{Time: at, Source: "X", Target: "/etc", Outcome: flow.Denied}}, got); diff != "" {
		t.Error(diff)
	}
	if _, stats, err := run(t, set, vql.Options{}, vql.Request{Text: "SELECT tell() AS T FROM counter(end=1)"}); err != nil || stats.Err() != nil {
		t.Error("without anybody who listens:", err, stats.Err())
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	r := vql.NewRunner(newSet(t), vql.Options{})
	for _, c := range []struct {
		text string
		want bool
		bad  bool
	}{
		{"", true, false},
		{"SELECT * FROM counter(end=1000000000)", true, false},
		{"SELECT * FROM counter(end=0)", false, false},
		{"LET X = 5 SELECT * FROM counter(end=1) WHERE X = Five", true, false},
		{"SELECT * FROM nothing()", false, true},
		{"SELECT", false, true},
	} {
		got, err := r.Holds(t.Context(), c.text, []vql.Var{{Name: "Five", Value: 5}})
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	var text string
	rows, stats, err := run(t, newSet(t), vql.Options{}, vql.Request{Text: "EXPLAIN SELECT N FROM counter(end=5)", OnStatement: func(s vql.Statement) { text = s.Kind + ": " + s.Text }})
	want := []string{`{"Step":1,"Kind":"plugin","Name":"counter","Args":["end"],"Known":true,"Permissions":[],"Engine":"vfilter"}`}
	if diff := cmp.Diff(want, rows); diff != "" || err != nil || stats.Calls != 0 || text != "EXPLAIN: EXPLAIN SELECT N FROM counter(end=5)" {
		t.Errorf("%s %v, %d calls, %s", diff, err, stats.Calls, text)
	}
}

// Many queries at once on one runner must not disturb each other.
func TestRunsAtOnce(t *testing.T) {
	t.Parallel()
	r := vql.NewRunner(newSet(t), vql.Options{})
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			n := 0
			stats, err := r.Run(t.Context(), vql.Request{Text: "SELECT N, X FROM counter(end=50) WHERE N >= X", Env: []vql.Var{{Name: "X", Value: i}}}, func(row vql.Row) error {
				n++
				return nil
			})
			if err != nil || stats.Err() != nil || n != 50-i {
				t.Errorf("query %d: %d rows, %v, %v", i, n, err, stats.Err())
			}
		})
	}
	wait.Wait()
}

func TestProtectStdout(t *testing.T) { //nolint:paralleltest // it changes os.Stdout
	before := os.Stdout
	stdout, restore := vql.ProtectStdout()
	if stdout != before || os.Stdout != os.Stderr {
		t.Error("os.Stdout is not os.Stderr")
	}
	if restore(); os.Stdout != before {
		t.Error("os.Stdout was not put back")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := vql.Parse("LET F(x) = upper(text=x) SELECT -N, F(x=Name) FROM Artifact.A.B(p=1, `q r`={ SELECT * FROM c() }) WHERE d(e=[1, f()])")
	want := []vql.Statement{
		{Index: 0, Kind: "LET", Text: "LET F(x) = upper(text=x)", Calls: []vql.Call{{"function", "upper", []string{"text"}}, {"symbol", "x", nil}}},
		{Index: 1, Kind: "SELECT", Calls: []vql.Call{
			{"symbol", "N", nil}, {"function", "F", []string{"x"}}, {"symbol", "Name", nil},
			{"plugin", "Artifact.A.B", []string{"p", "q r"}}, {"plugin", "c", nil}, {"function", "d", []string{"e"}}, {"function", "f", nil}}},
	}
	got[1].Text = ""
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	var parse *vql.ParseError
	if _, err := vql.Parse("SELECT"); !errors.As(err, &parse) {
		t.Error(err)
	}
}

// What the evaluator brings along is not there unless the set has it.
func TestSetIsAllThereIs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"SELECT * FROM range(start=1, end=5)", "SELECT * FROM foreach(row={ SELECT * FROM counter(end=1) })", "SELECT dict(a=1) AS D FROM counter(end=1)", "SELECT count() AS D FROM counter(end=1)"} {
		rows, stats, err := run(t, newSet(t), vql.Options{}, vql.Request{Text: text})
		if err != nil || len(stats.Errors) != 1 || stats.Errors[0].Kind != vql.KindUnknown || len(rows) > 0 && rows[0] != `{"D":null}` {
			t.Errorf("%s: %v, %v, %v", text, rows, stats.Err(), err)
		}
	}
}
