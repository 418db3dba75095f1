package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// errReaderGone says that nobody reads standard output any more.
var errReaderGone = errors.New("the reader of standard output has gone")

// flushEvery is how long a result may wait in the buffer.
const flushEvery = 100 * time.Millisecond

// output is standard output: buffered, flushed by a timer, with a sticky
// error. A broken pipe becomes errReaderGone.
type output struct {
	mu    sync.Mutex
	buf   *bufio.Writer
	err   error
	timer *time.Timer
	armed bool
}

func newOutput(w io.Writer) *output {
	return &output{buf: bufio.NewWriterSize(w, 64<<10)}
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.buf.Write(p)
	if err != nil {
		return n, o.fail(err)
	}
	if o.buf.Buffered() > 0 && !o.armed {
		o.armed = true
		if o.timer == nil {
			o.timer = time.AfterFunc(flushEvery, o.tick)
		} else {
			o.timer.Reset(flushEvery)
		}
	}
	return n, nil
}

func (o *output) tick() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.armed {
		o.flush()
	}
}

// Flush writes out what is buffered.
func (o *output) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flush()
}

// Close flushes and stops the timer.
func (o *output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
	}
	return o.flush()
}

func (o *output) gone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return errors.Is(o.err, errReaderGone)
}

func (o *output) flush() error {
	o.armed = false
	if o.err != nil {
		return o.err
	}
	if err := o.buf.Flush(); err != nil {
		return o.fail(err)
	}
	return nil
}

func (o *output) fail(err error) error {
	if isBrokenPipe(err) {
		o.err = errReaderGone
	} else {
		o.err = fmt.Errorf("write to standard output: %w", err)
	}
	return o.err
}
