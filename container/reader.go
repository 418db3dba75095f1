package container

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sort"
	"strings"
	"sync"
	"time"

	"satchel/internal/flow"
	"satchel/internal/zipx"
)

// maxJSONMember bounds the members that are read whole, such as the context.
const maxJSONMember = 64 << 20

// maxLine bounds one line of a JSONL member.
const maxLine = 64 << 20

// Reader reads a container. Its methods may be called by several goroutines.
type Reader struct {
	arch      *zipx.Archive
	info      Info
	head      Info
	sources   []SourceInfo
	index     map[string]int64 // rows by result member, as the .index members tell
	counted   sync.Once
	decoded   sync.Once
	byDecoded map[string]string // members by what their names mean, for the containers of others
	cut       bool              // made from what a crash left
	rebuilt   *rebuilt          // then
	in        io.ReaderAt
	size      int64 // of in
	closers   []io.Closer
}

// newReader reads what a container says of itself. bytes is the size of its
// files.
func newReader(arch *zipx.Archive, in io.ReaderAt, size, bytes int64, spooled *storedHeader) (*Reader, error) {
	r := &Reader{arch: arch, in: in, size: size}
	r.info.Bytes = bytes
	if err := r.loadInfo(spooled); err != nil {
		return nil, err
	}
	r.head = r.info
	return r, nil
}

// Close closes the files that OpenFile opened.
func (r *Reader) Close() error {
	var err error
	for _, c := range r.closers {
		err = errors.Join(err, c.Close())
	}
	r.closers = nil
	return err
}

// Info describes the container. Its first call counts rows and uploads.
func (r *Reader) Info() Info {
	r.counted.Do(r.count)
	return r.info
}

// Head is Info without the counts of rows and uploads, which need reading.
func (r *Reader) Head() Info { return r.head }

// Sources lists the results by name. Its first call counts their rows.
func (r *Reader) Sources() []SourceInfo {
	r.counted.Do(r.count)
	return r.sources
}

func (r *Reader) count() {
	r.countRows()
	r.countUploads()
}

// member returns a member by its exact name; ok is false if there is none.
func (r *Reader) member(name string) (zipx.Member, bool, error) {
	m, err := r.arch.Lookup(name)
	if errors.Is(err, zipx.ErrNotFound) {
		return m, false, nil
	}
	return m, err == nil, err
}

// readMember reads a small member whole; nil if there is none.
func (r *Reader) readMember(name string) ([]byte, error) {
	m, ok, err := r.member(name)
	if err != nil || !ok {
		return nil, err
	}
	if m.Size > maxJSONMember {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read", name, m.Size, int64(maxJSONMember))
	}
	rc, err := r.arch.Open(&m)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(io.LimitReader(rc, maxJSONMember+1))
}

// readJSON decodes a member into v. A member that is missing or damaged leaves
// v as it is and is told as a problem.
func (r *Reader) readJSON(name string, v any) (found bool) {
	b, err := r.readMember(name)
	if err == nil && b == nil {
		return false
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		r.info.Problems = append(r.info.Problems, Problem{Member: name, Problem: err.Error(), Offset: -1})
		return false
	}
	return true
}

// loadInfo takes the header of the spool where the file has none.
func (r *Reader) loadInfo(spooled *storedHeader) error {
	var head storedHeader
	isOurs := r.readJSON(memberHeader, &head)
	if !isOurs && spooled != nil {
		head, isOurs = *spooled, true
	}
	if isOurs && head.Format == "satchel" {
		if head.Version > FormatVersion {
			return fmt.Errorf("the container has format version %d, this program reads up to %d: use a newer one", head.Version, FormatVersion)
		}
		r.info.Format, r.info.Version, r.info.ID = "satchel", head.Version, head.ID
		r.info.Flow, r.info.Host, r.info.Tool, r.info.Clock = head.Flow, head.Host, head.Tool, head.Clock
		r.info.Started = head.Flow.Created
	} else {
		r.info.Format = "velociraptor"
	}
	known, err := r.loadMembers()
	if err != nil {
		return err
	}
	ctx := r.loadContext()
	if r.info.Format != "satchel" && ctx == nil && !known {
		return r.refuse()
	}
	r.info.Complete = ctx != nil && !ctx.Reconstructed
	return nil
}

// refuse says what an archive is that is no collection.
func (r *Reader) refuse() error {
	if m, ok, _ := r.member("data.zip"); ok && m.Method == zipx.AES {
		return ErrEncrypted
	}
	return fmt.Errorf("%w: it has no collection_context.json, results or uploads", ErrNotContainer)
}

// loadMembers finds the results, and says whether anything of a collection is
// there.
func (r *Reader) loadMembers() (known bool, err error) {
	json := map[string]bool{}
	index := map[string]int64{}
	var csv []SourceInfo
	for m, err := range r.arch.Members() {
		if err != nil {
			r.info.Problems = append(r.info.Problems, Problem{Problem: "the list of members cannot be read to its end: " + err.Error(), Offset: -1})
			break
		}
		if base, ok := strings.CutSuffix(m.Name, ".index"); ok && strings.HasPrefix(base, "results/") {
			if len(index) < maxSources {
				index[base] = int64(m.Size / 8)
			}
			continue
		}
		source, isCSV, ok := sourceOfMember(m.Name)
		switch {
		case !ok:
			known = known || strings.HasPrefix(m.Name, "uploads/") || m.Name == memberUploads
		case len(r.sources)+len(csv) >= maxSources:
			return known, fmt.Errorf("more than %d results in one container", maxSources)
		case isCSV:
			csv = append(csv, SourceInfo{Name: source, Bytes: int64(m.Size), CSVOnly: true, Member: m.Name})
		case !json[source]:
			json[source] = true
			r.sources = append(r.sources, SourceInfo{Name: source, Bytes: int64(m.Size), Member: m.Name, Rows: -1})
		}
	}
	for _, s := range csv {
		if !json[s.Name] {
			s.Rows = -1
			r.sources = append(r.sources, s)
		}
	}
	sort.Slice(r.sources, func(i, j int) bool { return r.sources[i].Name < r.sources[j].Name })
	r.index = index
	return known || len(r.sources) > 0, nil
}

// countRows counts the rows of each source: by the index that our own writer
// makes, else by reading them.
func (r *Reader) countRows() {
	for i := range r.sources {
		s := &r.sources[i]
		n, ok := r.index[s.Member]
		if !ok || r.info.Format != "satchel" {
			var err error
			if n, err = r.countMember(s); err != nil {
				r.info.Problems = append(r.info.Problems, Problem{Member: s.Member, Problem: err.Error(), Offset: -1})
			}
		}
		s.Rows = n
		r.info.Rows += n
	}
}

func (r *Reader) countMember(s *SourceInfo) (int64, error) {
	m, ok, err := r.member(s.Member)
	if err != nil || !ok {
		return 0, err
	}
	rc, err := r.arch.Open(&m)
	if err != nil {
		return 0, err
	}
	defer rc.Close()
	if s.CSVOnly {
		return countCSV(rc)
	}
	return countLines(rc)
}

// countLines counts lines that are not blank, the last one also without its
// newline.
func countLines(r io.Reader) (n int64, err error) {
	buf := bufio.NewReaderSize(r, 64<<10)
	some := false
	for {
		piece, err := buf.ReadSlice('\n')
		for _, c := range piece {
			if c > ' ' {
				some = true
				break
			}
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if some {
			n++
			some = false
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// readContext is what is taken from collection_context.json, ours or
// Velociraptor's: numbers may be text, the whole may be wrapped.
type readContext struct {
	ClientID      string    `json:"client_id"`
	SessionID     string    `json:"session_id"`
	CreateTime    looseInt  `json:"create_time"`
	StartTime     looseInt  `json:"start_time"`
	ActiveTime    looseInt  `json:"active_time"`
	TotalLogs     looseInt  `json:"total_logs"`
	TotalUploads  looseInt  `json:"total_uploaded_files"`
	State         looseEnum `json:"state"`
	Status        string    `json:"status"`
	Reconstructed bool      `json:"reconstructed"`
	Problems      []Problem `json:"problems"`
	Request       struct {
		Creator   string   `json:"creator"`
		Artifacts []string `json:"artifacts"`
		Specs     []struct {
			Artifact   string  `json:"artifact"`
			Parameters envJSON `json:"parameters"`
		} `json:"specs"`
	} `json:"request"`
}

func (r *Reader) loadContext() *readContext {
	var wrapped struct {
		readContext
		Context *readContext `json:"context"`
	}
	if !r.readJSON(memberContext, &wrapped) {
		if r.info.Format == "satchel" {
			r.info.Problems = append(r.info.Problems, Problem{Member: memberContext, Problem: "is missing", Offset: -1})
		}
		return nil
	}
	ctx := &wrapped.readContext
	if ctx.SessionID == "" && wrapped.Context != nil {
		ctx = wrapped.Context
	}
	r.info.State, r.info.Status = flow.State(ctx.State), ctx.Status
	r.info.Logs = int64(ctx.TotalLogs)
	r.info.Started, r.info.Ended = epoch(int64(ctx.StartTime)), epoch(int64(ctx.ActiveTime))
	if len(ctx.Problems) > 1000 {
		ctx.Problems = ctx.Problems[:1000]
	}
	r.info.Problems = append(r.info.Problems, ctx.Problems...)
	if r.info.Format != "satchel" {
		r.loadForeign(ctx)
	}
	return ctx
}

// loadForeign fills flow and host of a container that has no satchel.json.
func (r *Reader) loadForeign(ctx *readContext) {
	f := &r.info.Flow
	f.ID, f.ClientID, f.Created = ctx.SessionID, ctx.ClientID, epoch(int64(ctx.CreateTime))
	f.Request.Creator, f.Request.Artifacts = ctx.Request.Creator, ctx.Request.Artifacts
	for _, s := range ctx.Request.Specs {
		f.Request.Specs = append(f.Request.Specs, flow.Spec{Artifact: s.Artifact, Parameters: s.Parameters.Env})
	}
	if r.info.Started.IsZero() {
		r.info.Started = f.Created
	}
	var raw json.RawMessage
	if !r.readJSON(memberClientInfo, &raw) {
		return
	}
	var fields map[string]any
	if json.Unmarshal(raw, &fields) != nil {
		return
	}
	text := func(names ...string) string {
		for _, want := range names {
			for k, v := range fields {
				if s, ok := v.(string); ok && strings.EqualFold(k, want) && s != "" {
					return s
				}
			}
		}
		return ""
	}
	h := &r.info.Host
	h.Info = raw
	h.Hostname, h.FQDN, h.OS, h.Arch = text("Hostname"), text("Fqdn"), text("OS", "system"), text("Architecture")
	h.RawID = text("HostID")
	h.HostID = h.RawID
	if f.ClientID == "" {
		f.ClientID = text("client_id")
	}
	r.info.Tool.Name, r.info.Tool.Version = text("Name", "client_name"), text("BuildTime", "client_version")
}

// epoch takes seconds, milliseconds, microseconds or nanoseconds since 1970.
func epoch(n int64) time.Time {
	switch {
	case n <= 0:
		return time.Time{}
	case n >= 1e17:
		return time.Unix(0, n).UTC()
	case n >= 1e14:
		return time.UnixMicro(n).UTC()
	case n >= 1e11:
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}

// countUploads counts the records of uploads.
func (r *Reader) countUploads() {
	for u, err := range r.Uploads(context.Background()) {
		if err != nil {
			r.info.Problems = append(r.info.Problems, Problem{Member: memberUploads, Problem: err.Error(), Offset: -1})
			return
		}
		if u.Type == "idx" {
			continue
		}
		r.info.Uploads++
		r.info.UploadBytes += u.StoredSize
	}
}

// Open implements fs.FS over the members, by their names in the archive.
// Directories are not shown.
func (r *Reader) Open(name string) (fs.File, error) {
	m, ok, err := r.member(name)
	if err == nil && !ok {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	rc, err := r.arch.Open(&m)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &memberFile{ReadCloser: rc, m: m}, nil
}

var _ fs.FS = (*Reader)(nil)

// Members yields the names and sizes of all members in the order of the
// directory.
func (r *Reader) Members() iter.Seq2[MemberInfo, error] {
	return func(yield func(MemberInfo, error) bool) {
		for m, err := range r.arch.Members() {
			if !yield(MemberInfo{m.Name, int64(m.Size), int64(m.CompressedSize), m.Modified}, err) || err != nil {
				return
			}
		}
	}
}

// MemberInfo is one member of the archive.
type MemberInfo struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	Stored   int64     `json:"stored"`
	Modified time.Time `json:"modified,omitzero"`
}

// Rows opens the rows of a source as JSONL. Rows of a source that is there as
// CSV alone are converted: every cell becomes text.
func (r *Reader) Rows(ctx context.Context, source string) (io.ReadCloser, error) {
	i := sort.Search(len(r.sources), func(i int) bool { return r.sources[i].Name >= source })
	if i == len(r.sources) || r.sources[i].Name != source {
		return nil, fmt.Errorf("no results of %s: %w", source, fs.ErrNotExist)
	}
	m, ok, err := r.member(r.sources[i].Member)
	if err == nil && !ok {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open the results of %s: %w", source, err)
	}
	rc, err := r.arch.Open(&m)
	if err != nil {
		return nil, fmt.Errorf("open the results of %s: %w", source, err)
	}
	if r.sources[i].CSVOnly {
		return csvToJSONL(ctx, rc), nil
	}
	return rc, nil
}

// memberFile is a member as an fs.File.
type memberFile struct {
	io.ReadCloser
	m zipx.Member
}

func (f *memberFile) Stat() (fs.FileInfo, error) { return memberStat{f.m}, nil }

type memberStat struct{ m zipx.Member }

func (s memberStat) Name() string       { return s.m.Name[strings.LastIndexByte(s.m.Name, '/')+1:] }
func (s memberStat) Size() int64        { return int64(s.m.Size) }
func (s memberStat) Mode() fs.FileMode  { return 0o400 }
func (s memberStat) ModTime() time.Time { return s.m.Modified }
func (s memberStat) IsDir() bool        { return false }
func (s memberStat) Sys() any           { return nil }
