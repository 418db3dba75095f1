package flow

import (
	"context"
	"io"
	"time"
)

// Sink takes what a collection produces. All methods may be called by several
// goroutines at once. An error is final for the entry it answers; a Sink whose
// storage failed answers every later call with the same error.
type Sink interface {
	// WriteRows appends rows to the source, which is Artifact or
	// Artifact/Source. The sink does not keep b.JSONL after it returns.
	WriteRows(ctx context.Context, source string, b RowBatch) error
	// Upload begins a file. The caller must end it by Commit or Abort.
	Upload(ctx context.Context, u Upload) (UploadWriter, error)
	// Log keeps one message.
	Log(ctx context.Context, l LogLine) error
	// Report keeps the outcome of a planned item.
	Report(ctx context.Context, r Report) error
}

// UploadWriter takes the bytes of one upload, from one goroutine.
type UploadWriter interface {
	io.Writer
	// Commit ends the upload as whole and returns the SHA-256 of the stored
	// bytes and where they lie.
	Commit() (Stored, error)
	// Abort ends the upload early. What was written is kept and marked
	// partial with the cause.
	Abort(cause error) error
}

// Stored describes an upload that was accepted.
type Stored struct {
	SHA256     [32]byte
	MD5, SHA1  []byte   // nil unless asked for
	StoredSize int64    // bytes stored, before compression
	Name       string   // member name in the container, with a leading slash
	Components []string // "uploads", accessor, ... unescaped
	ID         uint64   // number of the upload in its flow, from 1
	Duplicate  bool     // the same accessor and name was uploaded before: nothing was stored again
}

// Outcome tells how a planned item ended.
type Outcome string

// The outcomes. Every planned item ends with exactly one of them.
const (
	Collected     Outcome = "collected"
	Partial       Outcome = "partial"        // some of it was collected, then it ended early
	Empty         Outcome = "empty"          // it ran and found nothing
	Missing       Outcome = "missing"        // the path or glob matched nothing
	Denied        Outcome = "denied"         // no permission
	Locked        Outcome = "locked"         // in use by another process
	Changed       Outcome = "changed"        // the file changed while it was read
	OverLimit     Outcome = "over_limit"     // a size or row limit stopped it
	TimedOut      Outcome = "timed_out"      // its time was over
	Vanished      Outcome = "vanished"       // it was there, then it was not
	Duplicate     Outcome = "duplicate"      // collected already under the same name
	Abandoned     Outcome = "abandoned"      // a read that did not answer was given up
	NotApplicable Outcome = "not_applicable" // the precondition said no
	NotRun        Outcome = "not_run"        // the collection stopped before it
	Failed        Outcome = "failed"         // an error ended it
)

// Failure says whether the outcome makes a collection incomplete, so that the
// command ends with exit code 3.
func (o Outcome) Failure() bool {
	switch o {
	case Partial, Denied, Locked, Changed, OverLimit, TimedOut, Abandoned, NotRun, Failed:
		return true
	}
	return false
}

// Report is the outcome of one planned item: a source of an artifact when
// Target is empty, else one path or glob that the source was asked for.
type Report struct {
	Time     time.Time     `json:"time"`
	Source   string        `json:"source"` // Artifact or Artifact/Source
	Target   string        `json:"target,omitempty"`
	Outcome  Outcome       `json:"outcome"`
	Detail   string        `json:"detail,omitempty"` // why, in words for the responder
	Rows     int64         `json:"rows,omitempty"`
	Uploads  int64         `json:"uploads,omitempty"`
	Bytes    int64         `json:"bytes,omitempty"`
	Logs     int64         `json:"logs,omitempty"`
	Started  time.Time     `json:"started,omitzero"`
	Duration time.Duration `json:"duration_ns,omitempty"`
}
