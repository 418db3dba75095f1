// Package importer takes containers into a store, each exactly once.
//
// A container is known by the id of its flow and by its content. The same
// content again, from any path and in any order, changes nothing. A longer
// version of what is there takes its place, but only if what is there is its
// exact prefix: every row and every byte of every upload. Another content under
// an id that is taken is kept under an id of its own, with the original noted;
// nothing is ever overwritten by something else.
//
// A container that is cut or damaged is kept as it is, with its spool, and read
// in place. Import costs one pass over its bytes, in which they are copied,
// hashed and checked.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"satchel/container"
	"satchel/internal/flow"
)

// Store is what the importer needs of a store. Put runs fill with an empty
// directory to copy evidence into, under the names ContainerName and SpoolName,
// and keeps all of it or, after an error, nothing.
type Store interface {
	Find(ctx context.Context, flowID string) ([]flow.Record, error)
	OpenContainer(ctx context.Context, clientID, flowID string) (zip, spool *io.SectionReader, c io.Closer, err error)
	Put(ctx context.Context, fill func(ctx context.Context, stage *os.Root) (rec flow.Record, replace bool, err error)) (flow.Record, error)
}

// The names under which evidence is staged.
const (
	ContainerName = "container.zip"
	SpoolName     = ContainerName + container.SpoolSuffix
)

// Evidence is an open container, whole or cut: *container.Reader.
type Evidence interface {
	Info() container.Info // with counts, which need reading
	Head() container.Info // without
	Sources() []container.SourceInfo
	Rows(ctx context.Context, source string) (io.ReadCloser, error)
	Uploads(ctx context.Context) iter.Seq2[container.UploadInfo, error]
	OpenStored(u container.UploadInfo) (io.ReadCloser, error) // as stored: sparse files are not expanded
	Reports(ctx context.Context) iter.Seq2[flow.Report, error]
	Close() error
}

// Format reads containers.
type Format interface {
	// Open reads a container of which either file may be nil. It does not close
	// them.
	Open(zip, spool *io.SectionReader) (Evidence, error)
	// Copy writes the bytes of zip to dst while it checks them. It returns their
	// SHA-256 in hex and what is missing or damaged. The error is of reading or
	// writing.
	Copy(ctx context.Context, dst io.Writer, zip, spool *io.SectionReader) (sum string, problems []container.Problem, err error)
}

// Status says what became of a container.
type Status string

// The statuses of a result.
const (
	Imported Status = "imported" // new and whole
	Already  Status = "already"  // it, or a longer version of it, is in the store
	Extended Status = "extended" // it took the place of its own exact prefix
	Partial  Status = "partial"  // new; bytes are missing or damaged
	Refused  Status = "refused"  // not kept, Problems says why
)

// Result is the outcome of one container.
type Result struct {
	Path     string              `json:"path"`
	Status   Status              `json:"status"`
	ClientID string              `json:"client_id"`
	FlowID   string              `json:"flow_id"`
	Rows     int64               `json:"rows"`    // result rows
	Uploads  int64               `json:"uploads"` // upload records that are not sparse indexes
	Bytes    int64               `json:"bytes"`   // of the container and its spool
	Problems []container.Problem `json:"problems"`

	// Complete says that nothing is missing of what the store now has.
	Complete bool `json:"-"`
}

// Options tune an import.
type Options struct {
	Format   Format                               // required
	ClientID string                               // put every flow under this client
	Skip     string                               // a directory that is not walked: the store itself
	Now      func() time.Time                     // time.Now when nil
	Progress func(path string, done, total int64) // bytes copied; may be nil
}

// Importer imports into one store. It is used by one goroutine.
type Importer struct {
	store Store
	o     Options
	seen  map[string]bool // paths given by the user, so that a pair is taken once
}

// ErrBadClientID is returned for a client id to import under that is none.
var ErrBadClientID = errors.New("a client id is C. and 16 hex digits")

// New returns an importer.
func New(s Store, o Options) (*Importer, error) {
	if o.ClientID != "" && !flow.ValidClientID(o.ClientID) {
		return nil, fmt.Errorf("client %q: %w", o.ClientID, ErrBadClientID)
	}
	if o.Format == nil {
		return nil, errors.New("importer: no container format given")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return &Importer{store: s, o: o, seen: make(map[string]bool)}, nil
}

// Import imports a container, or every container below a directory, and calls
// each with every result as soon as it stands. What is wrong with a container
// is its result; an error is of the store, of each, or of ctx, and ends the
// import with all earlier results kept.
func (im *Importer) Import(ctx context.Context, path string, each func(Result) error) error {
	for src, err := range im.sources(path) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var r Result
		if err == nil {
			r, err = im.one(ctx, src)
		}
		var bad *refusal
		switch {
		case errors.As(err, &bad):
			r = refused(src.name(), r.Bytes, bad)
		case err != nil:
			return fmt.Errorf("import %s: %w", src.name(), err)
		case r.Status == "":
			continue // a file of a walked directory that is no container
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// refusal is an error of the evidence, not of the store.
type refusal struct {
	member string
	offset int64
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(format string, args ...any) error {
	return &refusal{offset: -1, err: fmt.Errorf(format, args...)}
}

func refused(path string, bytes int64, r *refusal) Result {
	return Result{Path: path, Status: Refused, Bytes: bytes,
		Problems: []container.Problem{{Member: r.member, Problem: r.err.Error(), Offset: r.offset}}}
}
