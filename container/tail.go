package container

import (
	"context"
	"crypto/sha256"
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

// writeTail writes what follows the first cut bytes of the evidence: the end of
// the member that was being appended, what the spool holds of uploads under
// way, and all that Close would have written. out must stand at offset cut.
func (b *rebuilt) writeTail(ctx context.Context, out *output, level, workers int, now func() time.Time) error {
	if b.restored {
		end, err := b.expectedEnd()
		if err == nil {
			_, err = out.Write(end)
		}
		return err
	}
	if b.inflight != nil {
		if err := b.endInflight(out); err != nil {
			return err
		}
	}
	if b.torn != nil {
		if err := b.keepTorn(out, now()); err != nil {
			return err
		}
	}
	for i := range b.partial {
		if err := b.keepChunks(out, &b.partial[i], now()); err != nil {
			return err
		}
	}
	for i := range b.partial {
		p := &b.partial[i]
		if w, ok := b.whole[p.ID]; ok && p.Parts > 0 && p.StoredSize == w.StoredSize {
			p.Complete, p.Error, p.SHA256, p.MD5, p.SHA1 = w.Complete, w.Error, w.SHA256, w.MD5, w.SHA1
		}
		if err := b.keepIndex(out, p, now()); err != nil {
			return err
		}
		b.led.addUpload(p)
	}
	for i := range b.found {
		b.led.addUpload(&b.found[i])
	}
	s := &sealer{
		out: out, led: b.led, ev: &rebuiltEvidence{rebuilt: b, spoolEvidence: spoolEvidence{frames: b.fr}}, head: b.head, level: level, workers: workers,
		now: now, problems: func() []Problem { return b.problems }, reconstructed: true, skip: map[string]bool{},
	}
	for i := range b.extra {
		if name := b.extra[i].Name; ourName(name) {
			s.skip[name] = true
		}
	}
	// What was made of the whole must be made again; and the closing members of
	// a spool are better than those of a file that was cut while closing.
	delete(s.skip, memberManifest)
	for i := range b.kept {
		s.skip[b.kept[i].Name] = true
	}
	return s.seal()
}

// endInflight ends the large member that was being appended where its last
// synced block ends.
func (b *rebuilt) endInflight(out *output) error {
	m := *b.inflight.Member
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(b.zip, m.Offset, m.Length)); err != nil {
		return fmt.Errorf("read %s back: %w", m.Name, err)
	}
	mw := &memberWriter{out: out, raw: h, member: m}
	if tail := streamEnd(m.Method); len(tail) > 0 {
		if err := mw.data(tail); err != nil {
			return err
		}
	}
	done, err := mw.end()
	if err != nil {
		return err
	}
	done.SHA256 = [32]byte{}
	b.kept = append(b.kept, *done)
	return nil
}

// keepTorn writes what can be had of a member that was cut as a whole one.
func (b *rebuilt) keepTorn(out *output, now time.Time) error {
	f := &b.torn.found
	r, err := b.torn.salvager.Open(f)
	if err != nil {
		b.problem(f.Member.Name, err.Error(), f.Start)
		return nil
	}
	defer r.Close()
	name, up := f.Member.Name, b.tornUpload(f)
	if source, csv, ok := sourceOfMember(name); ok && !csv {
		return b.keepTornRows(out, r, source, name, now)
	}
	if up == nil {
		return nil
	}
	sm := newStreamMember(out, nil, name, f.Member.Modified, 5)
	n, err := io.Copy(sm, r)
	if err != nil {
		b.problem(name, err.Error(), f.Start)
	}
	m, err := sm.close()
	if err != nil {
		return err
	}
	m.UploadID = up.ID
	up.Parts++
	up.StoredSize += n
	b.kept = append(b.kept, *m)
	return nil
}

// keepTornRows keeps the whole rows of a results member that was cut.
func (b *rebuilt) keepTornRows(out *output, r io.Reader, source, name string, now time.Time) error {
	if s := b.led.sources[source]; s != nil && len(s.batches) > 0 {
		return nil // the spool has them all
	}
	sm := newStreamMember(out, nil, name, now, 5)
	lines := &wholeLines{w: sm}
	if _, err := io.Copy(lines, r); err != nil {
		b.problem(name, err.Error(), b.torn.found.Start)
	}
	m, err := sm.close()
	if err != nil {
		return err
	}
	b.kept = append(b.kept, *m)
	return nil
}

// tornUpload finds or makes the record that a cut member belongs to.
func (b *rebuilt) tornUpload(f *zipx.Found) *entry.Upload {
	for i := range b.partial {
		p := &b.partial[i]
		if p.Member == f.Member.Name && p.Parts == 0 || p.Parts > 0 && partMember(p.ID, p.Parts+1) == f.Member.Name {
			return p
		}
	}
	if base, ok := strings.CutSuffix(f.Member.Name, ".idx"); ok {
		_, found := b.foundBy[base]
		if _, open := b.openBy[base]; open || found {
			return nil // an index, which is made again where there is a record
		}
	}
	components, err := zipx.SplitMember(f.Member.Name)
	if err != nil || len(components) < 3 || components[0] != "uploads" {
		return nil
	}
	u := entry.Upload{Member: f.Member.Name, Error: errCut, Ended: f.Member.Modified}
	u.Upload.Accessor, u.Upload.Components, u.Upload.Size, u.Upload.Modified = components[1], components[2:], -1, f.Member.Modified
	u.Upload.Path = strings.Join(components[2:], "/")
	b.partial = append(b.partial, u)
	return &b.partial[len(b.partial)-1]
}

// keepChunks writes the bytes of an upload that only the spool holds.
func (b *rebuilt) keepChunks(out *output, up *entry.Upload, now time.Time) error {
	o := b.open[up.ID]
	if o == nil || len(o.chunks) == 0 {
		return nil
	}
	sort.SliceStable(o.chunks, func(i, j int) bool { return o.chunks[i].offset < o.chunks[j].offset })
	var sm *streamMember
	for _, c := range o.chunks {
		if c.offset > up.StoredSize || c.offset+c.size <= up.StoredSize {
			continue
		}
		f, err := b.fr.ReadAt(c.spoolOffset)
		if err != nil {
			b.problem(up.Member, "a piece in the spool cannot be read: "+err.Error(), c.spoolOffset)
			continue
		}
		chunk, err := entry.DecodeChunk(f.Body)
		if err != nil || chunk.Offset > up.StoredSize || int64(len(chunk.Data)) <= up.StoredSize-chunk.Offset {
			continue
		}
		if sm == nil {
			name := up.Member
			if up.Parts > 0 {
				name = partMember(up.ID, up.Parts+1)
			}
			if b.taken[name] {
				b.problem(name, "the pieces in the spool that continue the file are left out: a member has their name", -1)
				return nil
			}
			sm = newStreamMember(out, nil, name, up.Upload.Modified, 5)
		}
		data := chunk.Data[up.StoredSize-chunk.Offset:]
		if _, err := sm.Write(data); err != nil {
			return err
		}
		up.StoredSize += int64(len(data))
	}
	if sm == nil {
		return nil
	}
	m, err := sm.close()
	if err != nil {
		return err
	}
	m.UploadID = up.ID
	up.Parts++
	b.kept = append(b.kept, *m)
	return nil
}

// keepIndex writes the index of a sparse file that was under way.
func (b *rebuilt) keepIndex(out *output, up *entry.Upload, now time.Time) error {
	if o := b.open[up.ID]; up.Upload.Ranges == nil || up.Parts == 0 || o != nil && o.index {
		return nil
	}
	name := up.Member + ".idx"
	for i := range b.extra {
		if b.taken[name] && b.extra[i].Name == name {
			b.makeGap(&b.extra[i]) // it is made again for what is there
		}
	}
	sm := newStreamMember(out, nil, name, now, 5)
	if _, err := sm.Write(sparseIndex(up.Upload.Ranges, up.StoredSize)); err != nil {
		return err
	}
	m, err := sm.close()
	if err != nil {
		return err
	}
	m.UploadID = up.ID
	b.kept = append(b.kept, *m)
	return nil
}

// rebuiltEvidence adds what was found in the file to what the spool says.
type rebuiltEvidence struct {
	*rebuilt
	spoolEvidence
}

func (e *rebuiltEvidence) eachMember(yield func(*entry.Member) error) error {
	extra := e.extra
	upTo := func(offset int64) error {
		for len(extra) > 0 && extra[0].Offset < offset {
			if err := yield(&extra[0]); err != nil {
				return err
			}
			extra = extra[1:]
		}
		return nil
	}
	order := memberOrder{limit: e.zipSize}
	err := e.each(entry.KindMember, func(body []byte) error {
		m, err := entry.DecodeMember(body)
		if err != nil || !order.accept(&m) {
			return nil // told when the spool was read first
		}
		if err := upTo(m.Offset); err != nil {
			return err
		}
		return yield(&m)
	})
	if err != nil {
		return err
	}
	if err := upTo(1<<63 - 1); err != nil {
		return err
	}
	for i := range e.kept {
		if err := yield(&e.kept[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e *rebuiltEvidence) eachUpload(yield func(*entry.Upload) error) error {
	if e.fr != nil {
		err := eachFrame(e.fr, func(f frame.Frame, off int64) error {
			if f.Kind != entry.KindUpload || e.redone[off] {
				return nil
			}
			u, err := entry.DecodeUpload(f.Body)
			if err != nil {
				return nil // told when the spool was read first
			}
			return yield(e.asFound(&u))
		})
		if err != nil {
			return err
		}
	}
	for _, list := range [][]entry.Upload{e.partial, e.found} {
		for i := range list {
			if err := yield(&list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *rebuiltEvidence) eachBatch(s *sourceLedger, yield func(jsonl []byte) error) error {
	for _, offset := range s.batches {
		if e.bad[offset] {
			continue
		}
		rows, n, err := e.batch(s, offset)
		if err != nil {
			e.bad[offset] = true
			e.problem("results of "+s.name, fmt.Sprintf("a batch of %d rows is lost: %v", n, err), offset)
			s.rows -= n
			e.led.rows -= n
			continue
		}
		if err := yield(rows); err != nil {
			return err
		}
	}
	return nil
}

func (e *rebuiltEvidence) eachLog(yield func(flow.LogLine) error) error {
	return e.each(entry.KindLog, func(body []byte) error {
		l, err := entry.DecodeLog(body)
		if err != nil {
			return nil // told when the spool was read first
		}
		return yield(l)
	})
}

func (e *rebuiltEvidence) eachReport(yield func(flow.Report) error) error {
	return e.each(entry.KindReport, func(body []byte) error {
		r, err := entry.DecodeReport(body)
		if err != nil {
			return nil // told when the spool was read first
		}
		return yield(r)
	})
}

// wholeLines passes whole lines on and drops what follows the last newline.
type wholeLines struct {
	w    io.Writer
	rest []byte
}

func (l *wholeLines) Write(p []byte) (int, error) {
	end := 0
	eachRowEnd(p, func(at int) { end = at })
	if end == 0 {
		if len(l.rest)+len(p) > entry.MaxRowsBytes {
			return 0, fmt.Errorf("a row is longer than %d bytes", entry.MaxRowsBytes)
		}
		l.rest = append(l.rest, p...)
		return len(p), nil
	}
	if _, err := l.w.Write(append(l.rest, p[:end]...)); err != nil {
		return 0, err
	}
	l.rest = append(l.rest[:0], p[end:]...)
	return len(p), nil
}
