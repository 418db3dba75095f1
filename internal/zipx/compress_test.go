package zipx

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// inflate decodes with the standard library.
func inflate(b []byte) ([]byte, error) { return io.ReadAll(flate.NewReader(bytes.NewReader(b))) }

// TestBlocks: blocks join to one stream, and each can be read alone.
func TestBlocks(t *testing.T) {
	t.Parallel()
	var c Compressor
	for level := -1; level <= 10; level++ {
		plain := append(someText(9, 3<<17), someNoise(9, 1<<17)...)
		const size = 100_000
		var stream []byte
		var starts []int
		for at := 0; at < len(plain); at += size {
			starts = append(starts, len(stream))
			var err error
			if stream, err = c.Block(stream, plain[at:min(at+size, len(plain))], level); err != nil {
				t.Fatal(err)
			}
			if !bytes.HasSuffix(stream, []byte{0, 0, 0xff, 0xff}) {
				t.Errorf("level %d: block at %d does not end in a sync flush", level, at)
			}
		}
		stream = append(stream, DeflateEnd()...)
		got, err := inflate(stream)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("level %d: %d bytes, %v", level, len(got), err)
		}
		for i, start := range starts {
			if got, err := inflate(stream[start:]); err != nil || !bytes.Equal(got, plain[i*size:]) {
				t.Errorf("level %d: from block %d: %d bytes, %v", level, i, len(got), err)
			}
		}
		if level == 9 && len(stream) > len(plain)*2/3 {
			t.Errorf("level 9 made %d of %d bytes", len(stream), len(plain))
		}
	}
	if out, err := c.Block([]byte("x"), nil, 5); err != nil || string(out) != "x" {
		t.Errorf("empty block is %q, %v", out, err)
	}
}

// TestWhole covers the choice of the method.
func TestWhole(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		plain  []byte
		level  int
		method uint16
	}{
		{"empty", nil, 5, Store},
		{"one byte", []byte("a"), 5, Store},
		{"noise", someNoise(1, 5000), 9, Store},
		{"text", someText(1, 5000), 1, Deflate},
		{"level 0", someText(1, 5000), 0, Store},
		{"level out of range", someText(1, 5000), 77, Deflate},
	}
	for _, c := range cases {
		out, method, err := CompressWhole([]byte("before"), c.plain, c.level)
		if err != nil || method != c.method {
			t.Errorf("%s: method %d, want %d, %v", c.name, method, c.method, err)
			continue
		}
		data, ok := bytes.CutPrefix(out, []byte("before"))
		if !ok {
			t.Errorf("%s: what was there is gone", c.name)
		}
		if method == Deflate {
			if len(data) >= len(c.plain) {
				t.Errorf("%s: %d bytes of %d", c.name, len(data), len(c.plain))
			}
			if data, err = inflate(data); err != nil {
				t.Error(err)
			}
		}
		if !bytes.Equal(data, c.plain) {
			t.Errorf("%s: content differs", c.name)
		}
	}
}

// TestCompressorIsShared uses one from many goroutines; the output must not
// depend on what an encoder did before.
func TestCompressorIsShared(t *testing.T) {
	t.Parallel()
	var shared Compressor
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for level := range 10 {
				plain := someText(uint64(i), 10_000+i)
				got, err := shared.Block(nil, plain, level)
				want, err2 := new(Compressor).Block(nil, plain, level)
				if err != nil || err2 != nil || !bytes.Equal(got, want) {
					t.Errorf("level %d: %v, %v, output differs: %v", level, err, err2, !bytes.Equal(got, want))
				}
				got, err = shared.Frame(nil, plain, level)
				want, err2 = new(Compressor).Frame(nil, plain, level)
				if err != nil || err2 != nil || !bytes.Equal(got, want) {
					t.Errorf("zstd level %d: %v, %v, output differs: %v", level, err, err2, !bytes.Equal(got, want))
				}
			}
		})
	}
	group.Wait()
}

// unpack decodes data of any method with a reader that is not ours.
func unpack(t testing.TB, method uint16, data []byte) []byte {
	t.Helper()
	var err error
	switch method {
	case Deflate:
		data, err = inflate(data)
	case Zstd:
		d, e := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if e != nil {
			t.Fatal(e)
		}
		defer d.Close()
		data, err = d.DecodeAll(data, nil)
	}
	if err != nil {
		t.Fatalf("method %d: %v", method, err)
	}
	return data
}

// TestStream writes in all ways and pieces; workers do not change the bytes.
func TestStream(t *testing.T) {
	t.Parallel()
	for _, method := range []uint16{Store, Deflate, Zstd} {
		for _, size := range []int{0, 1, 999, 1000, 1001, 25_000} {
			plain := someText(uint64(size), size)
			var first []byte
			for _, workers := range []int{0, 1, 2, 5} {
				name := fmt.Sprintf("method %d, %d bytes, %d workers", method, size, workers)
				got, w := streamed(t, plain, StreamOptions{Method: method, Level: 5, Block: 1000, Workers: workers})
				if first == nil {
					first = got
				}
				if !bytes.Equal(got, first) {
					t.Errorf("%s: bytes differ from those of one worker", name)
				}
				var m Member
				w.Fill(&m)
				want := Member{Method: method, CRC32: crc32.ChecksumIEEE(plain), Size: uint64(size), CompressedSize: uint64(len(got))}
				if diff := cmp.Diff(want, m); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
				if back := unpack(t, method, got); !bytes.Equal(back, plain) {
					t.Errorf("%s: content differs", name)
				}
			}
		}
	}
}

// streamed writes plain in uneven pieces and checks where blocks are said to
// begin.
func streamed(t *testing.T, plain []byte, o StreamOptions) ([]byte, *StreamWriter) {
	t.Helper()
	var out []byte
	starts := map[uint64]uint64{}
	o.OnBlock = func(plain, compressed uint64) { starts[plain] = compressed }
	w, err := NewStreamWriter(new(Compressor), func(p []byte) error { out = append(out, p...); return nil }, o)
	if err != nil {
		t.Fatal(err)
	}
	for at, n := 0, 1; at < len(plain); n = n*7%1900 + 1 {
		k, err := w.Write(plain[at:min(at+n, len(plain))])
		if err != nil {
			t.Fatal(err)
		}
		at += k
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if want := (len(plain) + o.Block - 1) / o.Block; len(starts) != want {
		t.Errorf("%d blocks, want %d", len(starts), want)
	}
	for from, at := range starts {
		if back := unpack(t, o.Method, out[at:]); !bytes.Equal(back, plain[from:]) {
			t.Errorf("from block %d: %d bytes", from, len(back))
		}
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if err := w.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	w.Abort()
	return out, w
}

// TestStreamErrors: the first error of the sink stays, and no worker is left.
func TestStreamErrors(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for _, workers := range []int{0, 4} {
		for failing := range 12 {
			calls := 0
			sink := func([]byte) error {
				if calls++; calls > failing {
					return full
				}
				return nil
			}
			w, err := NewStreamWriter(new(Compressor), sink, StreamOptions{Method: Deflate, Level: 1, Block: 100, Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			_, first := w.Write(someText(1, 1050))
			_, second := w.Write(someText(2, 1050))
			if err := w.Close(); !errors.Is(err, full) {
				t.Errorf("%d workers, call %d: close: %v", workers, failing, err)
			}
			if first != nil && second != first {
				t.Errorf("%d workers, call %d: %v after %v", workers, failing, second, first)
			}
			if calls != failing+1 {
				t.Errorf("%d workers, call %d: %d calls after the error", workers, failing, calls-failing-1)
			}
			if _, err := w.Write([]byte("x")); !errors.Is(err, full) {
				t.Errorf("write after a failed close: %v", err)
			}
		}
		aborted, err := NewStreamWriter(new(Compressor), func([]byte) error { return nil }, StreamOptions{Method: Zstd, Block: 10, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := aborted.Write(someText(1, 95)); err != nil {
			t.Error(err)
		}
		aborted.Abort()
		aborted.Abort()
		if err := aborted.Close(); !errors.Is(err, ErrClosed) {
			t.Errorf("close after abort: %v", err)
		}
	}
	if _, err := NewStreamWriter(new(Compressor), nil, StreamOptions{Method: AES}); !errors.Is(err, ErrMethod) {
		t.Errorf("method 99: %v", err)
	}
}

// TestStreamMemory: what waits is bounded by the workers, not by what is written.
func TestStreamMemory(t *testing.T) {
	t.Parallel()
	const block, workers = 1000, 3
	written, emitted := uint64(0), uint64(0)
	o := StreamOptions{Method: Zstd, Level: 1, Block: block, Workers: workers}
	worst := uint64(0)
	o.OnBlock = func(plain, _ uint64) { emitted = plain }
	w, err := NewStreamWriter(new(Compressor), func([]byte) error { return nil }, o)
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		n, err := w.Write(make([]byte, 777))
		if err != nil {
			t.Fatal(err)
		}
		written += uint64(n)
		worst = max(worst, written-emitted)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if limit := uint64((2*workers + 3) * block); worst > limit {
		t.Errorf("%d bytes waited, at most %d may", worst, limit)
	}
}

// TestStreamProperty: any writes give one stream of the same content.
func TestStreamProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		pieces := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(r, "pieces")
		method := rapid.SampledFrom([]uint16{Store, Deflate, Zstd}).Draw(r, "method")
		var out []byte
		w, err := NewStreamWriter(new(Compressor), func(p []byte) error { out = append(out, p...); return nil }, StreamOptions{
			Method: method, Level: rapid.IntRange(0, 9).Draw(r, "level"),
			Block: rapid.IntRange(1, 40).Draw(r, "block"), Workers: rapid.IntRange(0, 3).Draw(r, "workers"),
		})
		if err != nil {
			r.Fatal(err)
		}
		for _, p := range pieces {
			if _, err := w.Write(p); err != nil {
				r.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			r.Fatal(err)
		}
		if want := bytes.Join(pieces, nil); !bytes.Equal(unpack(t, method, out), want) {
			r.Fatal("content differs")
		}
	})
}
