package container

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"

	"satchel/internal/entry"
	"satchel/internal/flow"
)

var errNotEnded = errors.New("the collection was closed before the file was read to its end")

// upload is a flow.UploadWriter. A file of at most one block becomes a whole
// member at Commit; a longer one becomes a streamed member as soon as its
// first block is full.
type upload struct {
	w   *Writer
	ctx context.Context // of the Upload call: it bounds the waiting in Write
	key [16]byte

	ended chan struct{} // closed once Commit or Abort has been recorded

	mu      sync.Mutex
	rec     entry.Upload
	comps   []string // "uploads", accessor, ... as stored
	name    string   // of the first member
	buf     []byte   // not handed to a block yet
	since   time.Time
	flushed int64 // bytes handed to blocks
	chunked int64 // bytes of buf that the spool holds already
	large   *largeMember
	shut    error // why it takes no more
	sha     hash.Hash
	md5     hash.Hash
	sha1    hash.Hash
	stored  flow.Stored
}

var _ flow.UploadWriter = (*upload)(nil)

func newUpload(ctx context.Context, w *Writer, id uint64, u flow.Upload, key [16]byte) *upload {
	up := &upload{w: w, ctx: ctx, key: key, ended: make(chan struct{}), sha: sha256.New(), buf: getBuffer(0)}
	up.rec = entry.Upload{ID: id, Upload: u, Started: w.opts.Now().UTC()}
	if u.MD5 {
		up.md5 = md5.New()
	}
	if u.SHA1 {
		up.sha1 = sha1.New()
	}
	return up
}

// Write implements io.Writer. It waits while the container has too much in
// flight.
func (u *upload) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.shut != nil {
		return 0, u.shut
	}
	written := 0
	for len(p) > 0 {
		if len(u.buf) == blockSize {
			if err := u.flushBlock(u.ctx, false); err != nil {
				return written, err
			}
		}
		if len(u.buf) == 0 {
			u.since = u.w.opts.Now()
		}
		n := min(len(p), blockSize-len(u.buf))
		u.grow(len(u.buf) + n)
		u.buf = append(u.buf, p[:n]...)
		u.sha.Write(p[:n])
		if u.md5 != nil {
			u.md5.Write(p[:n])
		}
		if u.sha1 != nil {
			u.sha1.Write(p[:n])
		}
		u.rec.StoredSize += int64(n)
		written += n
		p = p[n:]
	}
	return written, nil
}

// grow makes room for n bytes in buf with a larger pooled buffer.
func (u *upload) grow(n int) {
	if n <= cap(u.buf) {
		return
	}
	if n > 64<<10 {
		n = blockSize
	}
	bigger := append(getBuffer(n), u.buf...)
	putBuffer(u.buf)
	u.buf = bigger
}

// flushBlock hands buf to a block of the large member, beginning one where
// there is none or the last one made way. With last it carries the record.
func (u *upload) flushBlock(ctx context.Context, last bool) error {
	if err := u.w.room(); err != nil && !last {
		return err
	}
	b := &block{plain: u.buf, level: u.w.opts.Level, method: u.w.opts.Method.zip(), done: make(chan struct{}), last: last}
	if last {
		copy(b.hash[:], u.rec.SHA256[:])
		if u.rec.Upload.Ranges == nil {
			b.upload = u.known()
		}
	}
	for {
		if u.large == nil {
			if err := u.beginPart(ctx); err != nil {
				return err
			}
			if b.upload != nil {
				b.upload.Parts = u.rec.Parts
			}
		}
		select {
		case u.large.tokens <- struct{}{}:
		case <-u.w.pipe.failed:
			return u.w.pipe.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		b.wait = waiter{since: u.w.opts.Now(), upload: u.known(), offset: u.flushed, data: b.plain}
		u.w.pipe.waiting.enter(&b.wait)
		if !u.large.push(b) {
			u.w.pipe.waiting.leave(&b.wait)
			u.large = nil
			continue
		}
		break
	}
	u.w.pipe.do(b)
	u.flushed += int64(len(u.buf))
	u.chunked = 0
	u.buf = getBuffer(blockSize)
	return nil
}

// beginPart queues a further large member of this upload.
func (u *upload) beginPart(ctx context.Context) error {
	p := u.w.pipe
	select {
	case p.slots <- struct{}{}:
	case <-p.failed:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	l := newLargeMember()
	l.part = u.rec.Parts + 1
	l.name, l.modified, l.before = u.partName(l.part), u.modified(), u.flushed
	l.upload = u.rec
	l.upload.Parts = l.part
	if err := p.enqueue(ctx, l); err != nil {
		<-p.slots
		return err
	}
	u.rec.Parts = l.part
	u.large = l
	return nil
}

// partName names the members of an upload: the first has the name of the
// file, the others lie where no file's name can.
func (u *upload) partName(part int) string {
	if part == 1 {
		return u.name
	}
	return partMember(u.rec.ID, part)
}

func (u *upload) modified() time.Time { return u.rec.Upload.Modified }

// Commit implements flow.UploadWriter. The file counts as accepted; it is
// durable with the next sync of the container.
func (u *upload) Commit() (flow.Stored, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.shut != nil {
		return flow.Stored{}, u.shut
	}
	var err error
	switch short := u.missing(); {
	case short > 0:
		err = fmt.Errorf("%d bytes of the announced ranges were not read", short)
	case short < 0:
		err = fmt.Errorf("%d bytes more were given than the announced ranges have", -short)
	}
	if err != nil {
		return flow.Stored{}, errors.Join(err, u.end(err))
	}
	if err := u.end(nil); err != nil {
		return flow.Stored{}, err
	}
	return u.stored, nil
}

// known is the record of the upload as far as it has come.
func (u *upload) known() *entry.Upload {
	rec := u.rec
	return &rec
}

// missing is how many bytes of the data ranges of a sparse file never came;
// below 0 there were more.
func (u *upload) missing() int64 {
	if u.rec.Upload.Ranges == nil {
		return 0
	}
	var want int64
	for _, r := range u.rec.Upload.Ranges {
		if !r.Sparse {
			want += r.Length
		}
	}
	return want - u.rec.StoredSize
}

// Abort implements flow.UploadWriter.
func (u *upload) Abort(cause error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.shut != nil {
		return nil
	}
	if cause == nil {
		cause = errors.New("given up")
	}
	return u.end(cause)
}

// end queues what is left of the upload with its record. The caller holds mu.
func (u *upload) end(cause error) error {
	u.shut = ErrClosed
	u.rec.Complete = cause == nil
	if cause != nil {
		u.rec.Error = cutText(cause.Error())
	}
	u.rec.Ended = u.w.opts.Now().UTC()
	u.sha.Sum(u.rec.SHA256[:0])
	if u.md5 != nil {
		u.rec.MD5 = u.md5.Sum(nil)
	}
	if u.sha1 != nil {
		u.rec.SHA1 = u.sha1.Sum(nil)
	}
	u.stored = flow.Stored{
		SHA256: u.rec.SHA256, MD5: u.rec.MD5, SHA1: u.rec.SHA1, StoredSize: u.rec.StoredSize,
		Name: "/" + u.name, Components: u.comps, ID: u.rec.ID,
	}
	// The bytes were accepted, so their place is found even if the query that
	// uploads them was cancelled; only a failed container ends the waiting.
	ctx := context.WithoutCancel(u.ctx)
	if u.rec.Complete {
		u.w.uploadEnding(u)
	}
	err := u.queueRest(ctx)
	if err == nil && u.rec.Upload.Ranges != nil {
		err = u.queueIndex(ctx)
	}
	u.w.uploadEnded(u, err)
	return err
}

func (u *upload) queueRest(ctx context.Context) error {
	if u.rec.Parts == 0 {
		return u.queueSmall(ctx)
	}
	if len(u.buf) == 0 && u.large != nil {
		if u.large.madeWay() {
			putBuffer(u.buf)
			if u.rec.Upload.Ranges != nil {
				return nil
			}
			return u.w.pipe.enqueue(ctx, recordOnly{u.known()})
		}
	}
	return u.flushBlock(ctx, true)
}

func (u *upload) queueSmall(ctx context.Context) error {
	u.rec.Parts = 1
	s := &smallMember{plain: u.buf, level: u.w.opts.Level, method: u.w.opts.Method.zip(), done: make(chan struct{})}
	s.member = entry.Member{UploadID: u.rec.ID, Name: u.name, Modified: u.modified(), SHA256: u.rec.SHA256}
	s.wait = waiter{since: u.w.opts.Now(), upload: u.known(), data: s.plain}
	if u.rec.Upload.Ranges == nil {
		s.upload = u.known()
	} else {
		s.known = u.known()
	}
	return u.w.queueSmall(ctx, s)
}

// queueIndex queues the .idx member of a sparse file, and with it the record.
func (u *upload) queueIndex(ctx context.Context) error {
	body := sparseIndex(u.rec.Upload.Ranges, u.rec.StoredSize)
	s := &smallMember{plain: append(getBuffer(len(body)), body...), level: u.w.opts.Level, method: Deflate.zip(), done: make(chan struct{})}
	s.member = entry.Member{UploadID: u.rec.ID, Name: u.name + ".idx", Modified: u.rec.Started, SHA256: sha256.Sum256(body)}
	s.upload = u.known()
	return u.w.queueSmall(ctx, s)
}

// duplicate is the UploadWriter of a file that the container holds already.
type duplicate struct{ stored flow.Stored }

func (d duplicate) Write(p []byte) (int, error) { return len(p), nil }

func (d duplicate) Commit() (flow.Stored, error) { return d.stored, nil }

func (d duplicate) Abort(error) error { return nil }
