package frame

import (
	"bytes"
	"fmt"
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{200, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			body := make([]byte, n)
			dst := make([]byte, 0, Size(n))
			b.SetBytes(int64(n))
			for i := range b.N {
				if _, err := Append(dst, Frame{Kind: 1, Seq: uint64(i) + 1, Body: body}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	for _, n := range []int{200, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var log []byte
			for i := 0; len(log) < 16<<20; i++ {
				log = append(log, encoded(b, Frame{Kind: 1, Seq: uint64(i) + 1, Body: make([]byte, n)})...)
			}
			b.SetBytes(int64(len(log)))
			for b.Loop() {
				s := NewScanner(bytes.NewReader(log), 0, int64(len(log)))
				for s.Next() {
				}
			}
		})
	}
}
