package vql

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// wait waits for what still runs, for the time of grace, and returns the names
// of the plugins and functions that run then.
func (r *run) wait() []string {
	ends := time.Now().Add(r.options.Grace)
	names := append(r.workers.wait(r.options.Grace), r.places.wait(time.Until(ends))...)
	slices.Sort(names)
	return slices.Compact(names)
}

// workers counts the plugin calls that have not ended.
type workers struct {
	mu     sync.Mutex
	active map[*pluginCall]int
	count  int
	idle   chan struct{} // closed when count falls to 0 while somebody waits
}

func (w *workers) add(c *pluginCall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.active == nil {
		w.active = make(map[*pluginCall]int)
	}
	w.active[c]++
	w.count++
}

func (w *workers) done(c *pluginCall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	if w.active[c]--; w.active[c] == 0 {
		delete(w.active, c)
	}
	if w.count == 0 && w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

// wait returns the names of the plugins that have not ended in time.
func (w *workers) wait(grace time.Duration) []string {
	w.mu.Lock()
	if w.count == 0 {
		w.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	w.idle = idle
	w.mu.Unlock()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-idle:
		return nil
	case <-timer.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for c := range w.active {
		names = append(names, c.plugin.name)
	}
	slices.Sort(names)
	return names
}

// places are the places of the statements that call functions.
type places struct {
	mu  sync.Mutex
	all []*functionCall
}

// place makes the function object of one place.
func (r *run) place(f *function) *functionCall {
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	c := &functionCall{function: f, run: r, site: strconv.Itoa(len(r.places.all) + 1)}
	r.places.all = append(r.places.all, c)
	return c
}

// active returns the names of the functions that have not returned.
func (p *places) active() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for _, c := range p.all {
		if c.active.Load() > 0 {
			names = append(names, c.function.name)
		}
	}
	return names
}

// wait returns the names of the functions that have not returned in time.
func (p *places) wait(grace time.Duration) []string {
	ends := time.Now().Add(grace)
	for {
		names := p.active()
		if len(names) == 0 || time.Now().After(ends) {
			return names
		}
		time.Sleep(time.Millisecond)
	}
}
