package vql_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"satchel/vql"
)

func TestOpsThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttle := vql.NewOpsThrottle(100, time.Now)
		started := time.Now()
		for range 500 {
			throttle.Wait(t.Context())
		}
		if took := time.Since(started); took < 4800*time.Millisecond || took > 5100*time.Millisecond {
			t.Errorf("500 operations at 100 a second took %s", took)
		}
		time.Sleep(time.Hour) // what was not used does not pile up
		started = time.Now()
		for range 100 {
			throttle.Wait(t.Context())
		}
		if took := time.Since(started); took < 800*time.Millisecond {
			t.Errorf("100 operations after a rest took %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		started = time.Now()
		for range 1000 {
			throttle.Wait(ctx)
		}
		if took := time.Since(started); took > 0 {
			t.Errorf("waited %s after the end", took)
		}
	})
}

func TestCPUThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var used time.Duration
		throttle := vql.NewCPUThrottle(25, 4, time.Now, func() time.Duration { return used })
		started := time.Now()
		for range 100_000 { // a single thread: 1 ms of work each, at most one of 4 processors
			time.Sleep(time.Millisecond)
			used += time.Millisecond
			throttle.Wait(t.Context())
		}
		if took := time.Since(started); took > 105*time.Second {
			t.Errorf("work within the limit took %s", took)
		}
		throttle = vql.NewCPUThrottle(10, 1, time.Now, func() time.Duration { return used })
		started = time.Now()
		for range 10_000 {
			time.Sleep(time.Millisecond)
			used += time.Millisecond
			throttle.Wait(t.Context())
		}
		if took := time.Since(started); took < 90*time.Second || took > 130*time.Second {
			t.Errorf("10 s of work at a tenth took %s", took)
		}
	})
}

func TestThrottles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never := vql.NewOpsThrottle(0, time.Now)
		started := time.Now()
		for range 100 {
			vql.Throttles(nil, never, vql.NewCPUThrottle(100, 1, time.Now, nil)).Wait(t.Context())
		}
		if time.Since(started) > 0 {
			t.Error("no limit waited")
		}
		slow := vql.Throttles(never, vql.NewOpsThrottle(10, time.Now))
		for range 20 {
			slow.Wait(t.Context())
		}
		if took := time.Since(started); took < time.Second {
			t.Errorf("20 operations at 10 a second took %s", took)
		}
	})
}

func TestRunIsThrottled(t *testing.T) {
	t.Parallel()
	started := time.Now()
	rows, _, err := run(t, newSet(t), vql.Options{}, vql.Request{Text: "SELECT N FROM counter(end=60)", Throttle: vql.NewOpsThrottle(100, time.Now)})
	if took := time.Since(started); err != nil || len(rows) != 60 || took < 400*time.Millisecond {
		t.Errorf("%d rows in %s, %v", len(rows), took, err)
	}
}

func TestProcessCPUTime(t *testing.T) {
	t.Parallel()
	before := vql.ProcessCPUTime()
	for started := time.Now(); time.Since(started) < 100*time.Millisecond; {
		continue
	}
	if after := vql.ProcessCPUTime(); after <= before {
		t.Errorf("%s, then %s", before, after)
	}
}
