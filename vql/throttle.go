package vql

import (
	"context"
	"sync"
	"time"
)

// Throttle slows queries down. Wait returns when the next operation may run,
// or when ctx ends. It may be called by several goroutines at once.
type Throttle interface {
	Wait(ctx context.Context)
}

// opsThrottle lets a number of operations through each second.
type opsThrottle struct {
	interval time.Duration
	now      func() time.Time

	mu   sync.Mutex
	next time.Time
}

// burst is how far operations that were not used may pile up.
const burst = 100 * time.Millisecond

// NewOpsThrottle lets so many operations through each second: rows of plugins,
// and what plugins charge by [Scope.Throttle]. Zero or less is no limit.
func NewOpsThrottle(perSecond float64, now func() time.Time) Throttle {
	if perSecond <= 0 {
		return noThrottle{}
	}
	return &opsThrottle{interval: time.Duration(float64(time.Second) / perSecond), now: now}
}

func (t *opsThrottle) Wait(ctx context.Context) {
	t.mu.Lock()
	now := t.now()
	if earliest := now.Add(-burst); t.next.Before(earliest) {
		t.next = earliest
	}
	t.next = t.next.Add(t.interval)
	wait := t.next.Sub(now)
	t.mu.Unlock()
	pause(ctx, wait)
}

// cpuThrottle keeps the processor time of the process under a share.
type cpuThrottle struct {
	share float64 // of all processors together, over 0 and under 1
	now   func() time.Time
	used  func() time.Duration

	mu      sync.Mutex
	calls   int
	started time.Time
	base    time.Duration
}

// cpuWindow is the time over which the share is held.
const cpuWindow = 10 * time.Second

// NewCPUThrottle keeps the process under a share of one machine's processor
// time, in percent. used tells the processor time that the process has taken so
// far, summed over its processors, of which there are so many. Zero, or 100 and
// more, is no limit.
func NewCPUThrottle(percent float64, processors int, now func() time.Time, used func() time.Duration) Throttle {
	if percent <= 0 || percent >= 100 || used == nil {
		return noThrottle{}
	}
	return &cpuThrottle{share: percent / 100 * float64(max(1, processors)), now: now, used: used}
}

func (t *cpuThrottle) Wait(ctx context.Context) {
	t.mu.Lock()
	if t.calls++; t.calls%16 != 1 {
		t.mu.Unlock()
		return
	}
	now, used := t.now(), t.used()
	if t.started.IsZero() || now.Sub(t.started) > cpuWindow {
		t.started, t.base = now, used
	}
	allowed := time.Duration(float64(now.Sub(t.started)) * t.share)
	over := used - t.base - allowed
	t.mu.Unlock()
	if over > 0 {
		pause(ctx, min(time.Duration(float64(over)/t.share), time.Second))
	}
}

type noThrottle struct{}

func (noThrottle) Wait(context.Context) {}

// Throttles waits for each in turn. Nil ones are left out.
func Throttles(all ...Throttle) Throttle {
	var used throttles
	for _, t := range all {
		if _, none := t.(noThrottle); t != nil && !none {
			used = append(used, t)
		}
	}
	if len(used) == 0 {
		return noThrottle{}
	}
	return used
}

type throttles []Throttle

func (all throttles) Wait(ctx context.Context) {
	for _, t := range all {
		t.Wait(ctx)
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
