// Package artifacts holds the definitions of what can be collected: YAML
// documents around VQL in Velociraptor's public schema.
//
// [Parse] reads one document, strictly. A [Repository] names many: the embedded
// library ([Embedded]), and directories of the user's own layered over it
// ([Repository.With]). [NewPlan] turns a request into a [Plan]: one [Item] for
// each source of each artifact asked for, in the order in which they should run
// (volatile things first), with parameters checked and converted.
//
// Parameters are text everywhere. Declared types are applied inside VQL, by the
// LET statements of [Item.Preamble], so that a definition means the same here,
// in a stored plan and on another machine.
//
// The package knows VQL only as tokens: it splits statements and finds calls of
// other artifacts, and leaves the rest to the engine.
package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// Limits of what is read. A definition beyond them is refused, never cut.
const (
	MaxBytes      = 1 << 20 // of one definition
	MaxDepth      = 32      // nested collections in the YAML
	MaxTokens     = 50_000  // YAML tokens in one definition
	MaxFiles      = 20_000  // definitions in one directory layer
	maxProblems   = 50      // reported of one definition
	maxMembers    = 1000    // of one set
	maxDependency = 1000    // artifacts that one plan may pull in by calls
)

// The errors that callers branch on. They are wrapped with the name and, where
// there is one, the nearest known name.
var (
	ErrNotFound  = errors.New("no such artifact")
	ErrParameter = errors.New("bad parameter")
	ErrInvalid   = errors.New("bad artifact definition")
	ErrType      = errors.New("wrong type of artifact")
)

// Type says where an artifact runs.
type Type string

// The types of artifacts. Only Client artifacts are collected offline.
const (
	Client      Type = "CLIENT"
	ClientEvent Type = "CLIENT_EVENT"
	Server      Type = "SERVER"
	ServerEvent Type = "SERVER_EVENT"
	Notebook    Type = "NOTEBOOK"
	Internal    Type = "INTERNAL"
)

// Artifact is one definition. The JSON form has the field names of the YAML,
// which are also those that Velociraptor uses in custom_artifacts.json.
type Artifact struct {
	Name                string       `json:"name"`
	Aliases             []string     `json:"aliases,omitempty"`
	Description         string       `json:"description,omitempty"`
	Author              string       `json:"author,omitempty"`
	References          []string     `json:"reference,omitempty"`
	Type                Type         `json:"type,omitempty"`
	RequiredPermissions []string     `json:"required_permissions,omitempty"`
	ImpliedPermissions  []string     `json:"implied_permissions,omitempty"`
	Impersonate         string       `json:"impersonate,omitempty"`
	Resources           Resources    `json:"resources,omitzero"`
	Tools               []Tool       `json:"tools,omitempty"`
	Precondition        string       `json:"precondition,omitempty"`
	Parameters          []Parameter  `json:"parameters,omitempty"`
	Imports             []string     `json:"imports,omitempty"`
	Export              string       `json:"export,omitempty"`
	Sources             []Source     `json:"sources,omitempty"`
	Reports             []Report     `json:"reports,omitempty"`
	ColumnTypes         []ColumnType `json:"column_types,omitempty"`

	// Raw is the document as it was read, byte for byte.
	Raw []byte `json:"-"`
	// BuiltIn says that the definition comes with the program.
	BuiltIn bool `json:"built_in,omitempty"`
	// Path names the file it was read from: a path in the library when BuiltIn.
	Path string `json:"-"`
	// Overrides is the Path of the definition of the same name in a lower layer
	// that this one replaced, else empty.
	Overrides string `json:"-"`
}

// Resources are the limits that an artifact asks for. Zero means that it asks
// for none.
type Resources struct {
	TimeoutSeconds      float64 `json:"timeout,omitempty"`
	OpsPerSecond        float64 `json:"ops_per_second,omitempty"`
	CPULimitPercent     float64 `json:"cpu_limit,omitempty"`
	IOPSLimit           float64 `json:"iops_limit,omitempty"`
	MaxRows             int64   `json:"max_rows,omitempty"`
	MaxUploadBytes      int64   `json:"max_upload_bytes,omitempty"`
	MaxBatchWaitSeconds int64   `json:"max_batch_wait,omitempty"`
	MaxBatchRows        int64   `json:"max_batch_rows,omitempty"`
	MaxBatchRowsBuffer  int64   `json:"max_batch_rows_buffer,omitempty"`
}

// Timeout is TimeoutSeconds as a duration.
func (r Resources) Timeout() time.Duration {
	const longest = 10 * 365 * 24 * 3600 // so that the product cannot overflow
	return time.Duration(min(r.TimeoutSeconds, longest) * float64(time.Second))
}

// Tool is a file that an artifact wants beside it.
type Tool struct {
	Name             string `json:"name"`
	URL              string `json:"url,omitempty"`
	GithubProject    string `json:"github_project,omitempty"`
	GithubAssetRegex string `json:"github_asset_regex,omitempty"`
	ServeLocally     bool   `json:"serve_locally,omitempty"`
	ServeURL         string `json:"serve_url,omitempty"`
	AdminOverride    bool   `json:"admin_override,omitempty"`
	ExpectedHash     string `json:"expected_hash,omitempty"`
	Version          string `json:"version,omitempty"`
	Filename         string `json:"filename,omitempty"`
	Hash             string `json:"hash,omitempty"`
	Materialize      bool   `json:"materialize,omitempty"`
}

// Parameter is a declared input. Default is text whatever the type is.
type Parameter struct {
	Name            string   `json:"name"`
	Description     string   `json:"description,omitempty"`
	Default         string   `json:"default,omitempty"`
	Type            string   `json:"type,omitempty"`
	Choices         []string `json:"choices,omitempty"`
	FriendlyName    string   `json:"friendly_name,omitempty"`
	ValidatingRegex string   `json:"validating_regex,omitempty"`
	ArtifactType    string   `json:"artifact_type,omitempty"`
	Sources         bool     `json:"sources,omitempty"`
	Line            int      `json:"-"` // in the document, from 1
}

// Source is one query of an artifact with its own result table. Exactly one of
// Query and Queries is set; [Source.VQL] joins them.
type Source struct {
	Name         string         `json:"name,omitempty"`
	Description  string         `json:"description,omitempty"`
	Precondition string         `json:"precondition,omitempty"`
	Query        string         `json:"query,omitempty"`
	Queries      []string       `json:"queries,omitempty"`
	Notebook     []NotebookCell `json:"notebook,omitempty"`
	Line         int            `json:"-"` // of the source in the document, from 1
	QueryLine    int            `json:"-"` // of the first line of the query's text
}

// VQL is the text of the source: its query, or its queries one after another.
func (s Source) VQL() string {
	if len(s.Queries) == 0 {
		return s.Query
	}
	var text string
	for _, q := range s.Queries {
		text += q + "\n"
	}
	return text
}

// NotebookCell suggests a cell of a notebook beside the results of a source.
type NotebookCell struct {
	Type     string   `json:"type,omitempty"`
	Name     string   `json:"name,omitempty"`
	Template string   `json:"template,omitempty"`
	Output   string   `json:"output,omitempty"`
	Env      []EnvVar `json:"env,omitempty"`
}

// EnvVar is a variable of a notebook cell.
type EnvVar struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

// Report is a template of results. Velociraptor deprecates it; it is kept so
// that old definitions load.
type Report struct {
	Name       string      `json:"name,omitempty"`
	Type       string      `json:"type,omitempty"`
	Template   string      `json:"template,omitempty"`
	Parameters []Parameter `json:"parameters,omitempty"`
}

// ColumnType tells how a column of the results is to be shown.
type ColumnType struct {
	Name        string `json:"name"`
	Type        string `json:"type,omitempty"`
	Description string `json:"description,omitempty"`
}

// Hash is the lower-case hex SHA-256 of Raw.
func (a *Artifact) Hash() string {
	sum := sha256.Sum256(a.Raw)
	return hex.EncodeToString(sum[:])
}

// Parameter returns the declared parameter of that name.
func (a *Artifact) Parameter(name string) (Parameter, bool) {
	for _, p := range a.Parameters {
		if p.Name == name {
			return p, true
		}
	}
	return Parameter{}, false
}

// FullName is the name of the results of a source: the artifact's own name, or
// Artifact/Source where the source has a name.
func (a *Artifact) FullName(s Source) string {
	if s.Name == "" {
		return a.Name
	}
	return a.Name + "/" + s.Name
}
