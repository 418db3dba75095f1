package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/frame"
	"satchel/internal/zipx"
)

// Why uploads of a cut container are not complete.
const (
	errCut      = "the collection was cut before the file was read to its end"
	errLost     = "not all of its bytes are in the container"
	errNoRecord = "its record is lost: nothing tells whether these are all of its bytes"
)

// rebuilt is what a cut container and its spool, either of which may be
// missing, still hold. Nothing of it is written to the evidence: what Close
// would have written is made beside it (see writeTail).
type rebuilt struct {
	zip     io.ReaderAt
	zipSize int64
	fr      frames // nil without a spool
	opts    ReadOptions

	head      storedHeader
	headFound bool
	led       *ledger
	problems  []Problem
	last      time.Time // the latest that an entry speaks of: nothing is known of later
	cut       int64     // bytes of the file that the rebuilt container begins with

	inflight *entry.Progress // large member that was being appended: it ends at cut
	torn     *tornMember
	closed   *zipx.Found // a whole manifest: the container was closed once
	restored bool        // and nothing but what follows it is missing
	damaged  bool        // members are not what was written
	open     map[uint64]*openUpload
	runs     int                     // of the sparse files in open
	lost     map[uint64]bool         // uploads with members beyond the end of the file
	redone   map[int64]bool          // Upload frames, by offset, whose members are not all told of: they are open
	extra    []entry.Member          // found by their headers, and gaps (without a name)
	found    []entry.Upload          // uploads known by their members' names alone
	foundBy  map[string]int          // index in found by member
	openBy   map[string]uint64       // id of open uploads by their first member
	taken    map[string]bool         // names of extra
	bad      map[int64]bool          // Rows frames, by offset, whose rows are lost
	kept     []entry.Member          // written to the tail before the closing members
	partial  []entry.Upload          // uploads that were under way
	whole    map[uint64]entry.Upload // records of those that had ended
}

// openUpload is what the spool says of an upload that has not ended, or whose
// members are not all told of.
type openUpload struct {
	rec    *entry.Upload
	ended  bool // rec is its last
	parts  int
	bytes  int64
	index  bool   // the index of a sparse file is there
	name   string // of the first member that was met
	first  int64  // its size
	chunks []chunkRef
}

// isIndex says whether a further member of the upload is the index of a sparse
// file.
func (o *openUpload) isIndex(name string) bool {
	switch {
	case o.rec != nil:
		return o.rec.Upload.Ranges != nil && name == o.rec.Member+".idx"
	case o.name == "":
		return false // the name of a file, as far as is known
	}
	return name == o.name+".idx"
}

// holds says whether all members that a record speaks of were met.
func (o *openUpload) holds(u *entry.Upload) bool {
	return o != nil && o.parts >= u.Parts && (o.index || u.Upload.Ranges == nil)
}

type chunkRef struct {
	spoolOffset  int64
	offset, size int64
}

// tornMember is a member at the end of the file that was cut.
type tornMember struct {
	salvager *zipx.Salvager
	found    zipx.Found
}

// What unended uploads a spool may speak of: their number, and the runs of the
// sparse ones together.
const (
	maxOpen     = 100_000
	maxOpenRuns = 10_000_000
)

// errOtherSpool says that a file and the spool beside it do not belong together.
var errOtherSpool = errors.New("the spool beside it is of another container")

func rebuild(zip io.ReaderAt, zipSize int64, fr frames, o ReadOptions) (*rebuilt, error) {
	b := &rebuilt{
		zip: zip, zipSize: zipSize, fr: fr, opts: o, led: newLedger(nil),
		open: map[uint64]*openUpload{}, lost: map[uint64]bool{}, whole: map[uint64]entry.Upload{}, redone: map[int64]bool{},
		foundBy: map[string]int{}, openBy: map[string]uint64{}, taken: map[string]bool{}, bad: map[int64]bool{},
	}
	gaps, err := b.readSpool()
	if err != nil {
		return nil, err
	}
	if id := b.idOfFile(); b.headFound && id != "" && b.head.ID != "" && id != b.head.ID {
		return nil, fmt.Errorf("%w (%.40q, and the file is of %.40q): keep them apart", errOtherSpool, b.head.ID, id)
	}
	if err := b.salvage(gaps); err != nil {
		return nil, err
	}
	b.endOpenUploads()
	if b.closed != nil {
		b.settleClosed()
	} else if b.fr != nil {
		b.dropClosing()
	}
	if !b.headFound && len(b.extra) == 0 && b.led.rows == 0 && b.led.members == 0 {
		return nil, fmt.Errorf("%w: no member and no entry could be found in it", ErrNotContainer)
	}
	switch {
	case b.restored:
		b.problem("", "the central directory is cut or damaged; it was made again from the manifest", b.cut)
	case b.closed != nil:
		b.problem("", "the container is damaged: this is what could be read", b.cut)
	default:
		b.problem("", "the container was not closed: this is what was saved until it was cut", b.cut)
	}
	return b, nil
}

// dropClosing leaves the closing members out that a crash cut short: they are
// made again from the spool, and then say that the container was cut.
func (b *rebuilt) dropClosing() {
	for i := range b.extra {
		m := &b.extra[i]
		if m.Name == memberHeader || !ourName(m.Name) || strings.HasPrefix(m.Name, "uploads/") || strings.HasPrefix(m.Name, "uploads.parts/") {
			continue
		}
		b.cut = m.Offset
		b.extra = b.extra[:i]
		return
	}
}

// settleClosed deals with a file that has a manifest: it was closed once. If
// nothing before it is missing, all that is needed is its directory. Otherwise
// the manifest is bytes between members: a new one speaks for what is left.
func (b *rebuilt) settleClosed() {
	b.restored = !b.damaged && len(b.problems) == 0 && b.cut == b.closed.End
	for i := range b.extra {
		if m := &b.extra[i]; m.Name == "" {
			b.restored = false
		}
	}
	for i := range b.extra {
		if m := &b.extra[i]; m.Name == memberManifest && !b.restored {
			b.makeGap(m)
		}
	}
}

// makeGap makes bytes between members of one that was found.
func (b *rebuilt) makeGap(m *entry.Member) {
	delete(b.taken, m.Name)
	*m = entry.Member{Offset: m.Offset, Length: m.Length, RawSHA256: m.RawSHA256}
}

func (b *rebuilt) problem(member, what string, offset int64) {
	if len(b.problems) < 1000 {
		b.problems = append(b.problems, Problem{Member: member, Problem: what, Offset: offset})
	}
}

// span is a piece of the file.
type span struct{ from, to int64 }

// readSpool takes everything out of the spool but the rows themselves, and
// returns the pieces of the file that no record speaks of.
func (b *rebuilt) readSpool() (gaps []span, err error) {
	if b.fr == nil {
		return []span{{0, b.zipSize}}, nil
	}
	members := memberOrder{limit: b.zipSize}
	var last *entry.Progress
	sc, err := b.fr.Scan()
	if err != nil {
		return nil, err
	}
	for sc.Next() {
		f, off := sc.Frame(), sc.Offset()
		switch f.Kind {
		case entry.KindMember:
			var m entry.Member
			if m, err = entry.DecodeMember(f.Body); err == nil {
				b.addMember(&members, &m)
			}
		case entry.KindProgress:
			var p entry.Progress
			if p, err = entry.DecodeProgress(f.Body); err == nil {
				if p.Member != nil {
					last = &p
				}
				err = b.addProgress(&p)
			}
		default:
			err = b.addFrame(f, off)
		}
		if err != nil {
			b.problem("", "an entry of the spool was passed over: "+err.Error(), off)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	for _, d := range sc.Damage() {
		b.problem("", "the spool is damaged: "+d.Error(), d.Offset)
	}
	b.cut = members.end
	if last != nil && last.Member.Offset == members.end && last.Member.Length > 0 && last.Member.Length <= b.zipSize-members.end && b.open[last.Upload.ID] != nil {
		b.inflight = last
		b.cut += last.Member.Length
		return members.gaps, nil
	}
	return append(members.gaps, span{members.end, b.zipSize}), nil
}

// memberOrder accepts the members of a spool that lie in the file, in order.
type memberOrder struct {
	limit, end int64
	gaps       []span
}

func (o *memberOrder) accept(m *entry.Member) bool {
	if m.Offset < o.end || m.Length <= 0 || m.Length > o.limit-m.Offset {
		return false
	}
	if m.Offset > o.end {
		o.gaps = append(o.gaps, span{o.end, m.Offset})
	}
	o.end = m.Offset + m.Length
	return true
}

func (b *rebuilt) addMember(order *memberOrder, m *entry.Member) {
	if !order.accept(m) {
		if m.UploadID != 0 {
			b.lost[m.UploadID] = true
		}
		if m.Length > b.zipSize-m.Offset {
			b.problem(m.Name, fmt.Sprintf("its bytes are missing: the file ends at %d", b.zipSize), m.Offset)
		}
		return
	}
	b.led.members++
	if m.UploadID == 0 || len(b.open) >= maxOpen {
		return
	}
	o := b.open[m.UploadID]
	if o == nil {
		o = &openUpload{}
		b.open[m.UploadID] = o
	}
	if o.isIndex(m.Name) {
		o.index = true
		return
	}
	if o.name == "" {
		o.name, o.first = m.Name, m.Size
	}
	o.parts++
	o.bytes += m.Size
}

func (b *rebuilt) addProgress(p *entry.Progress) error {
	o := b.open[p.Upload.ID]
	if o == nil {
		if len(b.open) >= maxOpen {
			return errors.New("more unended uploads than a collection can have")
		}
		o = &openUpload{}
		b.open[p.Upload.ID] = o
	}
	if o.rec == nil || !o.rec.Complete && !o.ended {
		return b.setRecord(o, &p.Upload)
	}
	return nil
}

func (b *rebuilt) setRecord(o *openUpload, u *entry.Upload) error {
	had := 0
	if o.rec != nil {
		had = len(o.rec.Upload.Ranges)
	}
	if b.runs += len(u.Upload.Ranges) - had; b.runs > maxOpenRuns {
		b.runs -= len(u.Upload.Ranges) - had
		return errors.New("more runs of sparse files than a collection can have open")
	}
	o.rec = u
	if o.name != "" && o.isIndex(o.name) { // met before what it is the index of
		o.index, o.name = true, ""
		o.parts--
		o.bytes -= o.first
	}
	return nil
}

// addUpload takes the record of an upload that had ended. One whose members
// were not all met is dealt with as if it were open: they may be found.
func (b *rebuilt) addUpload(u *entry.Upload, off int64) error {
	o := b.open[u.ID]
	switch {
	case o.holds(u):
		if o.rec != nil {
			b.runs -= len(o.rec.Upload.Ranges)
		}
		delete(b.open, u.ID)
		b.led.addUpload(u)
		return nil
	case o == nil && len(b.open) >= maxOpen:
		b.led.addUpload(b.asFound(u))
		return nil
	case o == nil:
		o = &openUpload{}
		b.open[u.ID] = o
	}
	if err := b.setRecord(o, u); err != nil {
		return err
	}
	o.ended = true
	b.redone[off] = true
	return nil
}

// addFrame takes the other kinds of entries.
func (b *rebuilt) addFrame(f frame.Frame, off int64) error {
	switch f.Kind {
	case entry.KindHeader:
		return b.addHeader(f.Body)
	case entry.KindRows:
		r, err := entry.DecodeRows(f.Body)
		if err != nil {
			return err
		}
		b.seen(r.Last)
		return b.led.addRows(r.Source, r.Rows, r.Size, off)
	case entry.KindLog:
		l, err := entry.DecodeLog(f.Body)
		if err == nil {
			b.seen(l.Time)
			b.led.addLog(l)
		}
		return err
	case entry.KindReport:
		r, err := entry.DecodeReport(f.Body)
		if err != nil {
			return err
		}
		b.seen(r.Time)
		return b.led.addReport(r)
	case entry.KindUpload:
		u, err := entry.DecodeUpload(f.Body)
		if err != nil {
			return err
		}
		b.seen(u.Ended)
		return b.addUpload(&u, off)
	case entry.KindChunk:
		c, err := entry.DecodeChunk(f.Body)
		if err != nil {
			return err
		}
		if o := b.open[c.UploadID]; o != nil {
			o.chunks = append(o.chunks, chunkRef{off, c.Offset, int64(len(c.Data))})
		}
	}
	return nil
}

// seen takes note of a time at which the collection was still going on.
func (b *rebuilt) seen(t time.Time) {
	if t.After(b.last) {
		b.last = t
	}
}

// ended is when the collection was last known to go on. It depends on the
// evidence alone, so that recovering twice gives the same bytes.
func (b *rebuilt) ended() time.Time {
	if b.last.Before(b.head.Flow.Created) {
		return b.head.Flow.Created
	}
	return b.last
}

func (b *rebuilt) addHeader(body []byte) error {
	var h storedHeader
	if err := json.Unmarshal(body, &h); err != nil {
		return fmt.Errorf("the header cannot be read: %w", err)
	}
	if !b.headFound {
		b.setHeader(h)
	}
	return nil
}

func (b *rebuilt) setHeader(h storedHeader) {
	b.head, b.headFound = h, true
	for _, name := range h.Sources {
		if s, err := b.led.source(name); err == nil {
			s.planned = true
		}
	}
}

// asFound returns the record of an ended upload, marked when its bytes are not
// all there.
func (b *rebuilt) asFound(u *entry.Upload) *entry.Upload {
	if b.lost[u.ID] && u.Complete {
		u.Complete, u.Error = false, "its bytes are missing: the container ends before them"
		u.SHA256 = [32]byte{}
		u.StoredSize = 0
	}
	return u
}

// endOpenUploads makes partial records of the uploads that were under way.
func (b *rebuilt) endOpenUploads() {
	ids := make([]uint64, 0, len(b.open))
	for id := range b.open {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	for _, id := range ids {
		o := b.open[id]
		if o.rec == nil {
			b.nameOpen(id, o)
			continue
		}
		rec := *o.rec
		if rec.Complete || o.ended {
			b.whole[id] = rec // if all of its bytes can be found
		}
		switch {
		case !o.ended:
			rec.Error = errCut
		case rec.Error == "":
			rec.Error = errLost
		}
		rec.Complete, rec.SHA256, rec.MD5, rec.SHA1 = false, [32]byte{}, nil, nil
		rec.Parts, rec.StoredSize = o.parts, o.bytes
		if b.inflight != nil && b.inflight.Upload.ID == id {
			rec.Parts++
			rec.StoredSize += b.inflight.Member.Size
		}
		b.partial = append(b.partial, rec)
	}
}

// nameOpen keeps the members of an upload whose record never reached the
// spool.
func (b *rebuilt) nameOpen(id uint64, o *openUpload) {
	components, err := zipx.SplitMember(o.name)
	if err != nil || len(components) < 3 || components[0] != "uploads" {
		return
	}
	u := entry.Upload{ID: id, Member: o.name, Parts: o.parts, StoredSize: o.bytes, Error: errCut}
	u.Upload = flow.Upload{Accessor: components[1], Path: strings.Join(components[2:], "/"), Components: components[2:], Size: -1}
	b.found = append(b.found, u)
}
