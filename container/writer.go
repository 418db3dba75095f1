package container

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/fsx"
	"satchel/internal/spool"
)

// maxMessage bounds one log message.
const maxMessage = 256 << 10

// Writer writes a container. It is a flow.Sink for many goroutines.
type Writer struct {
	path   string
	id     string
	opts   Options
	header Header
	file   fsx.File
	out    *output
	pipe   *pipeline
	spool  *spool.Log
	enc    *entry.RowsEncoder

	gate    sync.RWMutex // held for reading by every call, for writing by Close
	closed  bool
	lastID  atomic.Uint64
	spaceAt atomic.Int64          // size of the output and its spool when the free space was last asked for
	limit   atomic.Pointer[error] // why nothing more is taken, though the output is sound

	mu  sync.Mutex // orders the spool and the ledger
	led *ledger

	book nameBook
	open map[uint64]*upload // under book.mu

	pendMu  sync.Mutex
	pending []pendingRecord
	prog    *progress

	syncMu   sync.Mutex
	syncErr  error     // the first, which is final. Under syncMu
	saved    *progress // the last that was recorded. Under syncMu
	syncNow  chan struct{}
	stop     chan struct{}
	syncDone chan struct{}
	sinceOff int64 // offset of the output at the last sync
}

var _ flow.Sink = (*Writer)(nil)

// pendingRecord waits for the next sync: its bytes are appended, not durable.
type pendingRecord struct {
	member *entry.Member
	upload *entry.Upload
	known  *entry.Upload // of an upload that goes on in further members
}

// progress is the large member that is being appended.
type progress struct {
	upload entry.Upload
	member entry.Member
}

// storedHeader is the header as the spool and satchel.json keep it.
type storedHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	ID      string `json:"container_id"`
	Name    string `json:"name,omitempty"`
	Level   int    `json:"level,omitempty"`
	Header
}

func (o Options) withDefaults() (Options, error) {
	if o.Method == "" {
		o.Method = Deflate
	}
	switch o.Method {
	case Deflate, Zstd, Store:
	default:
		return o, fmt.Errorf("unknown compression %q: use deflate, zstd or store", o.Method)
	}
	if o.Level == 0 {
		o.Level = 5
	}
	if o.Level < 1 || o.Level > 9 {
		return o, fmt.Errorf("compression level %d is not between 1 and 9", o.Level)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.SyncEvery <= 0 {
		o.SyncEvery = 500 * time.Millisecond
	}
	if o.SyncBytes <= 0 {
		o.SyncBytes = 32 << 20
	}
	if o.StallAfter <= 0 {
		o.StallAfter = 500 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = func(b []byte) { rand.Read(b) }
	}
	if o.FS == nil {
		o.FS = fsx.OS()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Create begins a container at path. Without Overwrite an existing container,
// or a spool that an earlier one left, is an error that wraps fs.ErrExist.
func Create(path string, h Header, o Options) (*Writer, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if !flow.ValidID(h.Flow.ID) {
		return nil, fmt.Errorf("create %s: %q is not a flow id", path, h.Flow.ID)
	}
	var id [16]byte
	o.Random(id[:])
	w := &Writer{
		path: path, id: hex.EncodeToString(id[:]), opts: o, header: h, led: newLedger(h.Sources),
		book: *newNameBook(), open: map[uint64]*upload{},
		syncNow: make(chan struct{}, 1), stop: make(chan struct{}), syncDone: make(chan struct{}),
	}
	if err := o.enoughSpace(path); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	w.spaceAt.Store(-spaceEvery) // the first rows and files ask again
	if err := w.openFiles(); err != nil {
		return nil, err
	}
	w.pipe = startPipeline(w.out, w, o)
	go w.syncLoop()
	return w, nil
}

// openFiles makes the spool, then the container with its first member, and
// syncs both and their names.
func (w *Writer) openFiles() (err error) {
	fsys, spoolPath := w.opts.FS, w.path+SpoolSuffix
	if w.opts.Overwrite {
		for _, p := range []string{w.path, spoolPath, w.path + hashSuffix} {
			if err := fsys.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("replace %s: %w", p, err)
			}
		}
	}
	if _, err := fsys.Stat(spoolPath); err == nil {
		return fmt.Errorf("%s holds what an earlier collection saved before it was cut (take it out with ingest recover, or choose another name): %w", spoolPath, fs.ErrExist)
	}
	if w.file, err = fsys.OpenFile(w.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return fmt.Errorf("create the container: %w", err)
	}
	defer func() {
		if err != nil {
			w.file.Close()
			if w.spool != nil {
				w.spool.Close()
			}
			fsys.Remove(spoolPath) // not there before
			fsys.Remove(w.path)
		}
	}()
	if w.enc, err = entry.NewRowsEncoder(); err != nil {
		return err
	}
	if w.spool, err = spool.OpenFile(spoolPath, spool.Options{FS: fsys, Now: w.opts.Now}); err != nil {
		return fmt.Errorf("create the spool: %w", err)
	}
	stored := storedHeader{Format: "satchel", Version: FormatVersion, ID: w.id, Name: filepath.Base(w.path), Level: w.opts.Level, Header: w.header}
	body, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("encode the header: %w", err)
	}
	if _, err := w.spool.Append(context.Background(), entry.KindHeader, body); err != nil {
		return fmt.Errorf("begin the spool: %w", err)
	}
	w.out = newOutput(w.file)
	if err := w.writeFirst(stored); err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return err
	}
	if err := fsys.SyncDir(filepath.Dir(w.path)); err != nil {
		return fmt.Errorf("sync the directory of the container: %w", err)
	}
	return nil
}

// writeFirst writes satchel.json: a small whole member that identifies even a
// torn file. The definitions stay out of it.
func (w *Writer) writeFirst(h storedHeader) error {
	h.Definitions, h.Plan, h.Queries = nil, nil, nil
	body, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", memberHeader, err)
	}
	s := newStreamMember(w.out, nil, memberHeader, w.opts.Now(), w.opts.Level)
	if _, err := s.Write(append(body, '\n')); err != nil {
		return err
	}
	m, err := s.close()
	if err != nil {
		return err
	}
	w.finished(m, nil, nil)
	return nil
}

// ID returns the random id of the container, 32 hex digits.
func (w *Writer) ID() string { return w.id }

// Paths returns the files that belong to the container while it is open.
func (w *Writer) Paths() []string { return []string{w.path, w.path + SpoolSuffix} }

// room returns the error that keeps the container from taking more.
func (w *Writer) room() error {
	if err := w.pipe.failure(); err != nil {
		return err
	}
	if p := w.limit.Load(); p != nil {
		return *p
	}
	w.checkSpaceSoon()
	if p := w.limit.Load(); p != nil {
		return *p
	}
	if w.opts.MaxBytes > 0 && w.out.offset()+w.pipe.waiting.bytes()+w.spool.Size()+w.reserve()+2*blockSize > w.opts.MaxBytes {
		err := fmt.Errorf("%w of %d bytes", ErrMaxSize, w.opts.MaxBytes)
		w.limit.CompareAndSwap(nil, &err)
		return err
	}
	return nil
}

// reserve estimates what Close will add to the container: the rows and logs
// once more, as Deflate, which needs more than zstd, their indexes, and for each member its lines in
// uploads.json, manifest and directory.
func (w *Writer) reserve() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 3*w.led.spooled/2 + 3*(w.led.rows+w.led.logs) + 400*w.led.members + 64<<10
}

// enter begins a call; the caller must leave by gate.RUnlock when it is nil.
func (w *Writer) enter() error {
	w.gate.RLock()
	if w.closed {
		w.gate.RUnlock()
		return ErrClosed
	}
	return nil
}

// WriteRows implements flow.Sink.
func (w *Writer) WriteRows(ctx context.Context, source string, b flow.RowBatch) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.gate.RUnlock()
	if err := w.room(); err != nil {
		return err
	}
	if err := entry.CheckRows(b); err != nil {
		return fmt.Errorf("write rows of %s: %w", source, err)
	}
	if b.Rows == 0 {
		return nil
	}
	return entry.SplitRows(b, func(b flow.RowBatch) error {
		body, err := w.enc.Append(getBuffer(len(b.JSONL)/4+1024), source, b)
		if err != nil {
			return err
		}
		defer putBuffer(body)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err := w.led.takesRows(source); err != nil {
			return err
		}
		_, offset, err := w.spool.AppendAt(ctx, entry.KindRows, body)
		if err != nil {
			return err
		}
		w.led.spooled += int64(len(body))
		return w.led.addRows(source, int64(b.Rows), int64(len(b.JSONL)), offset)
	})
}

// Log implements flow.Sink. Logs and reports are taken even when a limit keeps
// rows and uploads out.
func (w *Writer) Log(ctx context.Context, l flow.LogLine) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.gate.RUnlock()
	l.Message = cutText(l.Message)
	body, err := entry.AppendLog(nil, l)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.spool.Append(ctx, entry.KindLog, body); err != nil {
		return err
	}
	w.led.addLog(l)
	w.led.spooled += int64(len(body)) / 3
	return nil
}

// Report implements flow.Sink.
func (w *Writer) Report(ctx context.Context, r flow.Report) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.gate.RUnlock()
	body, err := entry.AppendReport(nil, r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.spool.Append(ctx, entry.KindReport, body); err != nil {
		return err
	}
	return w.led.addReport(r)
}

// cutText bounds a message.
func cutText(s string) string {
	if len(s) > maxMessage {
		return s[:maxMessage] + " (cut)"
	}
	return s
}

// finished implements finisher.
func (w *Writer) finished(m *entry.Member, ended, known *entry.Upload) {
	w.pendMu.Lock()
	defer w.pendMu.Unlock()
	w.pending = append(w.pending, pendingRecord{m, ended, known})
	if m != nil && m.Offset+m.Length-w.sinceOff >= w.opts.SyncBytes || len(w.pending) >= 16384 {
		w.kick()
	}
}

// progress implements finisher.
func (w *Writer) progress(u *entry.Upload, m *entry.Member) {
	w.pendMu.Lock()
	defer w.pendMu.Unlock()
	if u == nil {
		w.prog = nil
		return
	}
	w.prog = &progress{*u, *m}
	if m.Offset+m.Length-w.sinceOff >= w.opts.SyncBytes {
		w.kick()
	}
}

// kick asks for a sync soon.
func (w *Writer) kick() {
	select {
	case w.syncNow <- struct{}{}:
	default:
	}
}
