package importer

import (
	"context"
	"encoding/json"
	"io"
	"sync"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/spool"
)

// unite puts the two halves of a cut container together when its ZIP came from
// one place and its spool from another: neither half holds the other, and the
// pair holds both. It returns false where the source and rec are no such halves.
func (j *job) unite(ctx context.Context, rec flow.Record) (_ Result, united bool, err error) {
	zipHere := j.in.zip != nil && j.in.spool == nil && !j.info.Complete && rec.Content.SHA256 == ""
	spoolHere := j.in.zip == nil && j.in.spool != nil && !rec.Complete && rec.Content.SpoolSHA256 == ""
	if !zipHere && !spoolHere {
		return Result{}, false, nil
	}
	zip, spool, c, err := j.im.store.OpenContainer(ctx, rec.ClientID, rec.FlowID)
	if err != nil {
		return Result{}, false, err
	}
	release := sync.OnceValue(c.Close)
	defer func() {
		if cerr := release(); err == nil {
			err = cerr
		}
	}()
	pair := &opened{source: j.in.source, zip: j.in.zip, spool: j.in.spool}
	if zipHere {
		pair.spool = spool
	} else {
		pair.zip = zip
	}
	if pair.zip == nil || pair.spool == nil {
		return Result{}, false, nil
	}
	ev, err := j.im.o.Format.Open(pair.zip, pair.spool)
	if err != nil {
		return Result{}, false, nil // they do not belong together
	}
	defer ev.Close()
	u := &job{im: j.im, in: pair, ev: ev, info: ev.Info(), id: j.id, original: j.original, base: j.base, release: release}
	if u.info.ID == "" || u.info.ID != spoolOwner(pair.spool) || u.info.Flow.ID != j.info.Flow.ID {
		return Result{}, false, nil
	}
	// Both halves must be in the pair, not only be claimed by it.
	old, err := u.compare(ctx, rec, true)
	if err != nil || !old.aInB {
		return Result{}, false, err
	}
	own, err := compare(ctx, j.ev, ev, true)
	if err != nil || !own.aInB {
		return Result{}, false, err
	}
	u.notes = append(u.notes, j.notes...)
	u.note("its ZIP and its spool were imported from different places: they are kept together")
	r, err := u.extend(ctx, rec)
	return r, err == nil, err
}

// spoolOwner returns the id of the container that a spool was written for, or ""
// when it does not tell.
func spoolOwner(r *io.SectionReader) string {
	sc := spool.ReadFile(r, r.Size())
	for sc.Next() {
		if sc.Frame().Kind != entry.KindHeader {
			continue
		}
		var head struct {
			ID string `json:"container_id"`
		}
		if json.Unmarshal(sc.Frame().Body, &head) != nil {
			return ""
		}
		return head.ID
	}
	return ""
}
