package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/frame"
	"satchel/internal/zipx"
)

const errCut = "the collection was cut before the file was read to its end"

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
	cut       int64 // bytes of the file that the rebuilt container begins with

	inflight *entry.Progress // large member that was being appended: it ends at cut
	torn     *tornMember
	closed   *zipx.Found // a whole manifest: the container was closed once
	restored bool        // and nothing but what follows it is missing
	damaged  bool        // members are not what was written
	open     map[uint64]*openUpload
	lost     map[uint64]bool         // uploads with members beyond the end of the file
	extra    []entry.Member          // found by their headers, and gaps (without a name)
	found    []entry.Upload          // uploads known by their members' names alone
	kept     []entry.Member          // written to the tail before the closing members
	partial  []entry.Upload          // uploads that were under way
	whole    map[uint64]entry.Upload // records of those that had ended
}

// openUpload is what the spool says of an upload that has not ended.
type openUpload struct {
	rec    *entry.Upload
	parts  int
	bytes  int64
	name   string
	chunks []chunkRef
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

// maxOpen bounds how many unended uploads a spool may speak of.
const maxOpen = 100_000

func rebuild(zip io.ReaderAt, zipSize int64, fr frames, o ReadOptions) (*rebuilt, error) {
	b := &rebuilt{
		zip: zip, zipSize: zipSize, fr: fr, opts: o, led: newLedger(nil),
		open: map[uint64]*openUpload{}, lost: map[uint64]bool{}, whole: map[uint64]entry.Upload{},
	}
	gaps, err := b.readSpool()
	if err != nil {
		return nil, err
	}
	if err := b.salvage(gaps); err != nil {
		return nil, err
	}
	b.endOpenUploads()
	if b.closed != nil {
		b.settleClosed()
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
			*m = entry.Member{Offset: m.Offset, Length: m.Length, RawSHA256: m.RawSHA256}
		}
	}
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
		if m.Offset+m.Length > b.zipSize {
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
		o = &openUpload{name: m.Name}
		b.open[m.UploadID] = o
	}
	if !strings.HasSuffix(m.Name, ".idx") || m.Name == o.name {
		o.parts++
		o.bytes += m.Size
	}
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
	if o.rec == nil || !o.rec.Complete {
		o.rec = &p.Upload
	}
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
		return b.led.addRows(r.Source, r.Rows, r.Size, off)
	case entry.KindLog:
		l, err := entry.DecodeLog(f.Body)
		if err == nil {
			b.led.addLog(l)
		}
		return err
	case entry.KindReport:
		r, err := entry.DecodeReport(f.Body)
		if err != nil {
			return err
		}
		return b.led.addReport(r)
	case entry.KindUpload:
		u, err := entry.DecodeUpload(f.Body)
		if err != nil {
			return err
		}
		delete(b.open, u.ID)
		b.led.addUpload(b.asFound(&u))
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

func (b *rebuilt) addHeader(body []byte) error {
	var h storedHeader
	if err := json.Unmarshal(body, &h); err != nil {
		return fmt.Errorf("the header cannot be read: %w", err)
	}
	if b.headFound {
		return nil
	}
	b.head, b.headFound = h, true
	for _, name := range h.Sources {
		if s, err := b.led.source(name); err == nil {
			s.planned = true
		}
	}
	return nil
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

// salvage looks for members in the pieces of the file that no record covers.
func (b *rebuilt) salvage(gaps []span) error {
	for _, gap := range gaps {
		end := gap.from
		s := zipx.NewSalvager(b.zip, gap.from, gap.to, b.limits())
		for f, err := range s.Members() {
			if err != nil {
				var limit *zipx.LimitError
				if errors.As(err, &limit) {
					b.problem("", "the search for members was given up: "+err.Error(), gap.from)
					break
				}
				return fmt.Errorf("look for members: %w", err)
			}
			if !b.takeFound(s, &f) {
				continue
			}
			if f.Start > end {
				b.addGap(end, f.Start)
			}
			end = f.End
		}
		switch last := gap.to == b.zipSize; {
		case last && end > b.cut:
			b.cut = end
		case !last && end < gap.to:
			b.addGap(end, gap.to)
		}
	}
	sort.Slice(b.extra, func(i, j int) bool { return b.extra[i].Offset < b.extra[j].Offset })
	return nil
}

func (b *rebuilt) limits() zipx.Limits { return b.opts.limits() }

// addGap makes bytes that are no member part of the rebuilt container, since
// what follows them must stay where it is.
func (b *rebuilt) addGap(from, to int64) {
	m := entry.Member{Offset: from, Length: to - from}
	if err := hashSpan(b.zip, from, to-from, &m.RawSHA256); err != nil {
		b.problem("", "bytes between members cannot be read: "+err.Error(), from)
	}
	b.extra = append(b.extra, m)
}

// takeFound makes a member of one that was found by its header. It says false
// when its bytes are not part of the rebuilt container.
func (b *rebuilt) takeFound(s *zipx.Salvager, f *zipx.Found) bool {
	if f.Resynced && !ourName(f.Member.Name) {
		return false
	}
	if !f.Complete {
		b.problem(f.Member.Name, f.Reason, f.Start)
		b.damaged = b.damaged || !f.Cut
		if f.Cut && f.Prefix > 0 && ourName(f.Member.Name) {
			b.torn = &tornMember{s, *f}
		}
		return false
	}
	m := entry.Member{
		Name: f.Member.Name, Method: f.Member.Method, Flags: f.Member.Flags, CRC32: f.Member.CRC32, Stored: int64(f.Member.CompressedSize),
		Size: int64(f.Member.Size), Offset: f.Start, Length: f.End - f.Start, Modified: f.Member.Modified, Descriptor: f.Member.Descriptor,
	}
	rows, err := b.hashFound(s, f, &m)
	if err != nil {
		b.problem(f.Member.Name, err.Error(), f.Start)
		return false
	}
	if source, csv, ok := sourceOfMember(m.Name); ok && !csv && b.fr == nil {
		if src, err := b.led.source(source); err == nil {
			src.rows, src.bytes = rows, m.Size
			b.led.rows += rows
		}
	}
	b.extra = append(b.extra, m)
	switch {
	case m.Name == memberManifest:
		b.closed = f
	case m.Name == memberHeader && !b.headFound:
		b.readHeaderMember(s, f)
	case strings.HasPrefix(m.Name, "uploads/") && !strings.HasSuffix(m.Name, ".idx"):
		b.nameUpload(&m)
	}
	return true
}

// hashFound hashes the record and the content of a member and counts its lines.
func (b *rebuilt) hashFound(s *zipx.Salvager, f *zipx.Found, m *entry.Member) (lines int64, err error) {
	if err := hashSpan(b.zip, f.Start, f.End-f.Start, &m.RawSHA256); err != nil {
		return 0, err
	}
	r, err := s.Open(f)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	var count lineCounter
	if err := hashReader(io.TeeReader(r, &count), &m.SHA256); err != nil {
		return 0, err
	}
	return int64(count), nil
}

func (b *rebuilt) readHeaderMember(s *zipx.Salvager, f *zipx.Found) {
	r, err := s.Open(f)
	if err != nil {
		return
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err == nil {
		err = b.addHeader(body)
	}
	if err != nil {
		b.problem(memberHeader, err.Error(), f.Start)
	}
}

// nameUpload makes the record of an upload from its member, unless the spool
// has one or is still to be asked.
func (b *rebuilt) nameUpload(m *entry.Member) {
	for _, o := range b.open {
		if o.rec != nil && o.rec.Member == m.Name {
			o.parts++
			o.bytes += m.Size
			return
		}
	}
	components, err := zipx.SplitMember(m.Name)
	if err != nil || len(components) < 3 {
		return
	}
	u := entry.Upload{Member: m.Name, Parts: 1, StoredSize: m.Size, SHA256: m.SHA256, Complete: true, Ended: m.Modified}
	u.Upload = flow.Upload{Accessor: components[1], Path: strings.Join(components[2:], "/"), Components: components[2:], Size: m.Size, Modified: m.Modified}
	b.found = append(b.found, u)
}

// ourName says whether a member belongs to the layout of a collection.
func ourName(name string) bool {
	for _, prefix := range []string{"uploads/", "uploads.parts/", "results/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch strings.TrimSuffix(name, ".index") {
	case memberHeader, memberUploads, memberLog, memberContext, memberRequests, memberClientInfo, memberCustom, memberReport, memberManifest:
		return true
	}
	return false
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
		if rec.Complete {
			b.whole[id] = rec // if the spool has the rest of its bytes
		}
		rec.Complete, rec.Error, rec.SHA256, rec.MD5, rec.SHA1 = false, errCut, [32]byte{}, nil, nil
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
