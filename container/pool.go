package container

import "sync"

// Buffers come from pools of a few sizes, so that fifty thousand small files
// cost no garbage.
var (
	pool16  = sync.Pool{New: func() any { return new([16 << 10]byte) }}
	pool64  = sync.Pool{New: func() any { return new([64 << 10]byte) }}
	pool320 = sync.Pool{New: func() any { return new([320 << 10]byte) }}
)

// getBuffer returns an empty buffer with room for n bytes.
func getBuffer(n int) []byte {
	switch {
	case n <= 16<<10:
		return pool16.Get().(*[16 << 10]byte)[:0]
	case n <= 64<<10:
		return pool64.Get().(*[64 << 10]byte)[:0]
	case n <= 320<<10:
		return pool320.Get().(*[320 << 10]byte)[:0]
	}
	return make([]byte, 0, n)
}

// putBuffer gives a buffer back. Buffers of other origin are left to the
// collector of garbage.
func putBuffer(b []byte) {
	switch cap(b) {
	case 16 << 10:
		pool16.Put((*[16 << 10]byte)(b[:16<<10]))
	case 64 << 10:
		pool64.Put((*[64 << 10]byte)(b[:64<<10]))
	case 320 << 10:
		pool320.Put((*[320 << 10]byte)(b[:320<<10]))
	}
}
