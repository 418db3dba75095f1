package flow

import (
	"encoding/json"
	"slices"
	"time"
)

// Record is what a store knows about a flow without opening its container. It
// is flow.json beside the container, one indented JSON object, so that
// listings of thousands of flows read small files only.
type Record struct {
	Version  int    `json:"version"` // of this layout, 1
	FlowID   string `json:"flow_id"`
	ClientID string `json:"client_id"`

	// What the container called itself, where the store had to give another id:
	// the id was no flow id, or another content already had it.
	OriginalFlowID   string `json:"original_flow_id,omitempty"`
	OriginalClientID string `json:"original_client_id,omitempty"`
	// Identity tells where the client id comes from: host_id, machine_id,
	// client_id, fqdn, hostname, flow (nothing named the machine) or given.
	Identity string `json:"identity,omitempty"`

	Format   string  `json:"format"` // satchel, velociraptor
	State    State   `json:"state_number"`
	StateStr string  `json:"state"`
	Status   string  `json:"status,omitempty"`
	Complete bool    `json:"complete"` // the container was closed and nothing of it is missing or damaged
	Request  Request `json:"request"`
	Case     string  `json:"case,omitempty"`
	Examiner string  `json:"examiner,omitempty"`
	Notes    string  `json:"notes,omitempty"`
	Host     Host    `json:"host"`
	Tool     Tool    `json:"tool"`

	Created time.Time `json:"created,omitzero"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`

	Rows        int64         `json:"rows"`         // result rows
	Uploads     int64         `json:"uploads"`      // upload records, sparse indexes not counted
	UploadBytes int64         `json:"upload_bytes"` // stored bytes of the uploads, before compression
	Logs        int64         `json:"logs"`
	Sources     []SourceStat  `json:"sources,omitempty"`
	Outcomes    []OutcomeStat `json:"outcomes,omitempty"`

	Content  Content   `json:"content"`            // the evidence that is kept now
	Replaced []Content `json:"replaced,omitempty"` // shorter versions of it that were kept before
	Problems []Problem `json:"problems,omitempty"` // bounded, see ProblemsCut
	// ProblemsCut is the number of problems beyond those in Problems.
	ProblemsCut int `json:"problems_cut,omitempty"`
}

// SourceStat counts the rows of one source.
type SourceStat struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
}

// OutcomeStat counts the planned items that ended with one outcome, and the
// targets that they looked for.
type OutcomeStat struct {
	Outcome Outcome `json:"outcome"`
	Items   int64   `json:"items"`
	Targets int64   `json:"targets,omitempty"`
}

// CountOutcome adds r to stats. Beyond 100 different outcomes, which no honest
// container has, others are not counted.
func CountOutcome(stats []OutcomeStat, r Report) []OutcomeStat {
	at := slices.IndexFunc(stats, func(s OutcomeStat) bool { return s.Outcome == r.Outcome })
	if at < 0 {
		if len(stats) == 100 {
			return stats
		}
		at, stats = len(stats), append(stats, OutcomeStat{Outcome: r.Outcome})
	}
	if r.Target == "" {
		stats[at].Items++
	} else {
		stats[at].Targets++
	}
	return stats
}

// Content names the bytes of one version of a container, as they were
// imported: the custody facts.
type Content struct {
	SHA256      string    `json:"sha256,omitempty"` // of the container file; empty when only its spool was there
	Bytes       int64     `json:"bytes"`
	SpoolSHA256 string    `json:"spool_sha256,omitempty"` // of <name>.zip.spool, where one lay beside it
	SpoolBytes  int64     `json:"spool_bytes,omitempty"`
	Imported    time.Time `json:"imported"`
	From        string    `json:"from"` // path it was imported from
	Complete    bool      `json:"complete"`
}

// Same says whether both name the same bytes.
func (c Content) Same(o Content) bool {
	return c.SHA256 == o.SHA256 && c.Bytes == o.Bytes &&
		c.SpoolSHA256 == o.SpoolSHA256 && c.SpoolBytes == o.SpoolBytes
}

// Problem is one thing that is wrong with a container: missing, cut or
// altered. Offset is where in the file, or -1.
type Problem struct {
	Member  string `json:"member,omitempty"`
	Problem string `json:"problem"`
	Offset  int64  `json:"offset"`
}

// Client is one machine as a store knows it: client.json in its directory, one
// indented JSON object. Its facts are those of the newest flow that has any, so
// that they do not depend on the order of imports.
type Client struct {
	Version   int       `json:"version"` // of this layout, 1
	ClientID  string    `json:"client_id"`
	Identity  string    `json:"identity,omitempty"` // as Record.Identity
	Hostname  string    `json:"hostname"`
	FQDN      string    `json:"fqdn,omitempty"`
	OS        string    `json:"os,omitempty"`
	Arch      string    `json:"arch,omitempty"`
	MachineID string    `json:"machine_id,omitempty"`
	Labels    []string  `json:"labels,omitempty"`
	FirstSeen time.Time `json:"first_seen,omitzero"` // start of the earliest flow
	LastSeen  time.Time `json:"last_seen,omitzero"`  // start of the latest flow
	FactsFlow string    `json:"facts_flow,omitempty"`
	FactsTime time.Time `json:"facts_time,omitzero"`
	// Info is the row of host facts of that flow, as the host gave it.
	Info json.RawMessage `json:"info,omitempty"`
}

// Merge returns the client with what rec tells about its machine.
func (c Client) Merge(rec Record) Client {
	c.Version, c.ClientID = 1, rec.ClientID
	at := rec.Started
	if at.IsZero() {
		at = rec.Created
	}
	if !at.IsZero() && (c.FirstSeen.IsZero() || at.Before(c.FirstSeen)) {
		c.FirstSeen = at
	}
	if at.After(c.LastSeen) {
		c.LastSeen = at
	}
	h := rec.Host
	if h.Hostname == "" && h.FQDN == "" && c.FactsFlow != "" {
		return c
	}
	older := at.Before(c.FactsTime) || (at.Equal(c.FactsTime) && rec.FlowID < c.FactsFlow)
	if older && (c.Hostname != "" || c.FQDN != "") {
		return c
	}
	c.FactsFlow, c.FactsTime, c.Identity, c.Info = rec.FlowID, at, rec.Identity, h.Info
	c.Hostname, c.FQDN, c.OS, c.Arch, c.MachineID = h.Hostname, h.FQDN, h.OS, h.Arch, h.RawID
	return c
}
