package vql

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"www.velocidex.com/golang/vfilter/types"
)

// sorter runs ORDER BY. It is stable in both directions; NULL and missing
// values come first when ascending.
type sorter struct{}

type sortItem struct {
	row types.Row
	key any
}

// Sort reads all rows, even when the query has ended, because whoever feeds
// it cannot stop.
func (sorter) Sort(ctx context.Context, scope types.Scope, input <-chan types.Row, key string, desc bool) <-chan types.Row {
	out := make(chan types.Row, channelSize)
	go func() {
		defer close(out)
		var items []sortItem
		for ended := false; !ended; {
			select {
			case row, more := <-input:
				if !more {
					ended = true
					break
				}
				v, _ := scope.Associative(row, key)
				items = append(items, sortItem{row: row, key: fromEngine(v)})
			case <-ctx.Done():
				go func() {
					for range input {
					}
				}()
				return
			}
		}
		sortItems(scope, items, desc)
		for _, item := range items {
			select {
			case out <- item.row:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func sortItems(scope types.Scope, items []sortItem, desc bool) {
	slices.SortStableFunc(items, func(a, b sortItem) int {
		c := compare(scope, a.key, b.key)
		if desc {
			return -c
		}
		return c
	})
}

// compare orders two values: numbers by value whatever their type, texts by
// bytes, times by time, and the rest as VQL's < says.
func compare(scope types.Scope, a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	case Path:
		if y, ok := b.(Path); ok {
			return slices.Compare(x.components, y.components)
		}
	case []byte:
		if y, ok := b.([]byte); ok {
			return bytes.Compare(x, y)
		}
	case int64, uint64, float64:
		if c, ok := compareNumbers(a, b); ok {
			return c
		}
	}
	x, y := toEngine(a), toEngine(b)
	switch {
	case scope.Lt(x, y):
		return -1
	case scope.Lt(y, x):
		return 1
	}
	return 0
}

func compareNumbers(a, b any) (int, bool) {
	switch x := a.(type) {
	case int64:
		switch y := b.(type) {
		case int64:
			return cmp.Compare(x, y), true
		case uint64:
			if x < 0 || y > math.MaxInt64 {
				return -1, true
			}
			return cmp.Compare(x, int64(y)), true
		case float64:
			return cmp.Compare(float64(x), y), true
		}
	case uint64:
		switch y := b.(type) {
		case uint64:
			return cmp.Compare(x, y), true
		case float64:
			return cmp.Compare(float64(x), y), true
		case int64:
			c, _ := compareNumbers(b, a)
			return -c, true
		}
	case float64:
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y), true
		}
		if c, ok := compareNumbers(b, a); ok {
			return -c, true
		}
	}
	return 0, false
}
