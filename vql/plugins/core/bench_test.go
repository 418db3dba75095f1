package core_test

import (
	"fmt"
	"testing"

	"satchel/vql"
	"satchel/vql/plugins/core"
)

func benchmarkQuery(b *testing.B, rows int, query string) {
	set := vql.NewSet()
	if err := set.Add(append(core.List(), vql.NewPlugin("letters", letters))...); err != nil {
		b.Fatal(err)
	}
	runner := vql.NewRunner(set, vql.Options{})
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		stats, err := runner.Run(b.Context(), vql.Request{Text: query}, func(r vql.Row) error {
			buffer = vql.AppendJSON(buffer[:0], r)
			return nil
		})
		if err != nil || stats.Err() != nil {
			b.Fatal(err, stats.Err())
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkStart(b *testing.B) {
	benchmarkQuery(b, 1, "SELECT 1 AS X FROM scope()")
}

func BenchmarkRange(b *testing.B) {
	benchmarkQuery(b, 100_000, "SELECT * FROM range(end=100000)")
}

func BenchmarkCount(b *testing.B) {
	benchmarkQuery(b, 100_000, "SELECT count() AS N FROM range(end=100000) GROUP BY 1")
}

func BenchmarkGroups(b *testing.B) {
	for _, groups := range []int{10, 1000, 50_000} {
		b.Run(fmt.Sprint(groups), func(b *testing.B) {
			benchmarkQuery(b, 100_000, fmt.Sprintf("SELECT _value - %d * int(int=_value / %d) AS G, count() AS N, sum(item=_value) AS S FROM range(end=100000) GROUP BY G", groups, groups))
		})
	}
}

func BenchmarkJSONL(b *testing.B) {
	benchmarkQuery(b, 100_000, "SELECT Letter, Number, When FROM letters(n=100000)")
}

func BenchmarkWide(b *testing.B) {
	benchmarkQuery(b, 20_000, "SELECT * FROM letters(n=20000) WHERE Number > 10")
}

func BenchmarkForeach(b *testing.B) {
	benchmarkQuery(b, 100_000, "SELECT * FROM foreach(row={ SELECT * FROM range(end=100) }, query={ SELECT _value FROM range(end=1000) })")
}

func BenchmarkFunction(b *testing.B) {
	benchmarkQuery(b, 50_000, "SELECT format(format='%d', args=_value) AS X, if(condition=_value > 5, then=1, else=2) AS Y FROM range(end=50000)")
}
