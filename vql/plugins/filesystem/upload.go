package filesystem

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"satchel/internal/flow"
	"satchel/vql"
)

var (
	// ErrNoSink says that the query has nowhere to store files.
	ErrNoSink = errors.New("nothing takes uploads here: collect an artifact into a container")
	// ErrShrank says that a file ended before the size it had when it was opened.
	ErrShrank = errors.New("the file became shorter while it was read")
)

// maxVolatile bounds, in bytes, files that the kernel makes up while they are
// read: some of them, such as pagemap and kcore, would fill any disk.
const maxVolatile = 256 << 20

type uploadArgs struct {
	File     vql.Path `vql:"file,required"`
	Name     vql.Path `vql:"name"`
	Accessor string   `vql:"accessor"`
	Mtime    any      `vql:"mtime"`
	Atime    any      `vql:"atime"`
	Ctime    any      `vql:"ctime"`
	Btime    any      `vql:"btime"`
}

// uploadRow is what is told about an upload. Path and Error stand alone when it
// failed.
type uploadRow struct {
	Path       string
	Size       int64
	UploadID   uint64 `vql:"UploadId"`
	StoredSize int64
	Error      string
	SHA256     string `vql:"sha256"`
	MD5        string `vql:"md5"`
	StoredName string
	Components []string
	Accessor   string
	Changed    string // how the file changed while it was read, "" if it did not
}

// dict leaves out what is empty, as artifacts expect it.
func (r *uploadRow) dict() *vql.Dict {
	d := vql.NewDict().Set("Path", r.Path).Set("Size", r.Size).Set("UploadId", r.UploadID)
	if r.Error == "" {
		d.Set("StoredSize", r.StoredSize)
	}
	text := func(key, value string) {
		if value != "" {
			d.Set(key, value)
		}
	}
	text("Error", r.Error)
	text("sha256", r.SHA256)
	text("md5", r.MD5)
	text("StoredName", r.StoredName)
	if len(r.Components) > 0 {
		d.Set("Components", r.Components)
	}
	text("Accessor", r.Accessor)
	text("Changed", r.Changed)
	return d
}

func uploadFunction() vql.Function {
	return vql.NewFunction("upload", func(ctx context.Context, s *vql.Scope, a uploadArgs) (any, error) {
		row, err := upload(ctx, s, a)
		if err != nil {
			return nil, err
		}
		return row.dict(), nil
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Stores a file in the collection and tells where, how large and with which hash."))
}

func uploadPlugin() vql.Plugin {
	return vql.NewPlugin("upload", func(ctx context.Context, s *vql.Scope, a uploadArgs, emit func(*uploadRow) bool) error {
		row, err := upload(ctx, s, a)
		if err == nil {
			emit(row)
		}
		return err
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Stores a file in the collection; the function of that name as a plugin."))
}

// upload stores one file. A file that cannot be read gives a row with Error and
// a report; the error returned is one of the storage, or of the context.
func upload(ctx context.Context, s *vql.Scope, a uploadArgs) (*uploadRow, error) {
	sink := s.Sink()
	if sink == nil {
		return nil, ErrNoSink
	}
	u := &uploading{ctx: ctx, scope: s, sink: sink, args: a, started: s.Now()}
	if u.accessor = a.Accessor; u.accessor == "" {
		u.accessor = "auto"
	}
	u.row = &uploadRow{Path: u.display(), Accessor: u.accessor}
	err := u.store()
	if err == nil {
		return u.row, nil
	}
	if u.fatal {
		return nil, err
	}
	u.row.Error = err.Error()
	if err := u.report(outcomeOf(err), err.Error()); err != nil {
		return nil, err
	}
	return u.row, ctx.Err()
}

// uploading is one upload under way.
type uploading struct {
	ctx      context.Context
	scope    *vql.Scope
	sink     flow.Sink
	args     uploadArgs
	accessor string
	started  time.Time
	limit    int64 // bytes of this file, 0 for none
	row      *uploadRow
	fatal    bool // the storage failed, not the file
}

// display is the path as reports and records show it. The content that the
// accessor data is given as its path is not repeated there.
func (u *uploading) display() string {
	switch u.accessor {
	case "data":
		return "data"
	case "scope", "sparse":
		const most = 50
		if text := u.args.File.String(); len(text) > most {
			return strings.ToValidUTF8(text[:most], "") + "..."
		}
	}
	return u.args.File.String()
}

// components names the member that the file is stored as.
func (u *uploading) components() []string {
	name := u.args.Name
	if name.IsRoot() {
		name = u.args.File
		if u.accessor == "data" {
			return []string{"data"}
		}
		if d := name.Delegate(); d != nil && u.accessor == "sparse" {
			return d.Path.Components()
		}
	}
	var out []string
	if d := name.Delegate(); d != nil {
		out = append(out, d.Path.Components()...)
	}
	return append(out, name.Components()...)
}

func (u *uploading) report(o flow.Outcome, detail string) error {
	return u.scope.Report(context.WithoutCancel(u.ctx), flow.Report{
		Target: u.row.Path, Outcome: o, Detail: detail, Bytes: u.row.StoredSize,
		Started: u.started, Duration: u.scope.Now().Sub(u.started),
	})
}

// allowance counts the bytes that all uploads of a run have stored.
type allowance struct {
	mu   sync.Mutex
	used int64
}

type allowanceKey struct{}

// take says whether n more bytes may be stored, and counts them if so.
func (a *allowance) take(n, limit int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if limit > 0 && a.used+n > limit {
		return false
	}
	a.used += n
	return true
}

func overLimit(format string, args ...any) error {
	return &flow.OutcomeError{Outcome: flow.OverLimit, Err: fmt.Errorf(format, args...)}
}

func (u *uploading) store() error {
	accessor, err := u.scope.Accessor(u.ctx, u.args.Accessor)
	if err != nil {
		return err
	}
	f, err := accessor.Open(u.ctx, u.args.File)
	if err != nil {
		return err
	}
	defer f.Close()
	src, err := newSource(f, u.args.File)
	if err != nil {
		return err
	}
	up, err := u.announce(src)
	if err != nil {
		return err
	}
	u.limit = u.scope.Limits().MaxFileBytes
	if own, ok := f.(*file); ok && own.volatile && (u.limit <= 0 || u.limit > maxVolatile) {
		if u.limit = maxVolatile; own.first.size > u.limit {
			return overLimit("the kernel makes this file up: it claims %d bytes, over the limit of %d for such files", own.first.size, u.limit)
		}
	}
	if stored := src.stored(); u.limit > 0 && stored > u.limit {
		return overLimit("%d bytes are over the limit of %d for one file", stored, u.limit)
	}
	w, err := u.sink.Upload(u.ctx, up)
	if err != nil {
		u.fatal = flow.OutcomeOf(err, "") == ""
		return fmt.Errorf("store %s: %w", u.row.Path, err)
	}
	if err := u.copy(src, up, w); err != nil {
		if bad := w.Abort(err); bad != nil {
			u.fatal = true
			return fmt.Errorf("store %s: %w", u.row.Path, bad)
		}
		return err
	}
	return u.commit(src, up, w)
}

// announce describes the file for the sink.
func (u *uploading) announce(src *source) (flow.Upload, error) {
	up := flow.Upload{
		Source: u.scope.Source(), Accessor: u.accessor, Path: u.row.Path, Components: u.components(),
		Size: src.size, Ranges: src.ranges,
		Modified: src.before.Modified, Accessed: src.before.Accessed, Changed: src.before.Changed, Born: src.before.Born,
	}
	for _, t := range []struct {
		name  string
		given any
		to    *time.Time
	}{{"mtime", u.args.Mtime, &up.Modified}, {"atime", u.args.Atime, &up.Accessed}, {"ctime", u.args.Ctime, &up.Changed}, {"btime", u.args.Btime, &up.Born}} {
		if t.given == nil {
			continue
		}
		at, err := vql.ToTime(t.given)
		if err != nil {
			return up, fmt.Errorf("argument %s: %w", t.name, err)
		}
		*t.to = at
	}
	return up, nil
}

// copy gives the bytes of the file to the sink.
func (u *uploading) copy(src *source, up flow.Upload, w io.Writer) error {
	total := u.scope.Limits().MaxUploadBytes
	used := u.scope.Shared(allowanceKey{}, func() any { return &allowance{} }).(*allowance)
	return src.each(func(b []byte) error {
		if u.limit > 0 && u.row.StoredSize+int64(len(b)) > u.limit {
			return overLimit("more than the limit of %d bytes for one file", u.limit)
		}
		if !used.take(int64(len(b)), total) {
			return overLimit("the limit of %d bytes for all uploads is reached", total)
		}
		n, err := w.Write(b)
		u.row.StoredSize += int64(n)
		if err != nil {
			u.fatal = flow.OutcomeOf(err, "") == ""
			return fmt.Errorf("store %s: %w", u.row.Path, err)
		}
		return nil
	})
}

// commit ends the upload, tells how the file changed meanwhile, and fills the
// row in.
func (u *uploading) commit(src *source, up flow.Upload, w flow.UploadWriter) error {
	change, grown := src.change()
	stored, err := w.Commit()
	if err != nil {
		u.fatal = flow.OutcomeOf(err, "") == ""
		return fmt.Errorf("store %s: %w", u.row.Path, err)
	}
	r := u.row
	r.Size, r.StoredSize, r.UploadID, r.StoredName, r.Components = up.Size, stored.StoredSize, stored.ID, stored.Name, stored.Components
	if r.Size < 0 {
		r.Size = stored.StoredSize
	}
	r.SHA256, r.MD5, r.Changed = hex.EncodeToString(stored.SHA256[:]), hex.EncodeToString(stored.MD5), change
	switch {
	case stored.Duplicate:
		return u.report(flow.Duplicate, "was collected before under the same name")
	case grown:
		u.scope.Log(flow.LevelInfo, "upload: %s: %s", r.Path, change)
	case change != "":
		return u.report(flow.Changed, change)
	}
	return nil
}

// source is an open file with what must be known to store it.
type source struct {
	f      vql.File
	before vql.Info
	size   int64 // -1 where it cannot be known before the end
	ranges []flow.Range
}

func newSource(f vql.File, p vql.Path) (*source, error) {
	src := &source{f: f}
	if own, ok := f.(*file); ok { // it has just been asked
		src.before = own.first.info(p)
		if src.size = own.first.size; own.volatile || own.first.mode&fs.ModeDevice != 0 {
			src.size = -1
		} else if src.size == 0 && own.hasMore() {
			src.size = -1 // another file system whose sizes say nothing
		}
	} else {
		var err error
		if src.before, err = f.Stat(); err != nil {
			return nil, err
		}
		src.size = src.before.Size
	}
	r, ok := f.(vql.Ranger)
	if !ok || src.size < 0 {
		return src, nil
	}
	ranges, err := r.Ranges()
	if err != nil {
		return nil, fmt.Errorf("ranges of %s: %w", p, err)
	}
	src.ranges = ranges
	return src, nil
}

// stored is how many bytes will be stored, -1 where that cannot be known.
func (src *source) stored() int64 {
	if src.ranges == nil {
		return src.size
	}
	n := int64(0)
	for _, r := range src.ranges {
		if !r.Sparse {
			n += r.Length
		}
	}
	return n
}

// hasMore says whether a file whose size is 0 can be read all the same.
func (f *file) hasMore() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.window(0)
	return err == nil && len(b) > 0
}

// each gives the stored bytes of the file to take, in order. Of a file whose
// size is known it gives exactly that much: what was appended since is left,
// and an earlier end is ErrShrank.
func (src *source) each(take func([]byte) error) error {
	if src.ranges == nil {
		return src.run(0, src.size, take)
	}
	for _, r := range src.ranges {
		if r.Sparse {
			continue
		}
		if err := src.run(r.Offset, r.Length, take); err != nil {
			return err
		}
	}
	return nil
}

// run gives the bytes from an offset, to the end of the file if n is negative.
func (src *source) run(at, n int64, take func([]byte) error) error {
	if n == 0 {
		return nil
	}
	var next func(at int64) ([]byte, error)
	if own, ok := src.f.(*file); ok {
		next = func(at int64) ([]byte, error) {
			own.mu.Lock()
			defer own.mu.Unlock()
			return own.window(at)
		}
	} else {
		buf := make([]byte, bufferBytes)
		next = func(at int64) ([]byte, error) {
			m, err := readSome(src.f, buf, at, src.ranges != nil)
			return buf[:m], err
		}
	}
	for done := int64(0); n < 0 || done < n; {
		b, err := next(at + done)
		if n >= 0 {
			b = b[:min(int64(len(b)), n-done)]
		}
		if len(b) > 0 {
			if err := take(b); err != nil {
				return err
			}
			done += int64(len(b))
			continue
		}
		switch {
		case err == io.EOF && n < 0:
			return nil
		case err == io.EOF:
			return &flow.OutcomeError{Outcome: flow.Changed, Err: fmt.Errorf("%w: it ended at %d of %d bytes", ErrShrank, at+done, max(src.size, at+n))}
		case err == nil:
			return io.ErrNoProgress
		default:
			return err
		}
	}
	return nil
}

// readSome reads one piece of a file that is not ours.
func readSome(f vql.File, buf []byte, at int64, random bool) (int, error) {
	if random {
		n, err := f.ReadAt(buf, at)
		if n > 0 {
			err = nil
		}
		return n, err
	}
	for {
		n, err := f.Read(buf)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// afterwards describes the file as it was after its bytes were read.
func (f *file) afterwards() (fact, error) {
	if f.after != nil {
		return *f.after, nil
	}
	return f.fact()
}

// change tells how the file differs from what it was when it was opened, ""
// if it does not. grown says that it only became longer.
func (src *source) change() (change string, grown bool) {
	own, ok := src.f.(*file)
	if !ok || own.volatile {
		return "", false
	}
	now, err := own.afterwards()
	if err != nil {
		return "", false
	}
	was := own.first
	switch {
	case now.size > was.size:
		return fmt.Sprintf("grew from %d to %d bytes while it was read; the first %d are stored", was.size, now.size, was.size), true
	case now.size < was.size:
		return fmt.Sprintf("shrank from %d to %d bytes while it was read", was.size, now.size), false
	case !now.modified.Equal(was.modified):
		return "was written to while it was read", false
	}
	return "", false
}
