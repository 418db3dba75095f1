package importer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"satchel/container"
	"satchel/internal/flow"
)

// job is the import of one container.
type job struct {
	im   *Importer
	in   *opened
	ev   Evidence
	info container.Info

	id       identity
	original string // flow id of the container, where base is another
	base     string // flow id to keep it under, if it is free

	content flow.Content // hashes of the source; zero until hash
	hashed  bool
	release func() error        // lets go of what is read from the store before it is replaced, or nil
	notes   []container.Problem // about the import itself
}

// one imports one container. The error is a *refusal for all that is wrong with
// the container, and any other is the store's. The status is empty for a walked
// file that is no container and does not claim to be one.
func (im *Importer) one(ctx context.Context, src source) (r Result, err error) {
	in, err := src.open()
	if err != nil {
		if src.walked && !claims(src.name()) {
			return r, nil
		}
		return r, err
	}
	defer func() { err = closing(err, in) }()
	r.Bytes = in.bytes()
	if src.walked && !claims(src.name()) && (in.zip == nil || !looksLikeZip(in.zip)) {
		return r, nil
	}
	ev, err := im.o.Format.Open(in.zip, in.spool)
	if err != nil {
		if src.walked && !claims(src.name()) {
			return r, nil
		}
		return r, unreadable(err, in)
	}
	defer func() { err = closing(err, ev) }()
	j := &job{im: im, in: in, ev: ev, info: ev.Info()}
	if err := j.name(ctx); err != nil {
		return r, err
	}
	return j.run(ctx)
}

// closing closes c; its error counts when there is no other.
func closing(err error, c io.Closer) error {
	if cerr := c.Close(); err == nil && cerr != nil {
		return &refusal{offset: -1, err: cerr}
	}
	return err
}

// unreadable says in words why a file cannot be opened as a container.
func unreadable(err error, in *opened) error {
	var bad *refusal
	switch {
	case errors.As(err, &bad):
		return bad
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, container.ErrNotContainer):
		return refuse("%s", describe(in.zip))
	case errors.Is(err, container.ErrEncrypted):
		if what := describe(in.zip); strings.Contains(what, "encrypted") {
			return refuse("%s", what)
		}
	}
	return &refusal{offset: -1, err: err}
}

// name settles the flow id to look for and the client.
func (j *job) name(ctx context.Context) error {
	own := j.info.Flow.ID
	switch {
	case flow.ValidID(own):
		j.base = own
	case own == "":
		// Nothing but the content names it.
		if err := j.hash(ctx); err != nil {
			return err
		}
		j.base = madeID("content "+j.content.SHA256+j.content.SpoolSHA256, 0)
	default:
		j.original = boundTo(own, 1<<10)
		j.base = madeID(own, 0)
		j.note("the flow id %q is not one that can be kept: it is kept as %s", boundTo(own, 64), j.base)
	}
	j.id = identify(j.info, j.im.o.ClientID, j.base)
	return nil
}

func (j *job) note(format string, args ...any) {
	j.notes = append(j.notes, container.Problem{Problem: fmt.Sprintf(format, args...), Offset: -1})
}

// run decides and does it.
func (j *job) run(ctx context.Context) (Result, error) {
	known, err := j.im.candidates(ctx, j.base)
	if err != nil {
		return Result{}, err
	}
	if len(known) > 0 {
		if err := j.hash(ctx); err != nil {
			return Result{}, err
		}
	}
	for _, rec := range known {
		if j.sameBytes(rec) {
			return j.already(rec), nil
		}
	}
	for _, rec := range known {
		rel, err := j.compare(ctx, rec, false)
		if err != nil {
			return Result{}, err
		}
		switch {
		case rel.aInB && (!rel.bInA || j.info.Complete && !rec.Complete):
			// What is there would go: it must be in the new one, not only be claimed.
			if rel, err = j.compare(ctx, rec, true); err != nil {
				return Result{}, err
			}
			if rel.aInB {
				return j.extend(ctx, rec)
			}
		case rel.bInA:
			j.note("every row and file of it is in the store; its other bytes differ from those that are kept")
			return j.already(rec), nil
		}
	}
	for _, rec := range known {
		if r, united, err := j.unite(ctx, rec); err != nil || united {
			return r, err
		}
	}
	return j.add(ctx, known)
}

// idGap is how many made ids in a row must be free before the search for
// further contents under one id ends: deleted flows leave holes.
const idGap = 16

// candidates finds all flows that came as base, of any client.
func (im *Importer) candidates(ctx context.Context, base string) ([]flow.Record, error) {
	known, err := im.store.Find(ctx, base)
	if err != nil {
		return nil, err
	}
	for n, last := 1, 0; n <= last+idGap; n++ {
		more, err := im.store.Find(ctx, madeID(base, n))
		if err != nil {
			return nil, err
		}
		if len(more) > 0 {
			known, last = append(known, more...), n
		}
	}
	return known, nil
}

// hash reads the source once for its hashes.
func (j *job) hash(ctx context.Context) error {
	if j.hashed {
		return nil
	}
	for _, f := range j.files() {
		if f.in == nil {
			continue
		}
		h := sha256.New()
		n, err := io.Copy(h, contextReader{ctx, section(f.in)})
		if err != nil {
			return err
		}
		*f.sum, *f.size = hex.EncodeToString(h.Sum(nil)), n
	}
	j.hashed = true
	return nil
}

// file is one file of the evidence on its way into the store.
type file struct {
	name string // in the stage
	in   *io.SectionReader
	sum  *string
	size *int64
}

func (j *job) files() []file {
	return []file{
		{ContainerName, j.in.zip, &j.content.SHA256, &j.content.Bytes},
		{SpoolName, j.in.spool, &j.content.SpoolSHA256, &j.content.SpoolBytes},
	}
}

// section gives a second reader of the same bytes, at their beginning.
func section(r *io.SectionReader) *io.SectionReader {
	return io.NewSectionReader(r, 0, r.Size())
}

// sameBytes says whether the record keeps, or once kept, these very bytes. A
// container that lies with a left-over spool in one place and without it in
// another is the same when it is whole.
func (j *job) sameBytes(rec flow.Record) bool {
	for _, c := range append([]flow.Content{rec.Content}, rec.Replaced...) {
		if c.Same(j.content) {
			return true
		}
		if c.SHA256 != "" && c.SHA256 == j.content.SHA256 && c.Complete && j.info.Complete {
			return true
		}
	}
	return false
}

// compare holds the evidence of rec (a) against the source (b).
func (j *job) compare(ctx context.Context, rec flow.Record, prove bool) (rel relation, err error) {
	zip, spool, c, err := j.im.store.OpenContainer(ctx, rec.ClientID, rec.FlowID)
	if err != nil {
		return rel, err
	}
	defer func() {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}()
	old, err := j.im.o.Format.Open(zip, spool)
	if err != nil {
		return relation{}, nil // rotten in the store: it stays, the new one comes beside it
	}
	defer old.Close()
	return compare(ctx, old, j.ev, prove)
}

// already reports a container that adds nothing to rec.
func (j *job) already(rec flow.Record) Result {
	if id := j.im.o.ClientID; id != "" && id != rec.ClientID {
		j.note("it is in the store under client %s, where it stays", rec.ClientID)
	}
	r := j.result(Already, rec.ClientID, rec.FlowID)
	r.Complete = rec.Complete
	r.Problems = append(append(r.Problems, bounded(j.info.Problems)...), j.sidecar()...)
	return r
}

func (j *job) result(s Status, clientID, flowID string) Result {
	return Result{Path: j.in.name(), Status: s, ClientID: clientID, FlowID: flowID, Rows: j.info.Rows,
		Uploads: j.info.Uploads, Bytes: j.in.bytes(), Problems: append([]container.Problem{}, j.notes...)}
}

func bounded(p []container.Problem) []container.Problem {
	return p[:min(len(p), maxProblems)]
}

// extend puts the source in the place of rec, its prefix.
func (j *job) extend(ctx context.Context, rec flow.Record) (Result, error) {
	id := identity{clientID: rec.ClientID, how: rec.Identity, original: rec.OriginalClientID}
	if rec.OriginalFlowID != "" {
		j.original = rec.OriginalFlowID
	}
	kept, err := j.put(ctx, id, rec.FlowID, true)
	if err != nil {
		return Result{}, err
	}
	return j.kept(Extended, kept), nil
}

// add keeps the source as a flow of its own.
func (j *job) add(ctx context.Context, known []flow.Record) (Result, error) {
	taken := make(map[string]bool)
	for _, rec := range known {
		if rec.ClientID == j.id.clientID {
			taken[rec.FlowID] = true
		}
	}
	id := j.base
	for n := 1; taken[id]; n++ {
		id = madeID(j.base, n)
	}
	if id != j.base {
		if j.original == "" {
			j.original = j.base
		}
		j.note("another content has the flow id %s: this one is kept as %s", j.base, id)
	}
	kept, err := j.put(ctx, j.id, id, false)
	if err != nil {
		return Result{}, err
	}
	status := Imported
	if !kept.Complete {
		status = Partial
	}
	return j.kept(status, kept), nil
}

func (j *job) kept(s Status, rec flow.Record) Result {
	r := j.result(s, rec.ClientID, rec.FlowID)
	r.Rows, r.Uploads, r.Complete = rec.Rows, rec.Uploads, rec.Complete
	r.Problems = problemsOf(rec)
	return r
}

// put copies the source into the store in one pass. What the record says is
// read from the copy, so that it is true even of a stick that reads different
// bytes each time.
func (j *job) put(ctx context.Context, id identity, flowID string, replace bool) (flow.Record, error) {
	return j.im.store.Put(ctx, func(ctx context.Context, stage *os.Root) (flow.Record, bool, error) {
		problems, err := j.copy(ctx, stage)
		if err != nil {
			return flow.Record{}, false, err
		}
		rec, err := j.reread(ctx, stage)
		if err != nil {
			return flow.Record{}, false, err
		}
		if j.release != nil {
			if err := j.release(); err != nil {
				return flow.Record{}, false, err
			}
		}
		rec.FlowID, rec.OriginalFlowID = flowID, j.original
		rec.ClientID, rec.Identity, rec.OriginalClientID = id.clientID, id.how, boundTo(id.original, 1<<10)
		rec.Complete = rec.Complete && len(problems) == 0
		addProblems(&rec, problems)
		addProblems(&rec, j.notes)
		addProblems(&rec, j.sidecar())
		rec.Content = j.content
		rec.Content.Imported, rec.Content.From, rec.Content.Complete = j.im.o.Now().UTC(), boundTo(absolute(j.in.name()), 4<<10), rec.Complete
		return rec, replace, nil
	})
}

// absolute is the path that still names the file when another command asks
// where it came from.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// copy stages the files and returns what is wrong with their bytes. If they
// were hashed before, they must not have changed since.
func (j *job) copy(ctx context.Context, stage *os.Root) ([]container.Problem, error) {
	before, hashed := j.content, j.hashed
	var problems []container.Problem
	total, done := j.in.bytes(), int64(0)
	for _, f := range j.files() {
		if f.in == nil {
			continue
		}
		found, err := j.copyFile(ctx, stage, f, func(n int64) {
			done += n
			j.im.o.Progress(j.in.name(), done, total)
		})
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	j.hashed = true
	if hashed && !before.Same(j.content) {
		return nil, refuse("the file changed while it was read, or the disk gives other bytes each time")
	}
	return problems, nil
}

func (j *job) copyFile(ctx context.Context, stage *os.Root, f file, progress func(int64)) (problems []container.Problem, err error) {
	out, err := stage.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("stage evidence: %w", err)
	}
	defer func() {
		if cerr := out.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("stage evidence: %w", cerr)
		}
	}()
	w := &countingWriter{w: out, progress: progress}
	var sum string
	if f.name == ContainerName {
		sum, problems, err = j.im.o.Format.Copy(ctx, w, section(f.in), j.in.spool)
	} else {
		h := sha256.New()
		_, err = io.Copy(io.MultiWriter(w, h), contextReader{ctx, section(f.in)})
		sum = hex.EncodeToString(h.Sum(nil))
	}
	if err != nil {
		return nil, fmt.Errorf("copy evidence: %w", err)
	}
	if w.n != f.in.Size() {
		return nil, refuse("%d of %d bytes could be read", w.n, f.in.Size())
	}
	*f.sum, *f.size = sum, w.n
	return problems, nil
}

// reread opens the staged copy and describes it.
func (j *job) reread(ctx context.Context, stage *os.Root) (rec flow.Record, err error) {
	copied := &opened{source: j.in.source}
	defer func() {
		if cerr := copied.Close(); err == nil {
			err = cerr
		}
	}()
	for _, f := range j.files() {
		if f.in == nil {
			continue
		}
		in, err := stage.Open(f.name)
		if err != nil {
			return rec, fmt.Errorf("read staged evidence: %w", err)
		}
		copied.files = append(copied.files, in)
		r := io.NewSectionReader(in, 0, *f.size)
		if f.name == ContainerName {
			copied.zip = r
		} else {
			copied.spool = r
		}
	}
	ev, err := j.im.o.Format.Open(copied.zip, copied.spool)
	if err != nil {
		return rec, unreadable(err, copied)
	}
	defer func() { err = closing(err, ev) }()
	if ev.Head().Flow.ID != j.info.Flow.ID {
		return rec, refuse("the file changed while it was read")
	}
	return describeFlow(ctx, ev)
}

// sidecar holds the container against <name>.sha256, where a collector wrote
// the hash for the custody form.
func (j *job) sidecar() []container.Problem {
	if j.in.source.zip == "" || j.content.SHA256 == "" {
		return nil
	}
	f, err := os.Open(j.in.source.zip + ".sha256")
	if err != nil {
		return nil
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return nil
	}
	fields := bytes.Fields(head)
	if len(fields) == 0 || len(fields[0]) != 64 || strings.EqualFold(string(fields[0]), j.content.SHA256) {
		return nil
	}
	if _, err := hex.DecodeString(string(fields[0])); err != nil {
		return nil
	}
	return []container.Problem{{Offset: -1, Problem: fmt.Sprintf(
		"the .sha256 file beside it has another hash (%s) than the container (%s): one of them was changed", fields[0], j.content.SHA256)}}
}

// countingWriter writes and counts.
type countingWriter struct {
	w        io.Writer
	n        int64
	progress func(int64)
}

// Write implements io.Writer.
func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.progress(int64(n))
	return n, err
}
