package vql

import (
	"math"
	"slices"
	"testing"
	"time"

	"www.velocidex.com/golang/vfilter"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	scope := vfilter.NewScope()
	// Each list is in order; every pair is compared both ways.
	for name, ordered := range map[string][]any{
		"numbers": {nil, math.Inf(-1), int64(math.MinInt64), int64(-1), -0.5, uint64(0), 0.5, int64(1), 1.5, uint64(2), int64(math.MaxInt64), uint64(math.MaxUint64), math.Inf(1)},
		"texts":   {nil, "", "A", "B", "a", "aa", "\xff"},
		"times":   {nil, time.Unix(1, 0), time.Unix(1, 1), time.Unix(2, 0)},
		"bytes":   {nil, []byte{}, []byte{1}, []byte{1, 0}, []byte{2}},
		"paths":   {nil, Path{}, NewPath(Posix, "a"), NewPath(Posix, "a", "b"), NewPath(Posix, "a!")},
	} {
		for i, a := range ordered {
			for j, b := range ordered {
				want := 0
				if i < j {
					want = -1
				} else if i > j {
					want = 1
				}
				if got := compare(scope, a, b); got != want {
					t.Errorf("%s: compare %v with %v: got %d, want %d", name, a, b, got, want)
				}
			}
		}
	}
}

func TestSortIsStable(t *testing.T) {
	t.Parallel()
	for _, desc := range []bool{false, true} {
		var items []sortItem
		for i := range 1000 {
			items = append(items, sortItem{row: i, key: int64(i % 7)})
		}
		sortItems(vfilter.NewScope(), items, desc)
		ok := slices.IsSortedFunc(items, func(a, b sortItem) int {
			x, _ := a.key.(int64)
			y, _ := b.key.(int64)
			if desc {
				x, y = y, x
			}
			if x != y {
				return int(x - y)
			}
			m, _ := a.row.(int)
			n, _ := b.row.(int)
			return m - n
		})
		if !ok {
			t.Errorf("desc %v: not in order, or not stable", desc)
		}
	}
}
