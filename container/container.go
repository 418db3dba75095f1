// Package container writes and reads the file that carries a collection: a ZIP
// in the layout that Velociraptor uses, with members of our own that it
// ignores. docs/format/container.md is the specification.
//
// [Create] begins a container. Uploads stream straight into the ZIP; rows,
// logs, upload records and reports go to the spool beside it, and
// [Writer.Close] turns the spool into members, writes the central directory,
// syncs, and only then removes the spool. After a crash the pair of container
// and spool is the evidence: [OpenFile], [Verify] and [Recover] take it as it
// is, without touching it.
//
// Every name, count and size in a container is hostile. Readers bound what
// they allocate, and a member name is never used as a path.
package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"satchel/internal/flow"
	"satchel/internal/fsx"
)

// FormatVersion is the version of the layout that this package writes.
const FormatVersion = 1

// SpoolSuffix is what the name of the spool adds to that of its container.
const SpoolSuffix = ".spool"

// hashSuffix is what the name of the file for the custody form adds.
const hashSuffix = ".sha256"

// Names of the members that this package writes beside results and uploads.
const (
	memberHeader     = "satchel.json"
	memberUploads    = "uploads.json"
	memberLog        = "log.json"
	memberContext    = "collection_context.json"
	memberRequests   = "requests.json"
	memberClientInfo = "client_info.json"
	memberCustom     = "custom_artifacts.json"
	memberReport     = "report.json"
	memberManifest   = "manifest.json"
)

// Errors that callers branch on.
var (
	ErrClosed       = errors.New("the container is closed")
	ErrNoSpace      = errors.New("the free space of the output has reached its floor")
	ErrMaxSize      = errors.New("the container has reached its size limit")
	ErrNotContainer = errors.New("not a collection container")
	ErrEncrypted    = errors.New("the container is encrypted and cannot be read by this version")
)

// Header is what is known when a container is begun.
type Header struct {
	Flow        flow.Flow         `json:"flow"`
	Host        flow.Host         `json:"host"`
	Tool        flow.Tool         `json:"tool"`
	Clock       flow.Clock        `json:"clock"`
	Sources     []string          `json:"sources,omitempty"` // planned named sources: each gets a results member
	Definitions []json.RawMessage `json:"definitions,omitempty"`
	Plan        json.RawMessage   `json:"plan,omitempty"`
	PlanSHA256  string            `json:"plan_sha256,omitempty"` // hex, of the canonical plan
	Queries     []Query           `json:"queries,omitempty"`
}

// Query is what one planned source runs, as requests.json tells it.
type Query struct {
	Name         string       `json:"name"` // Artifact or Artifact/Source
	VQL          string       `json:"vql,omitempty"`
	Precondition string       `json:"precondition,omitempty"`
	Env          []flow.Param `json:"env,omitempty"`
}

// Method chooses how uploads are compressed.
type Method string

// The methods. JSON members are always Deflate.
const (
	Deflate Method = "deflate"
	Zstd    Method = "zstd"
	Store   Method = "store"
)

// Options tune a Writer. The zero value is good for a collection.
type Options struct {
	Overwrite    bool
	Method       Method           // default Deflate
	Level        int              // 1-9, default 5
	Workers      int              // compressing goroutines, default GOMAXPROCS
	MaxBytes     int64            // size limit of container and spool together, 0: none
	MinFreeBytes uint64           // free-space floor besides what Close will need
	SyncEvery    time.Duration    // default 500 ms, so that with the time a sync takes nothing waits longer than a second
	SyncBytes    int64            // default 32 MiB
	StallAfter   time.Duration    // a large upload that gives nothing for so long makes way, default 500 ms
	Now          func() time.Time // default time.Now
	Random       func([]byte)     // default crypto/rand
	FS           fsx.FS           // default the operating system
	Log          *slog.Logger     // default discards
}

// Summary tells what a closed container holds.
type Summary struct {
	Path        string `json:"path"`
	ID          string `json:"container_id"`
	Bytes       int64  `json:"bytes"`
	SHA256      string `json:"sha256"` // of the whole file, hex
	Rows        int64  `json:"rows"`
	Uploads     int64  `json:"uploads"`
	UploadBytes int64  `json:"upload_bytes"` // before compression
	Logs        int64  `json:"logs"`
	Partial     int64  `json:"partial_uploads"`
}

// Problem is one thing that is wrong with a container. Offset is that of the
// damage in the file, -1 where it has none.
type Problem struct {
	Member  string `json:"member,omitempty"`
	Problem string `json:"problem"`
	Offset  int64  `json:"offset"`
}

// String returns the problem as a sentence.
func (p Problem) String() string {
	s := p.Problem
	if p.Member != "" {
		s = p.Member + ": " + s
	}
	if p.Offset >= 0 {
		s = fmt.Sprintf("%s (at offset %d)", s, p.Offset)
	}
	return s
}

// Info describes a container as a whole.
type Info struct {
	Format      string     `json:"format"` // satchel or velociraptor
	Version     int        `json:"version,omitempty"`
	ID          string     `json:"container_id,omitempty"`
	Flow        flow.Flow  `json:"flow"`
	Host        flow.Host  `json:"host"`
	Tool        flow.Tool  `json:"tool"`
	Clock       flow.Clock `json:"clock"`
	Started     time.Time  `json:"started,omitzero"`
	Ended       time.Time  `json:"ended,omitzero"`
	State       flow.State `json:"state"`
	Status      string     `json:"status,omitempty"`
	Complete    bool       `json:"complete"` // it was closed and nothing of it is cut off
	Problems    []Problem  `json:"problems,omitempty"`
	Rows        int64      `json:"rows"`
	Uploads     int64      `json:"uploads"` // upload records that are not of type idx
	Logs        int64      `json:"logs"`
	UploadBytes int64      `json:"upload_bytes"`
	Bytes       int64      `json:"bytes"` // of the file, with its spool
}

// SourceInfo describes the results of one source.
type SourceInfo struct {
	Name    string `json:"name"` // Artifact or Artifact/Source
	Rows    int64  `json:"rows"`
	Bytes   int64  `json:"bytes"` // of the JSONL or CSV
	CSVOnly bool   `json:"csv_only,omitempty"`
	Member  string `json:"member"`
}

// UploadInfo is one record of uploads.json.
type UploadInfo struct {
	ID         uint64    `json:"id,omitempty"`
	Source     string    `json:"source,omitempty"`
	Path       string    `json:"path"` // as the accessor printed it
	Accessor   string    `json:"accessor"`
	Components []string  `json:"components"` // "uploads", accessor, ... unescaped
	Member     string    `json:"member,omitempty"`
	Parts      []string  `json:"parts,omitempty"` // members that follow the first
	Size       int64     `json:"size"`            // logical
	StoredSize int64     `json:"stored_size"`
	SHA256     string    `json:"sha256,omitempty"` // of the stored bytes, hex
	MD5        string    `json:"md5,omitempty"`
	SHA1       string    `json:"sha1,omitempty"`
	Complete   bool      `json:"complete"`
	Error      string    `json:"error,omitempty"`
	Type       string    `json:"type,omitempty"`
	Sparse     bool      `json:"sparse,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	Modified   time.Time `json:"modified,omitzero"`
	Accessed   time.Time `json:"accessed,omitzero"`
	Changed    time.Time `json:"changed,omitzero"`
	Born       time.Time `json:"born,omitzero"`
}

// ReadOptions bound what a reader allocates. The zero value is good.
type ReadOptions struct {
	MaxMembers int64 // default 20 million
	MaxRatio   int64 // inflated to stored, default 2000 beyond the first 64 MiB
	TempDir    string
}
