package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/zipx"
)

// salvage looks for members in the pieces of the file that no record covers.
func (b *rebuilt) salvage(gaps []span) error {
	for id, o := range b.open {
		if o.rec != nil {
			b.openBy[o.rec.Member] = id
		}
	}
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

// maxFound bounds the members that a search takes, some 300 bytes of memory each.
const maxFound = 4 << 20

func (b *rebuilt) limits() zipx.Limits {
	l := b.opts.limits()
	if l.MaxMembers == 0 {
		l.MaxMembers = maxFound
	}
	return l
}

// idOfFile returns the id of the container that the file says it is, or "".
func (b *rebuilt) idOfFile() string {
	head := make([]byte, 30+len(memberHeader))
	if n, _ := b.zip.ReadAt(head, 0); n < len(head) || string(head[30:]) != memberHeader {
		return ""
	}
	s := zipx.NewSalvager(b.zip, 0, b.zipSize, b.limits())
	for f, err := range s.Members() {
		if err != nil || !f.Complete || f.Start != 0 {
			return ""
		}
		h, err := readStoredHeader(s, &f)
		if err != nil {
			return ""
		}
		return h.ID
	}
	return ""
}

func readStoredHeader(s *zipx.Salvager, f *zipx.Found) (h storedHeader, err error) {
	r, err := s.Open(f)
	if err != nil {
		return h, err
	}
	defer r.Close()
	return h, json.NewDecoder(io.LimitReader(r, maxJSONMember)).Decode(&h)
}

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
	b.taken[m.Name] = true
	switch {
	case m.Name == memberManifest:
		b.closed = f
	case m.Name == memberHeader && !b.headFound && f.Start == 0:
		b.readHeaderMember(s, f)
	case strings.HasPrefix(m.Name, "uploads.parts/"):
		b.continueUpload(&m)
	case strings.HasPrefix(m.Name, "uploads/") && !b.indexFound(s, f):
		b.nameUpload(&m)
	}
	return true
}

// indexFound says whether a member is the index of a sparse file. Of one
// without a record, which alone could tell, it is when its runs fit the bytes
// that are stored.
func (b *rebuilt) indexFound(s *zipx.Salvager, f *zipx.Found) bool {
	base, ok := strings.CutSuffix(f.Member.Name, ".idx")
	if !ok {
		return false
	}
	if o := b.open[b.openBy[base]]; o != nil && o.rec != nil && o.rec.Member == base {
		return o.rec.Upload.Ranges != nil
	}
	i, ok := b.foundBy[base]
	if !ok || f.Member.Size > maxJSONMember {
		return false
	}
	r, err := s.Open(f)
	if err != nil {
		return false
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		return false
	}
	u := &b.found[i]
	runs, err := parseSparseIndex(body, u.StoredSize)
	if err != nil || len(runs) == 0 || len(runs) > entry.MaxRanges {
		return false
	}
	var ranges []flow.Range
	var stored, end int64
	for _, run := range runs {
		if run.FileLength != 0 && (run.FileLength != run.Length || run.FileOffset != stored) {
			return false
		}
		ranges = append(ranges, flow.Range{Offset: run.OriginalOffset, Length: run.Length, Sparse: run.FileLength == 0})
		stored, end = stored+run.FileLength, run.OriginalOffset+run.Length
	}
	if stored != u.StoredSize {
		return false
	}
	u.Upload.Ranges, u.Upload.Size = ranges, end
	return true
}

// continueUpload adds a further member to the upload that it belongs to.
func (b *rebuilt) continueUpload(m *entry.Member) {
	rest := strings.TrimPrefix(m.Name, "uploads.parts/")
	number, _, _ := strings.Cut(rest, "/")
	id, err := strconv.ParseUint(number, 10, 64)
	if o := b.open[id]; err == nil && o != nil && o.parts > 0 && m.Name == partMember(id, o.parts+1) {
		o.parts++
		o.bytes += m.Size
		return
	}
	b.problem(m.Name, "it continues a file, but what is before it, or its record, is lost", m.Offset)
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
	h, err := readStoredHeader(s, f)
	if err != nil {
		b.problem(memberHeader, err.Error(), f.Start)
		return
	}
	b.setHeader(h)
}

// nameUpload makes the record of an upload from its member, unless the spool
// has one or is still to be asked.
func (b *rebuilt) nameUpload(m *entry.Member) {
	if o := b.open[b.openBy[m.Name]]; o != nil && o.rec != nil && o.rec.Member == m.Name {
		if o.parts == 0 {
			o.parts, o.bytes = 1, m.Size
		}
		return
	}
	components, err := zipx.SplitMember(m.Name)
	if err != nil || len(components) < 3 {
		return
	}
	u := entry.Upload{Member: m.Name, Parts: 1, StoredSize: m.Size, SHA256: m.SHA256, Error: errNoRecord, Ended: m.Modified}
	u.Upload = flow.Upload{Accessor: components[1], Path: strings.Join(components[2:], "/"), Components: components[2:], Size: m.Size, Modified: m.Modified}
	b.foundBy[m.Name] = len(b.found)
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
