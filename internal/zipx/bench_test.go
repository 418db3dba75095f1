package zipx

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkBlock compresses a block of the size that containers use.
func BenchmarkBlock(b *testing.B) {
	for _, data := range []struct {
		name  string
		plain []byte
	}{{"text", someText(1, DefaultBlock)}, {"noise", someNoise(1, DefaultBlock)}} {
		for _, level := range []int{1, 5, 9} {
			b.Run(fmt.Sprintf("%s/level%d", data.name, level), func(b *testing.B) {
				var c Compressor
				var out []byte
				var err error
				b.SetBytes(int64(len(data.plain)))
				b.ReportAllocs()
				for b.Loop() {
					if out, err = c.Block(out[:0], data.plain, level); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// manyMembers is how many members the directory benchmarks have.
const manyMembers = 1_000_000

// BenchmarkAppendDirectory writes the directory of a million members.
func BenchmarkAppendDirectory(b *testing.B) {
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out = largeDirectory(out[:0])
	}
	b.SetBytes(int64(len(out)))
}

func largeDirectory(out []byte) []byte {
	name := []byte("uploads/file/some/directory/of/a/host/file-0000000.json")
	m := Member{Method: Deflate, Modified: someTime, Size: 4000, CompressedSize: 1000}
	for i := range uint64(manyMembers) {
		for v, at := i, len(name)-6; at > len(name)-13; v, at = v/10, at-1 {
			name[at] = byte('0' + v%10)
		}
		m.Name, m.Offset, m.CRC32 = string(name), i*5000, uint32(i)
		out = AppendCentral(out, &m)
	}
	return AppendEnd(out, manyMembers, 0, int64(len(out)), "")
}

// BenchmarkOpenMillion reads an archive of a million members: its directory, an
// index of it, and one member by name.
func BenchmarkOpenMillion(b *testing.B) {
	dir := largeDirectory(nil)
	size := int64(len(dir))
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a, err := Open(bytes.NewReader(dir), size, Limits{})
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for _, err := range a.Members() {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != manyMembers {
				b.Fatal(n)
			}
		}
	})
	b.Run("index", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a, err := Open(bytes.NewReader(dir), size, Limits{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := a.Lookup("uploads/file/some/directory/of/a/host/file-0777777.json"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lookup", func(b *testing.B) {
		a, err := Open(bytes.NewReader(dir), size, Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := a.Lookup("not there, but the index is made"); err == nil {
			b.Fatal("found")
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Lookup("uploads/file/some/directory/of/a/host/file-0777777.json"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSalvage walks an archive of small and large members.
func BenchmarkSalvage(b *testing.B) {
	var files []file
	for i := range 500 {
		files = append(files, file{name: nameOf(i), data: someText(uint64(i), 4000), method: Deflate})
	}
	files = append(files, file{name: "large", data: someText(1, 8<<20), method: Deflate, stream: true})
	data, _ := build(b, files...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range Salvage(bytes.NewReader(data), 0, int64(len(data)), Limits{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != len(files) {
			b.Fatal(n)
		}
	}
}
