package container

import (
	"context"
	"crypto/sha256"
	"hash/crc32"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"satchel/internal/entry"
	"satchel/internal/zipx"
)

const (
	// blockSize is the plain size of a compressed block, and the largest file
	// that is written as one whole member.
	blockSize = 256 << 10
	// queueLength bounds the members that stand in order.
	queueLength = 256
	// smallBudget bounds the plain bytes of small members in flight.
	smallBudget = 12 << 20
	// largeSlots bounds the large members in the queue; each may hold
	// blocksAhead blocks before its turn comes.
	largeSlots  = 4
	blocksAhead = 4
)

// pipeline compresses members on workers and appends them in the order in
// which they were queued.
//
// A member enters the bounded queue before any work for it is handed out.
// Workers only fulfil what they were given and never touch the archive; one
// appender takes the members in order and waits for each. Everything in the
// queue has all it needs to end, but for a large member whose source gives
// nothing: that one makes way after a while (see largeMember).
type pipeline struct {
	queue   chan queued
	jobs    chan job
	budget  *semaphore.Weighted
	slots   chan struct{}
	stall   time.Duration
	level   int
	method  uint16
	out     *output
	waiting waitingRoom
	sink    finisher
	failed  chan struct{} // closed at the first error
	once    sync.Once
	err     error
	bg      sync.WaitGroup
}

// finisher learns what was appended. It is called by the appender alone.
type finisher interface {
	// finished tells of a member (or none), and of the record of its upload: one
	// that has ended, or known, what is known while further members follow.
	finished(m *entry.Member, ended, known *entry.Upload)
	progress(u *entry.Upload, m *entry.Member) // u nil: none under way
}

// queued is a member, or the mere record of an upload, in its place.
type queued interface {
	write(p *pipeline) error
	drop(p *pipeline)
}

// job is work for a compressing goroutine.
type job interface{ run(c *zipx.Compressor) }

func startPipeline(out *output, sink finisher, o Options) *pipeline {
	p := &pipeline{
		queue: make(chan queued, queueLength), jobs: make(chan job, o.Workers),
		budget: semaphore.NewWeighted(smallBudget), slots: make(chan struct{}, largeSlots),
		stall: o.StallAfter, level: o.Level, method: o.Method.zip(), out: out, sink: sink, failed: make(chan struct{}),
	}
	for range o.Workers {
		p.bg.Go(func() {
			for j := range p.jobs {
				j.run(&out.c)
			}
		})
	}
	p.bg.Go(p.append)
	return p
}

// append is the appender. After a failure it goes on taking members, so that
// nobody waits for ever, and drops them.
func (p *pipeline) append() {
	for q := range p.queue {
		select {
		case <-p.failed:
			q.drop(p)
			continue
		default:
		}
		if err := q.write(p); err != nil {
			p.fail(err)
		}
	}
}

func (p *pipeline) fail(err error) {
	p.once.Do(func() {
		p.err = err
		close(p.failed)
	})
}

// failure returns the error that stopped the pipeline, or nil.
func (p *pipeline) failure() error {
	select {
	case <-p.failed:
		return p.err
	default:
		return nil
	}
}

// close waits until everything that was queued is appended. Nobody may queue
// or hand out work any more.
func (p *pipeline) close() error {
	close(p.queue)
	close(p.jobs)
	p.bg.Wait()
	return p.failure()
}

// enqueue puts a member into its place.
func (p *pipeline) enqueue(ctx context.Context, q queued) error {
	select {
	case p.queue <- q:
		return nil
	case <-p.failed:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// do hands work to a worker. It never waits for the archive, so it is not
// cancelled: the member that it belongs to stands in the queue.
func (p *pipeline) do(j job) { p.jobs <- j }

// smallMember is a member that is compressed whole, with its sizes in its
// local header.
type smallMember struct {
	plain  []byte // from the pool
	raw    []byte // local header and data, from the pool
	level  int
	method uint16
	member entry.Member
	upload *entry.Upload // recorded once the member is appended; nil: none, or another member follows
	known  *entry.Upload // recorded instead when another member follows
	wait   waiter
	err    error
	done   chan struct{}
}

func (s *smallMember) run(c *zipx.Compressor) {
	defer close(s.done)
	s.member.Size = int64(len(s.plain))
	s.member.CRC32 = crc32.ChecksumIEEE(s.plain)
	data, method, err := compressWhole(c, s.plain, s.method, s.level)
	if err != nil {
		s.err = err
		return
	}
	s.member.Method, s.member.Stored = method, int64(len(data))
	z := zipMember(&s.member)
	raw := zipx.AppendLocal(getBuffer(len(data)+len(s.member.Name)+256), &z)
	s.member.Flags = z.Flags
	s.raw = append(raw, data...)
	putBuffer(data)
	s.member.Length = int64(len(s.raw))
	s.member.RawSHA256 = sha256.Sum256(s.raw)
}

func (s *smallMember) write(p *pipeline) error {
	<-s.done
	defer s.release(p)
	if s.err != nil {
		return s.err
	}
	s.member.Offset = p.out.offset()
	if _, err := p.out.Write(s.raw); err != nil {
		return err
	}
	p.waiting.settle(&s.wait, func() { p.sink.finished(&s.member, s.upload, s.known) })
	return nil
}

func (s *smallMember) release(p *pipeline) {
	p.waiting.leave(&s.wait)
	p.budget.Release(smallWeight(len(s.plain)))
	putBuffer(s.plain)
	putBuffer(s.raw)
}

func (s *smallMember) drop(p *pipeline) {
	<-s.done
	s.release(p)
}

// smallWeight is what n plain bytes take of the budget. A member that is larger
// than all of it, the index of a file in very many runs, takes the whole.
func smallWeight(n int) int64 { return min(int64(n)+1024, smallBudget) }

// recordOnly stands in the queue for an upload whose last member made way
// before it ended.
type recordOnly struct{ upload *entry.Upload }

func (r recordOnly) write(p *pipeline) error {
	p.sink.finished(nil, r.upload, nil)
	return nil
}

func (recordOnly) drop(*pipeline) {}

// block is a piece of a large member.
type block struct {
	plain  []byte
	comp   []byte
	level  int
	method uint16
	err    error
	done   chan struct{}
	wait   waiter
	last   bool
	upload *entry.Upload // with the last block, unless another member follows
	hash   [32]byte      // with the last block: of the whole content
}

func (b *block) run(c *zipx.Compressor) {
	defer close(b.done)
	if len(b.plain) == 0 {
		return
	}
	b.comp, b.err = compressBlock(c, b.plain, b.method, b.level)
}

// largeMember is a streamed member. Its blocks are compressed on workers and
// appended in order. When its source gives nothing for the stall time while
// others wait, the member is ended where it is and the upload continues in a
// further member once it has a whole block, or its end.
type largeMember struct {
	name     string
	modified time.Time
	upload   entry.Upload // what is known of the upload, for progress records
	part     int          // 1 for the first member of the upload
	before   int64        // bytes of the upload in earlier members

	mu      sync.Mutex
	yielded bool
	blocks  chan *block
	tokens  chan struct{}
}

func newLargeMember() *largeMember {
	return &largeMember{blocks: make(chan *block, blocksAhead), tokens: make(chan struct{}, blocksAhead)}
}

// push gives the member its next block; false if it has made way. The caller
// holds a token.
func (l *largeMember) push(b *block) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.yielded {
		return false
	}
	l.blocks <- b // has room: there are as many tokens as places
	return true
}

// next waits for a block; nil if the member made way. It is an error that the
// container failed: the source may give no more then, not even its end.
func (l *largeMember) next(p *pipeline) (*block, error) {
	select {
	case b := <-l.blocks:
		return b, nil
	default:
	}
	if l.retired() {
		return nil, nil
	}
	patience := p.stall
	if l.part > 1 {
		patience = p.stall / 32 // its source is known to be slow
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case b := <-l.blocks:
			return b, nil
		case <-p.failed:
			return nil, p.err
		case <-timer.C:
			if len(p.queue) > 0 && l.part < entry.MaxParts {
				return l.yield(), nil
			}
			timer.Reset(patience)
		}
	}
}

// madeWay says whether the member takes no more blocks.
func (l *largeMember) madeWay() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.yielded
}

func (l *largeMember) retired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.yielded && len(l.blocks) == 0
}

// yield makes way unless a block has arrived meanwhile.
func (l *largeMember) yield() *block {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case b := <-l.blocks:
		return b
	default:
		l.yielded = true
		return nil
	}
}

func (l *largeMember) write(p *pipeline) error {
	defer func() { <-p.slots }()
	mw, err := beginMember(p.out, l.name, p.method, l.modified)
	if err != nil {
		l.abandon(p, nil)
		return err
	}
	mw.member.UploadID = l.upload.ID
	began := time.Now()
	pace := pace{begun: began, since: began}
	for {
		b, err := l.next(p)
		if err != nil {
			l.abandon(p, nil)
			return err
		}
		if b == nil {
			return l.end(p, mw, nil)
		}
		if err := l.appendBlock(mw, b); err != nil {
			l.abandon(p, b)
			return err
		}
		l.upload.StoredSize = l.before + mw.member.Size
		if b.last {
			err = l.end(p, mw, b)
		} else {
			p.waiting.settle(&b.wait, func() { p.sink.progress(&l.upload, &mw.member) })
		}
		p.waiting.leave(&b.wait)
		<-l.tokens
		putBuffer(b.plain)
		putBuffer(b.comp)
		if b.last || err != nil {
			return err
		}
		if pace.slow(p, l, mw.member.Size) {
			l.retire()
		}
	}
}

const (
	// slowBytes is what a source must give in each stall time to keep its place
	// while others wait: 16 MiB a second at the default.
	slowBytes = 8 << 20
	// holdStalls is for how many stall times a member that waits for its source
	// may keep its place at any speed: a file that never ends holds nobody.
	holdStalls = 60
)

// pace measures how fast the source of a large member is.
type pace struct {
	begun, since time.Time
	from         int64 // bytes at since
}

// slow says whether the member should make way: others wait in the queue, and
// it is the source that is waited for, which gives little or goes on for long.
func (s *pace) slow(p *pipeline, l *largeMember, size int64) bool {
	now := time.Now()
	if now.Sub(s.since) < p.stall {
		return false
	}
	little := size-s.from < slowBytes
	s.since, s.from = now, size
	return len(p.queue) > 0 && len(l.blocks) == 0 && l.part < entry.MaxParts && (little || now.Sub(s.begun) > holdStalls*p.stall)
}

// retire makes way once the blocks that were pushed are appended.
func (l *largeMember) retire() {
	l.mu.Lock()
	l.yielded = true
	l.mu.Unlock()
}

func (l *largeMember) appendBlock(mw *memberWriter, b *block) error {
	<-b.done
	if b.err != nil {
		return b.err
	}
	mw.member.CRC32 = crc32.Update(mw.member.CRC32, crc32.IEEETable, b.plain)
	mw.member.Size += int64(len(b.plain))
	return mw.data(b.comp)
}

func (l *largeMember) end(p *pipeline, mw *memberWriter, b *block) error {
	if tail := streamEnd(p.method); len(tail) > 0 {
		if err := mw.data(tail); err != nil {
			return err
		}
	}
	if b != nil && b.last && l.part == 1 {
		mw.member.SHA256 = b.hash
	}
	m, err := mw.end()
	if err != nil {
		return err
	}
	done := func() {
		p.sink.progress(nil, nil)
		if b != nil && b.upload != nil {
			p.sink.finished(m, b.upload, nil)
		} else {
			known := l.upload
			p.sink.finished(m, nil, &known)
		}
	}
	if b == nil {
		done()
	} else {
		p.waiting.settle(&b.wait, done)
	}
	return nil
}

// abandon frees whoever waits to push after the archive failed.
func (l *largeMember) abandon(p *pipeline, current *block) {
	l.mu.Lock()
	l.yielded = true
	l.mu.Unlock()
	if current != nil {
		p.waiting.leave(&current.wait)
		<-l.tokens
	}
	for {
		select {
		case b := <-l.blocks:
			<-b.done
			p.waiting.leave(&b.wait)
			<-l.tokens
		default:
			return
		}
	}
}

func (l *largeMember) drop(p *pipeline) {
	l.abandon(p, nil)
	<-p.slots
}
