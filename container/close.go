package container

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"satchel/internal/fsx"
)

// Close ends what is open, writes the closing members and the central
// directory, syncs, and removes the spool. When it fails, container and spool
// stay as they are: together they hold everything that was synced. An error with
// a Summary means that the container is whole, but what is beside it is not as
// it should be. It does not end early when ctx does: what was accepted is sealed.
func (w *Writer) Close(context.Context) (Summary, error) {
	w.gate.Lock()
	if w.closed {
		w.gate.Unlock()
		return Summary{}, ErrClosed
	}
	w.closed = true
	w.gate.Unlock()
	w.endUploads()
	pipeErr := w.pipe.close()
	close(w.stop)
	<-w.syncDone
	sum, err := Summary{}, pipeErr
	if err == nil {
		sum, err = w.finish()
	}
	if err == nil {
		// The container is whole and durable: the spool is not needed any more.
		if err := w.removeSpool(sum); err != nil {
			return sum, fmt.Errorf("the container %s is whole, but %w", w.path, err)
		}
		return sum, nil
	}
	err = errors.Join(err, w.spool.Close(), w.file.Close())
	return Summary{}, fmt.Errorf("close %s: %w (%s and %s hold what was synced: take it out with ingest recover)", w.path, err, filepath.Base(w.path), filepath.Base(w.path)+SpoolSuffix)
}

// endUploads ends uploads whose caller has not: a read that hangs must not
// keep the container open.
func (w *Writer) endUploads() {
	w.book.mu.Lock()
	left := make([]*upload, 0, len(w.open))
	for _, u := range w.open {
		left = append(left, u)
	}
	w.book.mu.Unlock()
	for _, u := range left {
		u.mu.Lock()
		if u.shut == nil {
			// A failed container says so when it is closed.
			_ = u.end(errNotEnded)
		}
		u.mu.Unlock()
	}
}

// finish seals the container and makes it durable.
func (w *Writer) finish() (Summary, error) {
	if err := w.sync(); err != nil {
		return Summary{}, err
	}
	s := sealer{
		out: w.out, led: w.led, ev: &spoolEvidence{frames: w.spool}, level: w.opts.Level, workers: w.opts.Workers,
		now: w.opts.Now, head: storedHeader{Format: "satchel", Version: FormatVersion, ID: w.id, Name: filepath.Base(w.path), Level: w.opts.Level, Header: w.header},
	}
	if err := s.seal(); err != nil {
		return Summary{}, err
	}
	if _, err := w.out.flush(); err != nil {
		return Summary{}, err
	}
	if err := w.file.Sync(); err != nil {
		return Summary{}, fmt.Errorf("sync the container: %w", err)
	}
	if err := w.opts.FS.SyncDir(filepath.Dir(w.path)); err != nil {
		return Summary{}, fmt.Errorf("sync the directory of the container: %w", err)
	}
	sum := Summary{
		Path: w.path, ID: w.id, Bytes: w.out.offset(), SHA256: hex.EncodeToString(w.out.sum()), Rows: w.led.rows,
		Uploads: w.led.uploads, UploadBytes: w.led.bytes, Logs: w.led.logs, Partial: w.led.partial,
	}
	if err := w.file.Close(); err != nil {
		return Summary{}, fmt.Errorf("close the container: %w", err)
	}
	return sum, nil
}

// removeSpool ends the spool once the container is durable, and writes the
// .sha256 file for the custody form.
func (w *Writer) removeSpool(sum Summary) error {
	fsys := w.opts.FS
	if err := w.spool.Discard(); err != nil {
		return fmt.Errorf("its spool cannot be closed: %w", err)
	}
	if err := fsys.Remove(w.path + SpoolSuffix); err != nil {
		return fmt.Errorf("its spool cannot be removed: %w", err)
	}
	line := sum.SHA256 + "  " + filepath.Base(w.path) + "\n"
	err := fsx.WriteFileAtomic(fsys, w.path+hashSuffix, 0o600, func(f io.Writer) error {
		_, err := io.WriteString(f, line)
		return err
	})
	if err != nil {
		return fmt.Errorf("its %s file cannot be written: %w", hashSuffix, err)
	}
	return nil
}
