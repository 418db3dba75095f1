package spool

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"satchel/internal/fsx"
)

// idName is the file in the directory of a Spool that holds its id.
const idName = "id"

// Spool is the two lanes of an agent under one directory: rows, events, logs and status in one Log, chunks of uploads in
// the other, so that an alert never waits behind an upload. Each has its own numbers and acknowledgement.
type Spool struct {
	dir        string
	o          Options
	rows, bulk *Log

	mu sync.Mutex
	id [16]byte
}

// Head is the end of a log.
type Head struct {
	Seq  uint64   // number of the last durable record, 0 if there never was one
	Hash [32]byte // its frame.Hash, zero if there is none or it cannot be read any more
}

// Hello is what a spool says of itself, so that the other side can tell whether it is still the one that it knows: after
// a machine was set back to an older state, the numbers are used again for other records.
type Hello struct {
	ID         [16]byte
	Rows, Bulk Head
}

// OpenSpool opens the spool in dir, or makes it, with its own options for each lane. File system, clock and randomness
// of the spool are those of rows. Lane and ID of the options are set by it.
func OpenSpool(dir string, rows, bulk Options) (*Spool, error) {
	s := &Spool{dir: dir, o: rows.withDefaults(FormSegment)}
	if err := makeDir(s.o.FS, dir); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	rows.Lane, bulk.Lane = LaneRows, LaneBulk
	var err error
	if s.rows, err = OpenDir(filepath.Join(dir, LaneRows.String()), rows); err != nil {
		return nil, err
	}
	if s.bulk, err = OpenDir(filepath.Join(dir, LaneBulk.String()), bulk); err != nil {
		return nil, errors.Join(err, s.rows.Close())
	}
	if err := s.loadID(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// loadID reads the id, or draws one where there is none that can be read: a new id is always safe.
func (s *Spool) loadID() error {
	b, err := readSmall(s.o.FS, filepath.Join(s.dir, idName), 64)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read spool id: %w", err)
	}
	id, err := hex.DecodeString(strings.TrimSuffix(string(b), "\n"))
	if err != nil || len(id) != len(s.id) {
		return s.Renew()
	}
	s.setID([16]byte(id))
	return nil
}

// Renew gives the spool a new id, because the other side knows other records under the old one. The records that are
// there keep their numbers and are part of the new spool.
func (s *Spool) Renew() error {
	var id [16]byte
	if _, err := io.ReadFull(s.o.Rand, id[:]); err != nil {
		return fmt.Errorf("draw a spool id: %w", err)
	}
	err := fsx.WriteFileAtomic(s.o.FS, filepath.Join(s.dir, idName), filePerm, func(w io.Writer) error {
		_, err := io.WriteString(w, hex.EncodeToString(id[:])+"\n")
		return err
	})
	if err != nil {
		return fmt.Errorf("save spool id: %w", err)
	}
	s.setID(id)
	return nil
}

// setID makes id the one of the spool and of the segments to come.
func (s *Spool) setID(id [16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
	for _, l := range []*Log{s.rows, s.bulk} {
		l.mu.Lock()
		l.o.ID = id
		l.mu.Unlock()
	}
}

// ID returns the id of the spool.
func (s *Spool) ID() [16]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Rows returns the lane of rows, events, logs and status.
func (s *Spool) Rows() *Log { return s.rows }

// Bulk returns the lane of upload chunks.
func (s *Spool) Bulk() *Log { return s.bulk }

// Hello returns the id and the ends of both lanes.
func (s *Spool) Hello() Hello {
	return Hello{ID: s.ID(), Rows: s.rows.Head(), Bulk: s.bulk.Head()}
}

// Sync makes everything accepted by both lanes durable.
func (s *Spool) Sync() error { return errors.Join(s.rows.Sync(), s.bulk.Sync()) }

// Close syncs and closes both lanes.
func (s *Spool) Close() error { return errors.Join(s.rows.Close(), s.bulk.Close()) }

// Head returns the end of the log.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := Head{Seq: l.durable}
	for i := len(l.segs) - 1; i >= 0; i-- {
		seg := l.segs[i]
		if seg.durable.size == 0 || seg.durable.last < h.Seq {
			continue
		}
		switch {
		case seg.durable.at > 0:
			h.Hash = l.hashAt(seg, seg.durable.at)
		case seg.head.First == h.Seq+1:
			h.Hash = seg.head.Prev
		}
		break
	}
	return h
}
