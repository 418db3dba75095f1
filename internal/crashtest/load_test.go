package crashtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"satchel/internal/flow"
)

// Names of what the load writes.
const (
	sourceFast  = "Crash.Load/Fast"
	sourceSlow  = "Crash.Load/Slow"
	sourceFiles = "Crash.Files" // the rows of testdata/files.yaml
	endless     = "endless."    // the name of a file that is written until the end
)

// witness keeps what a sink accepted and when. With a pipe it also tells it to
// another process, one line for each fact in a single write, so that it survives
// the death of this one.
type witness struct {
	pipe io.Writer

	mu    sync.Mutex
	facts []fact
}

// fact is one accepted thing: the rows of a source up to number N, the row of the
// file Name, the log line number N, the whole file Name of N bytes, or the first
// N bytes of it.
type fact struct {
	Kind string // rows, row, log, file, part
	Name string
	N    int64
	At   time.Time
}

func (w *witness) saw(kind, name string, n int64) {
	f := fact{kind, name, n, time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = append(w.facts, f)
	if w.pipe != nil {
		// Nobody listens any more only when the test itself has ended.
		_, _ = fmt.Fprintf(w.pipe, "%s %s %d %d\n", f.Kind, f.Name, f.N, f.At.UnixNano())
	}
}

func (w *witness) all() []fact {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts
}

// parseFacts reads what a witness told; a last line that was cut is left out.
func parseFacts(data []byte) ([]fact, error) {
	var out []fact
	for line := range strings.Lines(string(data)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		words := strings.Fields(line)
		if len(words) != 4 {
			return nil, fmt.Errorf("witness line %q", line)
		}
		n, err := strconv.ParseInt(words[2], 10, 64)
		at, err2 := strconv.ParseInt(words[3], 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		out = append(out, fact{words[0], words[1], n, time.Unix(0, at)})
	}
	return out, nil
}

// fileName names file number n of a kind; name and size say what it holds.
func fileName(kind string, n int, size int64) string {
	return fmt.Sprintf("%s.%06d.%d", kind, n, size)
}

// sizeOf returns the size that a file's name announces, or -1 for the endless
// one.
func sizeOf(name string) (int64, error) {
	if strings.HasPrefix(name, endless) {
		return -1, nil
	}
	_, last, ok := strings.Cut(name, ".")
	if ok {
		_, last, ok = strings.Cut(last, ".")
	}
	if !ok {
		return 0, fmt.Errorf("%q is no file of this test", name)
	}
	return strconv.ParseInt(last, 10, 64)
}

// content returns the endless content of the file of that name. Every third
// file does not shrink, the others do.
func content(name string) io.Reader {
	key := sha256.Sum256([]byte(name))
	random := rand.NewChaCha8(key)
	if key[0]%3 == 0 {
		return random
	}
	return &wordy{random: random}
}

// wordy repeats each word of its random source many times.
type wordy struct {
	random *rand.ChaCha8
	rest   []byte
}

func (w *wordy) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(w.rest) == 0 {
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], w.random.Uint64())
			w.rest = bytes.Repeat(word[:], 32)
		}
		c := copy(p[n:], w.rest)
		w.rest, n = w.rest[c:], n+c
	}
	return n, nil
}

// load writes into the sink from several goroutines, as a collection does, until
// ctx ends or the sink fails, and tells the witness of everything accepted. It
// returns the first error of the sink.
func load(ctx context.Context, sink flow.Sink, seed uint64, w *witness) error {
	jobs := []job{
		func(ctx context.Context, s flow.Sink, r *rand.Rand, w *witness) error {
			return loadRows(ctx, s, sourceFast, 50, 5, r, w)
		},
		func(ctx context.Context, s flow.Sink, r *rand.Rand, w *witness) error {
			return loadRows(ctx, s, sourceSlow, 1, 40, r, w)
		},
		loadLogs,
		func(ctx context.Context, s flow.Sink, r *rand.Rand, w *witness) error {
			return loadFiles(ctx, s, "small", 64<<10, 6, r, w)
		},
		func(ctx context.Context, s flow.Sink, r *rand.Rand, w *witness) error {
			return loadFiles(ctx, s, "large", 6<<20, 200, r, w)
		},
		func(ctx context.Context, s flow.Sink, r *rand.Rand, w *witness) error {
			return loadEndless(ctx, s, 100<<10, 10, r, w)
		},
	}
	return runJobs(ctx, sink, seed, w, jobs)
}

type job = func(context.Context, flow.Sink, *rand.Rand, *witness) error

// runJobs runs the jobs until ctx ends or one of them fails, and returns the
// first error that is not the end itself.
func runJobs(ctx context.Context, sink flow.Sink, seed uint64, w *witness, jobs []job) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, len(jobs))
	for i, job := range jobs {
		go func() {
			err := job(ctx, sink, rand.New(rand.NewPCG(seed, uint64(i))), w)
			if err != nil {
				cancel()
			}
			results <- err
		}()
	}
	var first error
	for range jobs {
		if err := <-results; err != nil && !errors.Is(err, context.Canceled) && first == nil {
			first = err
		}
	}
	return first
}

// pause waits up to the given milliseconds and says whether to go on.
func pause(ctx context.Context, r *rand.Rand, milliseconds int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(r.Int64N(int64(milliseconds)*int64(time.Millisecond)) + 1)):
		return true
	}
}

func loadRows(ctx context.Context, sink flow.Sink, source string, most, milliseconds int, r *rand.Rand, w *witness) error {
	seq := int64(0)
	for pause(ctx, r, milliseconds) {
		var b flow.RowBatch
		b.First = time.Now()
		for range 1 + r.IntN(most) {
			seq++
			b.JSONL = fmt.Appendf(b.JSONL, "{\"Seq\":%d,\"Made\":%d}\n", seq, time.Now().UnixNano())
			b.Rows++
		}
		b.Last = time.Now()
		if err := sink.WriteRows(ctx, source, b); err != nil {
			return err
		}
		w.saw("rows", source, seq)
	}
	return nil
}

func loadLogs(ctx context.Context, sink flow.Sink, r *rand.Rand, w *witness) error {
	for n := int64(1); pause(ctx, r, 40); n++ {
		l := flow.LogLine{Time: time.Now(), Level: flow.LevelInfo, Source: sourceFast, Message: fmt.Sprintf("log %d", n)}
		if err := sink.Log(ctx, l); err != nil {
			return err
		}
		w.saw("log", "-", n)
	}
	return nil
}

func loadFiles(ctx context.Context, sink flow.Sink, kind string, most int64, milliseconds int, r *rand.Rand, w *witness) error {
	for n := 1; pause(ctx, r, milliseconds); n++ {
		name := fileName(kind, n, r.Int64N(most))
		size, err := sizeOf(name)
		if err != nil {
			return err
		}
		up, err := sink.Upload(ctx, upload(name, size))
		if err != nil {
			return err
		}
		if _, err := io.CopyN(up, content(name), size); err != nil {
			return errors.Join(err, up.Abort(err))
		}
		if _, err := up.Commit(); err != nil {
			return err
		}
		w.saw("file", name, size)
	}
	return nil
}

// loadEndless writes one file that never ends, in pieces of up to most bytes.
func loadEndless(ctx context.Context, sink flow.Sink, most int64, milliseconds int, r *rand.Rand, w *witness) error {
	name := endless + strconv.FormatUint(r.Uint64(), 36)
	up, err := sink.Upload(ctx, upload(name, -1))
	if err != nil {
		return err
	}
	from, written := content(name), int64(0)
	for pause(ctx, r, milliseconds) {
		n, err := io.CopyN(up, from, 1+r.Int64N(most))
		if err != nil {
			return errors.Join(err, up.Abort(err))
		}
		written += n
		w.saw("part", name, written)
	}
	return up.Abort(context.Cause(ctx))
}

func upload(name string, size int64) flow.Upload {
	return flow.Upload{
		Source: sourceFast, Accessor: "file", Path: "/crash/" + name, Components: []string{"crash", name}, Size: size,
		Modified: time.Unix(1_700_000_000, 0),
	}
}
