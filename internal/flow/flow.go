// Package flow holds the nouns of a collection: what a query produces and what
// it was asked for. It imports the standard library only, and everything else
// imports it.
//
// Everything that a collection produces is a stream of entries into a [Sink]:
// row batches, uploads, log lines and outcome reports. Where the entries go is
// the only difference between an offline container, an agent and a replay.
//
// The identifiers and the numeric states follow Velociraptor's published
// behaviour so that containers travel both ways.
package flow

import (
	"encoding/json"
	"time"
)

// State is the state of a flow, with the numbers that Velociraptor stores.
type State int

// The states of a flow.
const (
	StateUnset        State = 0
	StateRunning      State = 1
	StateFinished     State = 2
	StateError        State = 3
	StateInProgress   State = 4
	StateUnresponsive State = 5
	StateWaiting      State = 6
)

// String returns the upper-case name of the state.
func (s State) String() string {
	switch s {
	case StateRunning:
		return "RUNNING"
	case StateFinished:
		return "FINISHED"
	case StateError:
		return "ERROR"
	case StateInProgress:
		return "IN_PROGRESS"
	case StateUnresponsive:
		return "UNRESPONSIVE"
	case StateWaiting:
		return "WAITING"
	}
	return "UNSET"
}

// Param is one parameter of an artifact as it travels: always text.
type Param struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Spec asks for one artifact with parameters.
type Spec struct {
	Artifact   string  `json:"artifact"`
	Parameters []Param `json:"parameters,omitempty"`
}

// Request is what was asked for: artifacts, their parameters and the limits.
// A zero limit means unlimited.
type Request struct {
	Artifacts       []string      `json:"artifacts"`
	Specs           []Spec        `json:"specs,omitempty"`
	Creator         string        `json:"creator,omitempty"`
	Timeout         time.Duration `json:"timeout,omitempty"`          // whole collection
	ArtifactTimeout time.Duration `json:"artifact_timeout,omitempty"` // each source
	CPULimitPercent float64       `json:"cpu_limit,omitempty"`        // of one machine, 0-100
	MaxUploadBytes  int64         `json:"max_upload_bytes,omitempty"` // of the whole collection
	MaxFileBytes    int64         `json:"max_file_bytes,omitempty"`   // of one file
	MinFreeBytes    int64         `json:"min_free_bytes,omitempty"`   // free-space floor of the output
}

// Flow is one collection on one client.
type Flow struct {
	ID       string    `json:"flow_id"`
	ClientID string    `json:"client_id"`
	Request  Request   `json:"request"`
	Created  time.Time `json:"created"`
	Case     string    `json:"case,omitempty"`
	Examiner string    `json:"examiner,omitempty"`
	Notes    string    `json:"notes,omitempty"`
}

// Host describes the machine that was collected. Info is the row that the
// VQL function info() gives, kept as it is, in its own key order.
type Host struct {
	HostID   string          `json:"host_id"`              // C. + 16 hex, equals the client id
	RawID    string          `json:"machine_id,omitempty"` // machine-id, MachineGuid or IOPlatformUUID
	Hostname string          `json:"hostname"`
	FQDN     string          `json:"fqdn,omitempty"`
	OS       string          `json:"os"`   // GOOS: linux, windows, darwin
	Arch     string          `json:"arch"` // GOARCH
	Info     json.RawMessage `json:"info,omitempty"`
}

// Tool names the program that wrote a container.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256,omitempty"` // of the running executable, hex
}

// Clock records how the host's clock stood when a container was begun.
type Clock struct {
	Wall      time.Time `json:"wall"`
	Monotonic int64     `json:"monotonic_ns,omitempty"` // since boot, where the system tells
	Timezone  string    `json:"timezone,omitempty"`
	OffsetS   int       `json:"utc_offset_s"`
}

// RowBatch is a piece of the rows of one source: JSONL, every row ended by a
// newline. First and Last span the times at which the rows were emitted.
type RowBatch struct {
	JSONL       []byte
	Rows        int
	First, Last time.Time
}

// Level is the severity of a log line.
type Level string

// The levels, as Velociraptor spells them.
const (
	LevelDefault Level = "DEFAULT"
	LevelDebug   Level = "DEBUG"
	LevelInfo    Level = "INFO"
	LevelWarn    Level = "WARN"
	LevelError   Level = "ERROR"
	LevelAlert   Level = "ALERT"
)

// LogLine is one message of a query. Source is Artifact or Artifact/Source, or
// empty for the collection itself.
type LogLine struct {
	Time    time.Time
	Level   Level
	Source  string
	Message string
}

// Range is one run of a sparse file. Length bytes at Offset of the file are
// stored, or read as zeros when Sparse.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
	Sparse bool  `json:"sparse,omitempty"`
}

// Upload announces a file. For a sparse file Ranges covers the whole logical
// file in order, and the writer is given the bytes of the ranges that are not
// sparse, one after the other. A short read is told by Abort, never by padding.
type Upload struct {
	Source     string   // Artifact or Artifact/Source that asked for it
	Accessor   string   // file, auto, ntfs, data...
	Path       string   // as the accessor prints it
	Components []string // of the name to store under, unescaped, without "uploads" and the accessor
	Size       int64    // logical size if known, else -1
	Ranges     []Range
	Modified   time.Time // the four times of the source, zero where unknown
	Accessed   time.Time
	Changed    time.Time
	Born       time.Time
	MD5, SHA1  bool // hashes to compute besides SHA-256
}
