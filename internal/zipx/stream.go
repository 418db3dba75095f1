package zipx

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// DefaultBlock is the size of a block, in plain bytes, when none is given.
const DefaultBlock = 256 << 10

// ErrClosed answers a Write to a [StreamWriter] that was closed or aborted.
var ErrClosed = errors.New("zip stream is closed")

// StreamOptions say how a [StreamWriter] compresses.
type StreamOptions struct {
	Method  uint16 // Store, Deflate or Zstd
	Level   int    // 0 to 9
	Block   int    // plain bytes of a block; DefaultBlock when 0
	Workers int    // goroutines that compress; 0 and 1 compress in Write itself
	// OnBlock, when not nil, is told where each block begins, in bytes from the
	// start of the plain and of the compressed data.
	OnBlock func(plain, compressed uint64)
}

// StreamWriter turns what is written to it into the data of one member, in
// independent blocks, and keeps its CRC and sizes. It keeps at most two blocks
// for each worker. One goroutine may use it; it must end by Close or Abort.
type StreamWriter struct {
	c    *Compressor
	sink func([]byte) error
	o    StreamOptions

	buf     []byte
	scratch []byte // compressed block, without workers
	crc     uint32
	plain   uint64 // bytes handed to blocks
	begun   uint64 // plain bytes in blocks that reached the sink
	written uint64 // compressed bytes given to the sink
	err     error

	jobs    chan *block
	queue   []*block // in order, oldest first
	free    []*block
	workers sync.WaitGroup
}

// block is one piece of work, reused.
type block struct {
	plain, out []byte
	err        error
	done       chan struct{}
}

// NewStreamWriter returns a writer that gives the compressed bytes, in order, to
// sink, which must not keep them. Sink is called from Write and Close only, and
// its first error stays.
func NewStreamWriter(c *Compressor, sink func(p []byte) error, o StreamOptions) (*StreamWriter, error) {
	switch o.Method {
	case Store, Deflate, Zstd:
	default:
		return nil, fmt.Errorf("write method %d: %w", o.Method, ErrMethod)
	}
	if o.Block <= 0 {
		o.Block = DefaultBlock
	}
	w := &StreamWriter{c: c, sink: sink, o: o}
	if o.Workers > 1 && o.Method != Store {
		w.jobs = make(chan *block, o.Workers)
		for range o.Workers {
			w.workers.Add(1)
			go w.work(w.jobs)
		}
	}
	return w, nil
}

// work compresses blocks until the channel is closed.
func (w *StreamWriter) work(jobs <-chan *block) {
	defer w.workers.Done()
	for b := range jobs {
		b.out, b.err = w.compress(b.out[:0], b.plain)
		b.done <- struct{}{}
	}
}

func (w *StreamWriter) compress(dst, plain []byte) ([]byte, error) {
	switch w.o.Method {
	case Deflate:
		return w.c.Block(dst, plain, w.o.Level)
	case Zstd:
		return w.c.Frame(dst, plain, w.o.Level)
	}
	return append(dst, plain...), nil
}

// Write takes plain bytes. After an error it answers with that error always.
func (w *StreamWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) && w.err == nil {
		if w.buf == nil {
			w.buf = make([]byte, 0, w.o.Block)
		}
		k := min(len(p)-n, w.o.Block-len(w.buf))
		w.buf = append(w.buf, p[n:n+k]...)
		n += k
		if len(w.buf) == w.o.Block {
			w.flush()
		}
	}
	if w.err != nil {
		return n, w.err
	}
	return n, nil
}

// flush hands the buffered block on.
func (w *StreamWriter) flush() {
	w.crc = crc32.Update(w.crc, crc32.IEEETable, w.buf)
	w.plain += uint64(len(w.buf))
	if w.jobs == nil {
		var err error
		w.scratch, err = w.compress(w.scratch[:0], w.buf)
		w.emit(w.scratch, len(w.buf), err)
		w.buf = w.buf[:0]
		return
	}
	for len(w.queue) >= 2*w.o.Workers {
		w.take()
	}
	b := &block{done: make(chan struct{}, 1)}
	if n := len(w.free); n > 0 {
		b, w.free = w.free[n-1], w.free[:n-1]
	}
	b.plain, w.buf = w.buf, b.plain[:0]
	if cap(w.buf) == 0 {
		w.buf = nil
	}
	w.queue = append(w.queue, b)
	w.jobs <- b
}

// take waits for the oldest block and gives it to the sink.
func (w *StreamWriter) take() {
	b := w.queue[0]
	w.queue = append(w.queue[:0], w.queue[1:]...)
	<-b.done
	w.emit(b.out, len(b.plain), b.err)
	w.free = append(w.free, b)
}

// emit gives compressed bytes of plain bytes to the sink, unless there was an
// error before.
func (w *StreamWriter) emit(out []byte, plain int, err error) {
	if w.err != nil {
		return
	}
	if err == nil {
		if w.o.OnBlock != nil && plain > 0 {
			w.o.OnBlock(w.begun, w.written)
		}
		err = w.sink(out)
	}
	if err != nil {
		w.err = fmt.Errorf("write block at %d: %w", w.begun, err)
		return
	}
	w.begun += uint64(plain)
	w.written += uint64(len(out))
}

// Close writes what is left and the end of the stream, and waits for the
// workers. It returns the first error of the writer.
func (w *StreamWriter) Close() error {
	if errors.Is(w.err, ErrClosed) {
		return w.err
	}
	if w.err == nil && (len(w.buf) > 0 || w.o.Method == Zstd && w.plain == 0) {
		w.flush()
	}
	w.stop()
	if w.o.Method == Deflate {
		w.emit(DeflateEnd(), 0, nil)
	}
	err := w.err
	if err == nil {
		w.err = ErrClosed
	}
	return err
}

// Abort waits for the workers and writes nothing more. It does nothing after
// Close.
func (w *StreamWriter) Abort() {
	if w.err == nil {
		w.err = ErrClosed
	}
	w.stop()
}

// stop drains the queue and ends the workers.
func (w *StreamWriter) stop() {
	if w.jobs == nil {
		return
	}
	for len(w.queue) > 0 {
		w.take()
	}
	close(w.jobs)
	w.jobs = nil
	w.workers.Wait()
}

// Fill sets method, CRC and sizes of m to what was written. It is right after
// Close only.
func (w *StreamWriter) Fill(m *Member) {
	m.Method, m.CRC32, m.Size, m.CompressedSize = w.o.Method, w.crc, w.plain, w.written
}

var _ io.WriteCloser = (*StreamWriter)(nil)
