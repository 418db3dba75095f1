package container

import (
	"errors"
	"fmt"
	"io"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/frame"
	"satchel/internal/spool"
)

// evidence is what a container is closed from: the entries of its spool, or
// what could be salvaged without one.
type evidence interface {
	// eachMember yields the members that lie in the file, by offset.
	eachMember(yield func(*entry.Member) error) error
	// eachUpload yields the records of uploads.
	eachUpload(yield func(*entry.Upload) error) error
	eachLog(yield func(flow.LogLine) error) error
	eachReport(yield func(flow.Report) error) error
	// eachBatch yields the rows of a source as pieces of JSONL. A piece is
	// valid until the next.
	eachBatch(s *sourceLedger, yield func(jsonl []byte) error) error
}

// frames gives the frames of a spool, also while it is being written.
type frames interface {
	Scan() (*spool.Scanner, error)
	ReadAt(offset int64) (frame.Frame, error)
}

// spoolEvidence reads entries from a spool.
type spoolEvidence struct {
	frames frames
	dec    *entry.RowsDecoder
	buf    []byte
}

func (e *spoolEvidence) each(kind frame.Kind, yield func(body []byte) error) error {
	if e.frames == nil {
		return nil
	}
	return eachFrame(e.frames, func(f frame.Frame, _ int64) error {
		if f.Kind != kind {
			return nil
		}
		return yield(f.Body)
	})
}

// eachFrame yields the frames of a spool in order with their offsets. A body is
// valid until the next.
func eachFrame(fr frames, yield func(f frame.Frame, offset int64) error) error {
	sc, err := fr.Scan()
	if err != nil {
		return fmt.Errorf("read the spool back: %w", err)
	}
	for sc.Next() {
		if err := yield(sc.Frame(), sc.Offset()); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read the spool back: %w", err)
	}
	return nil
}

// fileFrames are the frames of a spool that nobody writes.
type fileFrames struct {
	r    io.ReaderAt
	size int64
}

func (f fileFrames) Scan() (*spool.Scanner, error) { return spool.ReadFile(f.r, f.size), nil }

func (f fileFrames) ReadAt(offset int64) (frame.Frame, error) {
	sc := frame.NewScanner(f.r, offset, f.size-offset)
	if !sc.Next() || sc.Offset() != offset {
		return frame.Frame{}, fmt.Errorf("no whole frame at offset %d of the spool", offset)
	}
	return sc.Frame(), nil
}

func (e *spoolEvidence) eachMember(yield func(*entry.Member) error) error {
	return e.each(entry.KindMember, func(body []byte) error {
		m, err := entry.DecodeMember(body)
		if err != nil {
			return err
		}
		return yield(&m)
	})
}

func (e *spoolEvidence) eachUpload(yield func(*entry.Upload) error) error {
	return e.each(entry.KindUpload, func(body []byte) error {
		u, err := entry.DecodeUpload(body)
		if err != nil {
			return err
		}
		return yield(&u)
	})
}

func (e *spoolEvidence) eachLog(yield func(flow.LogLine) error) error {
	return e.each(entry.KindLog, func(body []byte) error {
		l, err := entry.DecodeLog(body)
		if err != nil {
			return err
		}
		return yield(l)
	})
}

func (e *spoolEvidence) eachReport(yield func(flow.Report) error) error {
	return e.each(entry.KindReport, func(body []byte) error {
		r, err := entry.DecodeReport(body)
		if err != nil {
			return err
		}
		return yield(r)
	})
}

func (e *spoolEvidence) eachBatch(s *sourceLedger, yield func(jsonl []byte) error) error {
	for _, offset := range s.batches {
		rows, _, err := e.batch(s, offset)
		if err != nil {
			return fmt.Errorf("read rows of %s back: %w", s.name, err)
		}
		if err := yield(rows); err != nil {
			return err
		}
	}
	return nil
}

// batch reads the batch of a source at an offset of the spool: its JSONL, which
// is valid until the next, and the number of rows that it announces.
func (e *spoolEvidence) batch(s *sourceLedger, offset int64) (jsonl []byte, n int64, err error) {
	if e.dec == nil {
		if e.dec, err = entry.NewRowsDecoder(); err != nil {
			return nil, 0, err
		}
	}
	f, err := e.frames.ReadAt(offset)
	if err != nil {
		return nil, 0, err
	}
	rows, err := entry.DecodeRows(f.Body)
	if err != nil {
		return nil, 0, err
	}
	if rows.Source != s.name {
		return nil, 0, fmt.Errorf("the frame at %d belongs to %s", offset, rows.Source)
	}
	out, err := e.dec.JSONL(e.buf[:0], rows)
	if err != nil {
		return nil, rows.Rows, err
	}
	e.buf = out
	return out, rows.Rows, nil
}

// errStop ends an iteration early without being an error.
var errStop = errors.New("stop")
