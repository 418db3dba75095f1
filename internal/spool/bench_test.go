package spool

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// benchDir is a directory on the disk that the benchmarks measure.
func benchDir(b *testing.B, o Options) *Log {
	return mustDir(b, filepath.Join(b.TempDir(), "spool"), o)
}

// BenchmarkAppendSync has writers append a record and wait until it is durable. It reports records per second, and the
// median and the 99th percentile of what one waits.
func BenchmarkAppendSync(b *testing.B) {
	for _, size := range []int{200, 64 << 10} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("size=%d/writers=%d", size, writers), func(b *testing.B) {
				l := benchDir(b, Options{})
				defer mustClose(b, l)
				body := make([]byte, size)
				waits := make([][]time.Duration, writers)
				b.SetBytes(int64(size))
				b.ResetTimer()
				var wg sync.WaitGroup
				for w := range writers {
					wg.Go(func() {
						for i := w; i < b.N; i += writers {
							start := time.Now()
							if _, err := l.Append(b.Context(), 1, body); err != nil {
								b.Error(err)
								return
							}
							if err := l.Sync(); err != nil {
								b.Error(err)
								return
							}
							waits[w] = append(waits[w], time.Since(start))
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				all := slices.Sorted(slices.Values(slices.Concat(waits...)))
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(all[len(all)/2].Seconds()*1000, "p50-ms")
				b.ReportMetric(all[len(all)*99/100].Seconds()*1000, "p99-ms")
			})
		}
	}
}

// BenchmarkAppend has writers append without waiting; the log syncs itself every 64 MiB.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{200, 64 << 10} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("size=%d/writers=%d", size, writers), func(b *testing.B) {
				l := benchDir(b, Options{SyncBytes: 64 << 20})
				defer mustClose(b, l)
				body := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for w := range writers {
					wg.Go(func() {
						for i := w; i < b.N; i += writers {
							if _, err := l.Append(b.Context(), 1, body); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// BenchmarkScan reads a log of 64 MiB from start to end.
func BenchmarkScan(b *testing.B) {
	for _, size := range []int{200, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			l := benchDir(b, Options{SegmentBytes: 16 << 20})
			defer mustClose(b, l)
			body := make([]byte, size)
			n := 0
			for ; n*(size+24) < 64<<20; n++ {
				if _, err := l.Append(b.Context(), 1, body); err != nil {
					b.Fatal(err)
				}
			}
			if err := l.Sync(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(l.Size())
			for b.Loop() {
				got := 0
				for _, err := range l.Stored(b.Context(), 1) {
					if err != nil {
						b.Fatal(err)
					}
					got++
				}
				if got != n {
					b.Fatalf("%d records of %d", got, n)
				}
			}
		})
	}
}

// BenchmarkTail measures how long a record needs from Append to a reader that waits for it.
func BenchmarkTail(b *testing.B) {
	l := benchDir(b, Options{SyncTail: -1})
	ctx, cancel := context.WithCancel(b.Context())
	seen := make(chan uint64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for f, err := range l.From(ctx, 1) {
			if err != nil {
				return
			}
			seen <- f.Seq
		}
	})
	for b.Loop() {
		if _, err := l.Append(ctx, 1, []byte("alert")); err != nil {
			b.Fatal(err)
		}
		<-seen
	}
	cancel()
	wg.Wait()
	mustClose(b, l)
}

// BenchmarkOpen opens a directory with a backlog of many segments.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "spool")
	l := mustDir(b, dir, Options{SegmentBytes: 64 << 10})
	for range 1000 {
		add(b, l, 1, make([]byte, 60<<10))
	}
	mustClose(b, l)
	for b.Loop() {
		mustClose(b, mustDir(b, dir, Options{}))
	}
}
