package container

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"satchel/internal/entry"
	"satchel/internal/flow"
)

// The JSON forms of the members that Velociraptor reads, with our own keys
// beside its own. It ignores what it does not know.

// uploadRow is a row of uploads.json.
type uploadRow struct {
	Timestamp    string   `json:"Timestamp"`
	Started      string   `json:"started"`
	VFSPath      string   `json:"vfs_path"`
	Components   []string `json:"_Components"`
	FileSize     int64    `json:"file_size"`
	UploadedSize int64    `json:"uploaded_size"`
	Type         string   `json:"Type"`

	ID       uint64   `json:"id,omitempty"`
	Source   string   `json:"source,omitempty"`
	Accessor string   `json:"accessor,omitempty"`
	SHA256   string   `json:"sha256,omitempty"`
	MD5      string   `json:"md5,omitempty"`
	SHA1     string   `json:"sha1,omitempty"`
	Modified string   `json:"mtime,omitempty"`
	Accessed string   `json:"atime,omitempty"`
	Changed  string   `json:"ctime,omitempty"`
	Born     string   `json:"btime,omitempty"`
	Sparse   bool     `json:"sparse,omitempty"`
	Parts    []string `json:"parts,omitempty"`
	Complete *bool    `json:"complete,omitempty"`
	Error    string   `json:"error,omitempty"`
	// JSON cannot hold bytes that are not UTF-8: then the member is named, and
	// the path given once more in base64.
	Member  string `json:"member,omitempty"`
	RawPath []byte `json:"vfs_path_base64,omitempty"`
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func hexText(b []byte) string { return hex.EncodeToString(b) }

// uploadRows are the rows of one upload: its own and, for a sparse file, that
// of its index, which has the same components.
func uploadRows(u *entry.Upload) []uploadRow {
	complete := u.Complete
	row := uploadRow{
		Timestamp: timeText(u.Ended), Started: u.Started.UTC().Format("2006-01-02 15:04:05.999999999 -0700 MST"), VFSPath: u.Upload.Path,
		Components: uploadComponents(&u.Upload), FileSize: u.Upload.Size, UploadedSize: u.StoredSize,
		ID: u.ID, Source: u.Upload.Source, Accessor: u.Upload.Accessor, SHA256: hexText(u.SHA256[:]), MD5: hexText(u.MD5), SHA1: hexText(u.SHA1),
		Modified: timeText(u.Upload.Modified), Accessed: timeText(u.Upload.Accessed), Changed: timeText(u.Upload.Changed), Born: timeText(u.Upload.Born),
		Sparse: u.Upload.Ranges != nil, Complete: &complete, Error: u.Error,
	}
	if row.FileSize < 0 || (u.Complete && u.Upload.Ranges == nil) {
		row.FileSize = u.StoredSize
	}
	for part := 2; part <= u.Parts; part++ {
		row.Parts = append(row.Parts, partMember(u.ID, part))
	}
	if !utf8.ValidString(row.VFSPath) || !validAll(row.Components) {
		row.Member, row.RawPath = u.Member, []byte(row.VFSPath)
	}
	if !row.Sparse {
		return []uploadRow{row}
	}
	index := uploadRow{
		Timestamp: row.Timestamp, Started: row.Started, VFSPath: row.VFSPath, Components: row.Components, Type: "idx", ID: row.ID,
		FileSize: int64(len(sparseIndex(u.Upload.Ranges, u.StoredSize))),
	}
	index.UploadedSize = index.FileSize
	return []uploadRow{row, index}
}

func validAll(list []string) bool {
	for _, s := range list {
		if !utf8.ValidString(s) {
			return false
		}
	}
	return true
}

// partMember names the members of an upload after its first. They lie where no
// file's name can.
func partMember(id uint64, part int) string { return fmt.Sprintf("uploads.parts/%d/%04d", id, part) }

// logRow is a row of log.json.
type logRow struct {
	TS         int64      `json:"_ts"`
	ClientTime int64      `json:"client_time"`
	Level      flow.Level `json:"level"`
	Message    string     `json:"message"`
	Time       string     `json:"time,omitempty"`
	Source     string     `json:"source,omitempty"`
}

func newLogRow(l flow.LogLine) logRow {
	return logRow{TS: l.Time.Unix(), ClientTime: l.Time.Unix(), Level: l.Level, Message: l.Message + "\n", Time: timeText(l.Time), Source: l.Source}
}

type envJSON struct {
	Env []flow.Param `json:"env"`
}

type specJSON struct {
	Artifact   string  `json:"artifact"`
	Parameters envJSON `json:"parameters"`
}

type requestJSON struct {
	Creator        string     `json:"creator,omitempty"`
	Artifacts      []string   `json:"artifacts"`
	Specs          []specJSON `json:"specs"`
	Timeout        int64      `json:"timeout,omitempty"` // seconds
	CPULimit       float64    `json:"cpu_limit,omitempty"`
	MaxUploadBytes int64      `json:"max_upload_bytes,omitempty"`
}

type queryStat struct {
	Status        string   `json:"status"`
	ErrorMessage  string   `json:"error_message,omitempty"`
	Duration      int64    `json:"duration"`     // ns
	FirstActive   int64    `json:"first_active"` // us
	LastActive    int64    `json:"last_active"`
	Names         []string `json:"names_with_response,omitempty"`
	ResultRows    int64    `json:"result_rows"`
	LogRows       int64    `json:"log_rows"`
	UploadedFiles int64    `json:"uploaded_files"`
	UploadedBytes int64    `json:"uploaded_bytes"`
	ExpectedBytes int64    `json:"expected_uploaded_bytes"`
	QueryID       int      `json:"query_id"`
	TotalQueries  int      `json:"total_queries"`
}

// contextJSON is collection_context.json. Times are microseconds, durations
// nanoseconds.
type contextJSON struct {
	ClientID            string      `json:"client_id"`
	SessionID           string      `json:"session_id"`
	Request             requestJSON `json:"request"`
	CreateTime          int64       `json:"create_time"`
	StartTime           int64       `json:"start_time"`
	ActiveTime          int64       `json:"active_time"`
	TotalUploadedFiles  int64       `json:"total_uploaded_files"`
	TotalExpectedBytes  int64       `json:"total_expected_uploaded_bytes"`
	TotalUploadedBytes  int64       `json:"total_uploaded_bytes"`
	TotalRows           int64       `json:"total_collected_rows"`
	TotalLogs           int64       `json:"total_logs"`
	TotalRequests       int64       `json:"total_requests"`
	ExecutionDuration   int64       `json:"execution_duration"`
	State               flow.State  `json:"state"`
	Status              string      `json:"status,omitempty"`
	ArtifactsWithResult []string    `json:"artifacts_with_results"`
	QueryStats          []queryStat `json:"query_stats"`

	Case          string    `json:"case,omitempty"`
	Examiner      string    `json:"examiner,omitempty"`
	Notes         string    `json:"notes,omitempty"`
	Reconstructed bool      `json:"reconstructed,omitempty"`
	Problems      []Problem `json:"problems,omitempty"`
}

func newContext(h storedHeader, led *ledger, ended time.Time, reconstructed bool, problems []Problem) contextJSON {
	f := h.Flow
	c := contextJSON{
		ClientID: f.ClientID, SessionID: f.ID, CreateTime: f.Created.UnixMicro(), StartTime: f.Created.UnixMicro(), ActiveTime: ended.UnixMicro(),
		TotalUploadedFiles: led.uploads + led.idx, TotalExpectedBytes: led.bytes, TotalUploadedBytes: led.bytes, TotalRows: led.rows, TotalLogs: led.logs,
		ExecutionDuration: ended.Sub(f.Created).Nanoseconds(), State: flow.StateFinished, ArtifactsWithResult: []string{}, QueryStats: []queryStat{},
		Case: f.Case, Examiner: f.Examiner, Notes: f.Notes, Reconstructed: reconstructed, Problems: problems,
	}
	c.Request = requestJSON{
		Creator: f.Request.Creator, Artifacts: f.Request.Artifacts, Specs: []specJSON{}, Timeout: int64(f.Request.Timeout / time.Second),
		CPULimit: f.Request.CPULimitPercent, MaxUploadBytes: f.Request.MaxUploadBytes,
	}
	for _, spec := range f.Request.Specs {
		c.Request.Specs = append(c.Request.Specs, specJSON{spec.Artifact, envJSON{spec.Parameters}})
	}
	sources := led.sorted()
	for i, s := range sources {
		if s.name == "" {
			continue
		}
		if s.rows > 0 {
			c.ArtifactsWithResult = append(c.ArtifactsWithResult, s.name)
		}
		c.QueryStats = append(c.QueryStats, newQueryStat(s, i+1, len(sources), f.Created, ended))
	}
	c.TotalRequests = int64(len(c.QueryStats))
	switch n, first := led.failures(); {
	case reconstructed:
		c.State, c.Status = flow.StateError, "the collection was cut before it was closed; this container was rebuilt from what was saved"
	case n > 0:
		c.State, c.Status = flow.StateError, fmt.Sprintf("%d of %d sources did not end well; the first is %s", n, len(c.QueryStats), first)
	}
	return c
}

func newQueryStat(s *sourceLedger, id, total int, started, ended time.Time) queryStat {
	q := queryStat{
		Status: "OK", ResultRows: s.rows, LogRows: s.logs, UploadedFiles: s.uploads, UploadedBytes: s.stored, ExpectedBytes: s.stored,
		QueryID: id, TotalQueries: total, FirstActive: started.UnixMicro(), LastActive: ended.UnixMicro(),
	}
	if s.rows > 0 {
		q.Names = []string{s.name}
	}
	r := s.report
	switch {
	case r == nil:
		q.Status, q.ErrorMessage = "GENERIC_ERROR", "the source has no outcome: the collection ended before it did"
	case r.Outcome.Failure():
		q.Status, q.ErrorMessage = "GENERIC_ERROR", string(r.Outcome)
		if r.Detail != "" {
			q.ErrorMessage += ": " + r.Detail
		}
	}
	if r != nil && !r.Started.IsZero() {
		q.FirstActive, q.LastActive = r.Started.UnixMicro(), r.Started.Add(r.Duration).UnixMicro()
		q.Duration = r.Duration.Nanoseconds()
	}
	return q
}

// newRequests is requests.json: one item per planned source.
func newRequests(h storedHeader) any {
	type query struct {
		Name string `json:"Name"`
		VQL  string `json:"VQL,omitempty"`
	}
	type action struct {
		QueryID      int          `json:"query_id"`
		TotalQueries int          `json:"total_queries"`
		Precondition string       `json:"precondition,omitempty"`
		Env          []flow.Param `json:"env,omitempty"`
		Query        []query      `json:"Query"`
	}
	type item struct {
		SessionID string `json:"session_id"`
		RequestID int    `json:"request_id"`
		Action    action `json:"VQLClientAction"`
	}
	items := []item{}
	if len(h.Queries) > 0 {
		for i, q := range h.Queries {
			items = append(items, item{h.Flow.ID, i + 1, action{i + 1, len(h.Queries), q.Precondition, q.Env, []query{{q.Name, q.VQL}}}})
		}
	} else {
		for i, name := range h.Sources {
			items = append(items, item{h.Flow.ID, i + 1, action{QueryID: i + 1, TotalQueries: len(h.Sources), Query: []query{{Name: name}}}})
		}
	}
	return struct {
		Items []item `json:"items"`
	}{items}
}

// newClientInfo is client_info.json: the row of info() with the identity that
// importers look for.
func newClientInfo(h storedHeader) any {
	set := []struct {
		key   string
		value any
	}{
		{"Hostname", h.Host.Hostname}, {"Fqdn", h.Host.FQDN}, {"OS", h.Host.OS}, {"Architecture", h.Host.Arch},
		{"HostID", h.Flow.ClientID}, {"client_id", h.Flow.ClientID}, {"MachineID", h.Host.RawID},
		{"Name", h.Tool.Name}, {"Version", h.Tool.Version},
	}
	given := map[string]json.RawMessage{}
	var keys []string
	if len(h.Host.Info) > 0 {
		keys = objectKeys(h.Host.Info, given)
	}
	for _, s := range set {
		override := s.key == "HostID" || s.key == "client_id"
		if _, there := given[s.key]; there && !override || s.value == "" {
			continue
		} else if !there {
			keys = append(keys, s.key)
		}
		b, err := json.Marshal(s.value)
		if err == nil {
			given[s.key] = b
		}
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			out.WriteByte(',')
		}
		name, _ := json.Marshal(k)
		out.Write(name)
		out.WriteByte(':')
		out.Write(given[k])
	}
	out.WriteByte('}')
	return json.RawMessage(out.Bytes())
}

// objectKeys fills values with the members of a JSON object and returns its
// keys in their order. What is no object gives none.
func objectKeys(b []byte, values map[string]json.RawMessage) (keys []string) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		var v json.RawMessage
		if err != nil || !ok || dec.Decode(&v) != nil {
			return keys
		}
		if _, there := values[key]; !there {
			keys = append(keys, key)
		}
		values[key] = v
	}
	return keys
}

// reportHead begins report.json; its items follow.
type reportHead struct {
	Version     int                    `json:"version"`
	FlowID      string                 `json:"flow_id"`
	Complete    bool                   `json:"complete"`
	Outcomes    map[flow.Outcome]int64 `json:"outcomes"`
	Rows        int64                  `json:"rows"`
	Uploads     int64                  `json:"uploads"`
	UploadBytes int64                  `json:"upload_bytes"`
	Problems    []Problem              `json:"problems,omitempty"`
}

// manifestHead begins manifest.json; its members follow.
type manifestHead struct {
	Format        string     `json:"format"`
	Version       int        `json:"version"`
	ContainerID   string     `json:"container_id"`
	FlowID        string     `json:"flow_id"`
	ClientID      string     `json:"client_id"`
	Tool          flow.Tool  `json:"tool"`
	Host          flow.Host  `json:"host"`
	Clock         flow.Clock `json:"clock"`
	ClosedAt      time.Time  `json:"closed_at"`
	PlanSHA256    string     `json:"plan_sha256,omitempty"`
	Reconstructed bool       `json:"reconstructed,omitempty"`
	Problems      []Problem  `json:"problems,omitempty"`
}

// manifestMember is the record of one member: enough to rebuild its line of
// the central directory byte for byte.
type manifestMember struct {
	Name       string `json:"name"`
	Offset     int64  `json:"offset"`
	Length     int64  `json:"length"` // of the raw record
	Method     uint16 `json:"method"`
	Flags      uint16 `json:"flags"`
	CRC32      uint32 `json:"crc32"`
	Stored     int64  `json:"stored"`
	Size       int64  `json:"size"`
	Modified   int64  `json:"modified,omitempty"` // seconds since 1970
	Descriptor bool   `json:"descriptor,omitempty"`
	Upload     uint64 `json:"upload,omitempty"`
	Raw        string `json:"raw_sha256"`
	SHA256     string `json:"sha256,omitempty"` // absent for the parts of a split upload
}

func newManifestMember(m *entry.Member) manifestMember {
	out := manifestMember{
		Name: m.Name, Offset: m.Offset, Length: m.Length, Method: m.Method, Flags: m.Flags, CRC32: m.CRC32, Stored: m.Stored, Size: m.Size,
		Descriptor: m.Descriptor, Upload: m.UploadID, Raw: hexText(m.RawSHA256[:]),
	}
	if !m.Modified.IsZero() {
		out.Modified = m.Modified.Unix()
	}
	if m.SHA256 != ([32]byte{}) {
		out.SHA256 = hexText(m.SHA256[:])
	}
	return out
}
