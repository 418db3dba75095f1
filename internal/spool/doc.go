// Package spool is a durable append log of frames with acknowledgement. It is used three times: beside an open
// container, between the engine of an agent and its connection, and as the journal of a server.
//
// A log has one of two forms. OpenFile makes it one file, which grows until the caller removes it; opened again, after
// a crash or not, it goes on behind a resume mark. OpenDir makes it a directory of segments, of which those that were
// acknowledged whole are deleted; opened again, it goes on in a new segment. A Spool is two such directories, the lanes.
//
// What can be relied on:
//
//   - Append accepts: the record has a number and will be written unless the process or the disk dies. Sync makes
//     everything accepted before it durable; many callers share one sync of the file.
//   - A record that Sync covered is found again after any crash, and its number is never given to another one. (That of
//     a record that a crash took away before it was durable, and that nobody could read, may be.)
//   - Nothing is invented: what is read was appended. Damage costs the damaged record only and is told with its place;
//     numbers that are missing are told as a gap, with their count.
//   - From yields only durable records, so what a reader passed on cannot vanish behind its back.
//   - A full disk or quota makes Append of a directory wait, and says so once; nothing accepted is dropped.
//   - After a failed write or sync a directory gives the segment up and writes what was not yet durable again to a new
//     one, because a kernel may drop the pages of a failed sync and report the next one as good. A file cannot do that:
//     there the error is final.
//
// docs/format/spool.md is the specification of what lies on disk.
package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"satchel/internal/fsx"
)

var (
	// ErrClosed is returned by a closed log, and ends the iteration of From when the log is closed.
	ErrClosed = errors.New("spool is closed")
	// ErrFull means that a limit (MaxBytes, MinFreeBytes) or the disk holds a record back.
	ErrFull = errors.New("spool is full")
	// ErrTooLarge means that a record can never fit into MaxBytes.
	ErrTooLarge = errors.New("record is larger than the spool may be")
	// ErrForm is returned by methods that the form of the log does not have.
	ErrForm = errors.New("not possible with this form of spool")
	// ErrAhead means that an acknowledgement names a record that is not durable yet.
	ErrAhead = errors.New("acknowledged beyond the last durable record")
	// ErrVersion means that a spool was written by a newer version.
	ErrVersion = errors.New("unknown version of the spool format")
	// ErrNotFound means that no frame starts at an offset.
	ErrNotFound = errors.New("no frame starts there")
	// ErrDamaged is what every *CorruptError is.
	ErrDamaged = errors.New("spool is damaged")
)

// CorruptError is damage: bytes that hold no readable record. It is ErrDamaged for errors.Is. The iterators of this
// package yield it and go on behind it.
type CorruptError struct {
	Segment        uint64 // number of the segment, 0 in a file
	Offset, Length int64  // in bytes, from the start of the segment or file
	Reason         string
}

// Error implements error.
func (e *CorruptError) Error() string {
	if e.Segment == 0 {
		return fmt.Sprintf("spool damaged at offset %d, %d bytes: %s", e.Offset, e.Length, e.Reason)
	}
	return fmt.Sprintf("spool damaged in segment %d at offset %d, %d bytes: %s", e.Segment, e.Offset, e.Length, e.Reason)
}

// Unwrap makes the error ErrDamaged.
func (e *CorruptError) Unwrap() error { return ErrDamaged }

// GapError tells that records are not there. The iterators of this package yield it and go on behind it.
type GapError struct {
	First, Last uint64 // the missing numbers
	Deleted     bool   // they were acknowledged and are deleted; otherwise they are lost to damage
}

// Count returns how many records are missing.
func (e *GapError) Count() uint64 { return e.Last - e.First + 1 }

// Error implements error.
func (e *GapError) Error() string {
	why := "lost"
	if e.Deleted {
		why = "acknowledged and deleted"
	}
	return fmt.Sprintf("records %d to %d are %s (%d records)", e.First, e.Last, why, e.Count())
}

// Options of a log. The zero value is usable.
type Options struct {
	FS fsx.FS // nil: the machine's

	Lane Lane
	ID   [16]byte // of the spool, written into headers
	Key  []byte   // key slot of the headers, for sealed frames

	SegmentBytes int64 // size at which a segment ends; default 64 MiB
	BufferBytes  int   // accepted bytes that wait in memory before they are written; default 1 MiB

	// MaxBytes bounds the bytes on disk; 0 is no bound. At the bound Append waits in a directory and fails in a file.
	MaxBytes int64
	// MinFreeBytes is left free on the file system; 0 is no floor.
	MinFreeBytes uint64
	// Acknowledged segments are kept while they are younger than KeepAckedFor and all together smaller than
	// KeepAckedBytes; a zero value does not bound, two zero values keep none. A full spool keeps none either.
	KeepAckedFor   time.Duration
	KeepAckedBytes int64

	// SyncEvery makes the log sync itself at least this often while there is something to sync; 0 leaves it to Sync.
	SyncEvery time.Duration
	// SyncBytes makes the log sync after so many bytes. A directory keeps everything in memory until it is synced, so
	// there it is also a bound of memory, and the default is 16 MiB; for a file the default 0 means never.
	SyncBytes int64
	// SyncTail is how long a reader in From waits for records that are accepted and not durable, before it syncs them
	// itself; default 20 ms, negative is at once.
	SyncTail time.Duration

	// Blocked is called when Append starts to wait, once until it went on, with the reason in words.
	Blocked func(reason string)

	Now  func() time.Time // default time.Now
	Rand io.Reader        // for marks and spool ids; default crypto/rand
}

const (
	defaultSegmentBytes = 64 << 20
	defaultBufferBytes  = 1 << 20
	defaultSyncBytes    = 16 << 20
	defaultSyncTail     = 20 * time.Millisecond
)

// withDefaults fills in what is not set.
func (o Options) withDefaults(form Form) Options {
	if o.FS == nil {
		o.FS = fsx.OS()
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.BufferBytes <= 0 {
		o.BufferBytes = defaultBufferBytes
	}
	if o.SyncBytes <= 0 && form == FormSegment {
		o.SyncBytes = defaultSyncBytes
	}
	if o.SyncTail == 0 {
		o.SyncTail = defaultSyncTail
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}
