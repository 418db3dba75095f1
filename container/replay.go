package container

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"satchel/internal/flow"
)

// replayBatch is about how many bytes of rows a batch of Replay has.
const replayBatch = 256 << 10

// Replay writes everything that the container holds to a sink: rows by source,
// then uploads, logs and reports, each in its order.
func (r *Reader) Replay(ctx context.Context, sink flow.Sink) error {
	for _, s := range r.Sources() {
		if err := r.replayRows(ctx, s.Name, sink); err != nil {
			return fmt.Errorf("replay %s: %w", s.Name, err)
		}
	}
	for u, err := range r.Uploads(ctx) {
		if err != nil {
			return err
		}
		if u.Type == "idx" {
			continue
		}
		if err := r.replayUpload(ctx, u, sink); err != nil {
			return fmt.Errorf("replay the upload of %s: %w", u.Path, err)
		}
	}
	for l, err := range r.Logs(ctx) {
		if err != nil {
			return err
		}
		if err := sink.Log(ctx, l); err != nil {
			return err
		}
	}
	for rep, err := range r.Reports(ctx) {
		if err != nil {
			return err
		}
		if err := sink.Report(ctx, rep); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) replayRows(ctx context.Context, source string, sink flow.Sink) error {
	rc, err := r.Rows(ctx, source)
	if err != nil {
		return err
	}
	defer rc.Close()
	var b flow.RowBatch
	flush := func() error {
		if b.Rows == 0 {
			return nil
		}
		err := sink.WriteRows(ctx, source, b)
		b.JSONL, b.Rows = b.JSONL[:0], 0
		return err
	}
	err = eachLine(bufio.NewReaderSize(rc, 64<<10), func(line []byte) error {
		b.JSONL = append(append(b.JSONL, line...), '\n')
		if b.Rows++; len(b.JSONL) < replayBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return errors.Join(err, flush())
	}
	return flush()
}

func (r *Reader) replayUpload(ctx context.Context, u UploadInfo, sink flow.Sink) error {
	up := flow.Upload{
		Source: u.Source, Accessor: u.Accessor, Path: u.Path, Components: u.Components[2:], Size: u.Size,
		Modified: u.Modified, Accessed: u.Accessed, Changed: u.Changed, Born: u.Born, MD5: u.MD5 != "", SHA1: u.SHA1 != "",
	}
	stored, size, err := r.openParts(u)
	if err != nil {
		return err
	}
	defer stored.Close()
	runs, err := r.sparseRuns(u, size)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if run.FileLength > 0 {
			up.Ranges = append(up.Ranges, flow.Range{Offset: run.OriginalOffset, Length: run.FileLength})
		}
		if rest := run.Length - run.FileLength; rest > 0 {
			up.Ranges = append(up.Ranges, flow.Range{Offset: run.OriginalOffset + run.FileLength, Length: rest, Sparse: true})
		}
	}
	w, err := sink.Upload(ctx, up)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, stored); err != nil {
		return errors.Join(err, w.Abort(err))
	}
	if !u.Complete {
		return w.Abort(errors.New(u.Error))
	}
	_, err = w.Commit()
	return err
}
