package core

import (
	"context"
	"regexp"
	"time"

	"satchel/vql"
)

func streamList() []vql.Registration {
	return []vql.Registration{
		vql.NewValuesPlugin("flatten", flatten, vql.Doc("Repeats a row for each element of its columns that are lists.")),
		vql.NewRowsPlugin("column_filter", columnFilter, vql.Doc("Leaves columns out of the rows of a query.")),
		vql.NewRowsPlugin("dedup", dedup, vql.Doc("Passes a row on unless one with the same key came before.")),
		vql.NewPlugin("batch", batch, vql.Doc("Gathers the rows of a query into lists.")),
		vql.NewRowsPlugin("delay", delay, vql.Doc("Holds each row of a query back for a time.")),
		vql.NewRowsPlugin("sample", sample, vql.Doc("Passes each n-th row of a query on.")),
		vql.NewPlugin("clock", clock, vql.Event(), vql.Doc("Gives a row at each tick.")),
	}
}

type queryArgs struct {
	Query vql.Query `vql:"query,required"`
}

// maxFlattened bounds the rows that one row may become.
const maxFlattened = 10_000_000

func flatten(ctx context.Context, s *vql.Scope, a queryArgs, emit func(any) bool) error {
	for row := range a.Query.Rows(ctx, s) {
		names := row.Columns.Names()
		cells := make([][]any, len(names))
		total := 1
		for i := range names {
			cells[i] = cellItems(ctx, s, row.At(i))
			if total *= len(cells[i]); total > maxFlattened {
				return errTooMany
			}
		}
		if !product(row.Columns, cells, emit) {
			return nil
		}
	}
	return nil
}

// cellItems returns the elements of a cell that is a list or a query, else the
// cell alone. A cell without elements stays what it is.
func cellItems(ctx context.Context, s *vql.Scope, cell any) []any {
	switch cell.(type) {
	case nil, string, *vql.Dict, vql.Row, []byte:
		return []any{cell}
	}
	items := s.Items(ctx, cell)
	if len(items) == 0 {
		return []any{cell}
	}
	return items
}

// product emits a row for each combination, the first column changing fastest.
func product(columns *vql.Columns, cells [][]any, emit func(any) bool) bool {
	at := make([]int, len(cells))
	for {
		values := make([]any, len(cells))
		for i := range cells {
			values[i] = cells[i][at[i]]
		}
		if !emit(vql.NewRow(columns, values...)) {
			return false
		}
		i := 0
		for ; i < len(at); i++ {
			if at[i]++; at[i] < len(cells[i]) {
				break
			}
			at[i] = 0
		}
		if i == len(at) {
			return true
		}
	}
}

type columnFilterArgs struct {
	Query   vql.Query `vql:"query,required"`
	Exclude []string  `vql:"exclude"`
	Include []string  `vql:"include"`
}

// columnFilter keeps the columns that match one of include (all if there is
// none) and none of exclude.
func columnFilter(ctx context.Context, s *vql.Scope, a columnFilterArgs, emit func(vql.Row) bool) error {
	include, err := compileAll(s, a.Include)
	if err != nil {
		return err
	}
	exclude, err := compileAll(s, a.Exclude)
	if err != nil {
		return err
	}
	var from, to *vql.Columns
	var keep []int
	for row := range a.Query.Rows(ctx, s) {
		if row.Columns != from {
			from, keep = row.Columns, nil
			var names []string
			for i, name := range from.Names() {
				if (len(include) == 0 || anyMatch(include, name)) && !anyMatch(exclude, name) {
					names, keep = append(names, name), append(keep, i)
				}
			}
			to = vql.NewColumns(names...)
		}
		values := make([]any, len(keep))
		for i, k := range keep {
			values[i] = row.At(k)
		}
		if !emit(vql.NewRow(to, values...)) {
			return nil
		}
	}
	return nil
}

func compileAll(s *vql.Scope, patterns []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range patterns {
		re, err := s.Regexp(p)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

func anyMatch(patterns []*regexp.Regexp, text string) bool {
	for _, re := range patterns {
		if re.MatchString(text) {
			return true
		}
	}
	return false
}

type dedupArgs struct {
	Key     string    `vql:"key,required"`
	Query   vql.Query `vql:"query,required"`
	Timeout int64     `vql:"timeout"` // seconds after which a key counts as new, 0 never
	Size    int64     `vql:"size"`    // how many keys are remembered
}

func dedup(ctx context.Context, s *vql.Scope, a dedupArgs, emit func(vql.Row) bool) error {
	if a.Size <= 0 {
		a.Size = 1_000_000
	}
	seen := newLRU[time.Time](int(min(a.Size, 10_000_000)))
	for row := range a.Query.Rows(ctx, s) {
		key, _ := row.Get(a.Key)
		text, now := s.Text(key), s.Now()
		last, found := seen.get(text)
		if found && (a.Timeout <= 0 || now.Sub(last) < time.Duration(a.Timeout)*time.Second) {
			continue
		}
		seen.put(text, now)
		if !emit(row) {
			return nil
		}
	}
	return nil
}

type batchArgs struct {
	Query     vql.Query  `vql:"query,required"`
	BatchSize int64      `vql:"batch_size"`
	BatchFunc vql.Lambda `vql:"batch_func"` // of the list: true ends the batch
	Timeout   int64      `vql:"timeout"`    // seconds after which a row ends the batch
}

type batchRow struct {
	Rows []any
}

func batch(ctx context.Context, s *vql.Scope, a batchArgs, emit func(*batchRow) bool) error {
	if a.BatchSize <= 0 && !a.BatchFunc.IsSet() {
		a.BatchSize = 100
	}
	var list []any
	started := s.Now()
	for row := range a.Query.Rows(ctx, s) {
		list = append(list, row.Dict())
		full := a.BatchSize > 0 && int64(len(list)) >= a.BatchSize ||
			a.Timeout > 0 && s.Now().Sub(started) >= time.Duration(a.Timeout)*time.Second ||
			a.BatchFunc.IsSet() && s.Truth(a.BatchFunc.Call(ctx, s, list))
		if !full {
			continue
		}
		if !emit(&batchRow{list}) {
			return nil
		}
		list, started = nil, s.Now()
	}
	if len(list) > 0 {
		emit(&batchRow{list})
	}
	return nil
}

type delayArgs struct {
	Query      vql.Query `vql:"query,required"`
	Delay      int64     `vql:"delay,required"` // seconds
	BufferSize int64     `vql:"buffer_size"`
}

type delayed struct {
	row vql.Row
	due time.Time
}

func delay(ctx context.Context, s *vql.Scope, a delayArgs, emit func(vql.Row) bool) error {
	size := a.BufferSize
	if size <= 0 {
		size = 1000
	}
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan delayed, min(size, 1_000_000))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for d := range queue {
			if !s.Pause(ctx, d.due.Sub(s.Now())) || !emit(d.row) {
				cancel()
				return
			}
		}
	}()
	for row := range a.Query.Rows(ctx, s) {
		select {
		case queue <- delayed{row, s.Now().Add(time.Duration(a.Delay) * time.Second)}:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	<-ended
	cancel()
	return nil
}

type sampleArgs struct {
	Query vql.Query `vql:"query,required"`
	N     int64     `vql:"n,required"`
}

func sample(ctx context.Context, s *vql.Scope, a sampleArgs, emit func(vql.Row) bool) error {
	n := int64(0)
	for row := range a.Query.Rows(ctx, s) {
		if n%max(1, a.N) == 0 && !emit(row) {
			return nil
		}
		n++
	}
	return nil
}

type clockArgs struct {
	Start  any   `vql:"start"`
	Period int64 `vql:"period"` // seconds
	MS     int64 `vql:"ms"`
}

type clockRow struct {
	Timestamp time.Time
	Seq       int64
}

func clock(ctx context.Context, s *vql.Scope, a clockArgs, emit func(*clockRow) bool) error {
	period := time.Duration(a.Period)*time.Second + time.Duration(a.MS)*time.Millisecond
	if period <= 0 {
		period = time.Second
	}
	if a.Start != nil {
		start, err := vql.ToTime(a.Start)
		if err != nil {
			return err
		}
		if !s.Pause(ctx, start.Sub(s.Now())) {
			return nil
		}
	}
	for seq := int64(0); s.Pause(ctx, period); seq++ {
		if !emit(&clockRow{s.Now().UTC(), seq}) {
			return nil
		}
	}
	return nil
}
