package collector

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"

	"pgregory.net/rapid"
)

// TestEveryItemHasOneOutcome runs random plans whose items do everything that
// items can do, with random limits and interruptions, and counts reports.
func TestEveryItemHasOneOutcome(t *testing.T) {
	t.Parallel()
	boom := vql.QueryError{Kind: vql.KindPlugin, Name: "boom", Count: 1, Err: errors.New("it broke")}
	rapid.Check(t, func(rt *rapid.T) {
		p, s := plan(), script{}
		for i := range rapid.IntRange(0, 12).Draw(rt, "items") {
			name := fmt.Sprintf("A%d", i)
			it := artifacts.Item{Artifact: name, Name: name}
			it.Preconditions = rapid.SliceOfN(rapid.SampledFrom([]string{"yes", "yes", "no", "bad", "panic", "hang"}), 0, 2).Draw(rt, "preconditions")
			it.Timeout = rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Second}).Draw(rt, "timeout")
			p.Items = append(p.Items, it)
			n := rapid.IntRange(0, 3000).Draw(rt, "n")
			s[name] = rapid.SampledFrom([]behaviour{
				someRows(n), rowsThen(n, boom), untilStopped(n), deaf, uploads(n*3, -1), uploads(n, int64(n)),
				targets(n, flow.Missing, flow.Collected, flow.Denied), targets(0, flow.Missing, flow.Missing),
				func(context.Context, flow.Sink, func(int) error) (vql.Stats, error) { panic(n) },
				func(ctx context.Context, to flow.Sink, row func(int) error) (vql.Stats, error) {
					time.Sleep(time.Duration(n) * 10 * time.Millisecond)
					return someRows(n)(ctx, to, row)
				},
			}).Draw(rt, "behaviour")
		}
		o := Options{
			Concurrency:    rapid.IntRange(1, 5).Draw(rt, "concurrency"),
			Timeout:        rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Minute}).Draw(rt, "whole"),
			MaxUploadBytes: rapid.SampledFrom([]int64{0, 5000}).Draw(rt, "uploads"),
			MaxFileBytes:   rapid.SampledFrom([]int64{0, 2500}).Draw(rt, "file"),
			BatchBytes:     rapid.SampledFrom([]int{0, 100}).Draw(rt, "batch"),
		}
		stopAfter := time.Duration(rapid.IntRange(1, 30).Draw(rt, "stop")) * time.Second
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer time.AfterFunc(stopAfter, func() { cancel(errors.New("interrupted")) }).Stop()
			m := &memory{}
			sum, err := Run(ctx, p, s, m, o)
			if err != nil {
				rt.Fatal(err)
			}
			checkOutcomes(rt, p, m, sum)
			time.Sleep(2 * time.Hour)
		})
	})
}

func checkOutcomes(rt *rapid.T, p *artifacts.Plan, m *memory, sum Summary) {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := map[[2]string]int{}
	for _, r := range m.reports {
		count[[2]string{r.Source, r.Target}]++
		if r.Outcome == "" {
			rt.Fatalf("a report without an outcome: %+v", r)
		}
	}
	for key, n := range count {
		if n != 1 {
			rt.Fatalf("%v has %d outcomes", key, n)
		}
	}
	total := 0
	for i, it := range p.Items {
		if count[[2]string{it.Name, ""}] != 1 || sum.Items[i].Source != it.Name {
			rt.Fatalf("%s has no outcome: %+v", it.Name, sum.Items[i])
		}
		rows := 0
		for _, b := range m.batches[it.Name] {
			rows += b.Rows
		}
		if int64(rows) != sum.Items[i].Rows {
			rt.Fatalf("%s: %d rows stored, %d reported", it.Name, rows, sum.Items[i].Rows)
		}
	}
	for _, n := range sum.Outcomes {
		total += n
	}
	if total != len(p.Items) {
		rt.Fatalf("%d outcomes for %d items", total, len(p.Items))
	}
	var bytes int64
	for _, u := range m.uploads {
		if u.ended != 1 {
			rt.Fatalf("an upload was ended %d times", u.ended)
		}
		bytes += int64(u.data.Len())
	}
	if bytes != sum.Bytes {
		rt.Fatalf("%d bytes stored, %d counted", bytes, sum.Bytes)
	}
}
