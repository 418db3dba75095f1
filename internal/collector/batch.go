package collector

import (
	"sync"
	"time"

	"satchel/internal/flow"
	"satchel/vql"
)

// batch gathers the rows of one item and hands them on when they reach a size,
// or when the first of them has waited long enough. A row that is larger than
// the size is a batch of its own.
type batch struct {
	write func(flow.RowBatch) error
	now   func() time.Time
	size  int
	every time.Duration

	mu    sync.Mutex
	rows  flow.RowBatch
	timer *time.Timer
	armed bool
	err   error // the first one sticks
}

func newBatch(o Options, write func(flow.RowBatch) error) *batch {
	return &batch{write: write, now: o.Now, size: o.BatchBytes, every: o.BatchEvery}
}

// add encodes one row. The error is that of a write.
func (b *batch) add(r vql.Row) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	at, before := b.now(), len(b.rows.JSONL)
	whole := append(vql.AppendJSON(b.rows.JSONL, r), '\n')
	if before > 0 && len(whole) > b.size {
		b.rows.JSONL = whole[:before]
		if err := b.flush(); err != nil {
			return err
		}
		whole = append(b.rows.JSONL, whole[before:]...)
	}
	if b.rows.Rows == 0 {
		b.rows.First = at
	}
	b.rows.JSONL, b.rows.Last = whole, at
	b.rows.Rows++
	if len(whole) >= b.size {
		return b.flush()
	}
	if !b.armed {
		b.armed = true
		if b.timer == nil {
			b.timer = time.AfterFunc(b.every, b.tick)
		} else {
			b.timer.Reset(b.every)
		}
	}
	return nil
}

func (b *batch) tick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.armed {
		_ = b.flush() // the error sticks: add or close returns it
	}
}

// close hands on what is left and stops the timer.
func (b *batch) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
	}
	return b.flush()
}

func (b *batch) flush() error {
	b.armed = false
	if b.err != nil || b.rows.Rows == 0 {
		return b.err
	}
	b.err = b.write(b.rows)
	buffer := b.rows.JSONL[:0]
	if cap(buffer) > 4*b.size {
		buffer = nil // one huge row is no reason to keep its memory
	}
	b.rows = flow.RowBatch{JSONL: buffer}
	return b.err
}
