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
	"strings"
	"time"

	"satchel/internal/flow"
	"satchel/internal/zipx"
)

// Uploads yields the records of uploads.json in their order, those of type idx
// too. A row that cannot be read is an error for that row alone; the iteration
// goes on after it.
func (r *Reader) Uploads(ctx context.Context) iter.Seq2[UploadInfo, error] {
	return func(yield func(UploadInfo, error) bool) {
		m, ok, err := r.member(memberUploads)
		if err != nil || !ok {
			if err != nil {
				yield(UploadInfo{}, err)
			}
			return
		}
		rc, err := r.arch.Open(&m)
		if err != nil {
			yield(UploadInfo{}, err)
			return
		}
		defer rc.Close()
		err = eachLine(rc, func(line []byte) error {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			u, err := parseUpload(line)
			if !yield(u, err) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(UploadInfo{}, fmt.Errorf("read %s: %w", memberUploads, err))
		}
	}
}

// eachLine calls f with every line that is not blank, without its newline, also
// with a last one that has none.
func eachLine(r io.Reader, f func(line []byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	for sc.Scan() {
		if len(sc.Bytes()) == 0 {
			continue
		}
		if err := f(sc.Bytes()); err != nil {
			return err
		}
	}
	return sc.Err()
}

// parseUpload reads a row of uploads.json, ours or Velociraptor's.
func parseUpload(line []byte) (UploadInfo, error) {
	var row struct {
		uploadRow
		FileSize     looseInt `json:"file_size"`
		UploadedSize looseInt `json:"uploaded_size"`
		Timestamp    any      `json:"Timestamp"`
	}
	if err := json.Unmarshal(line, &row); err != nil {
		return UploadInfo{}, fmt.Errorf("a row of %s cannot be read: %w", memberUploads, err)
	}
	u := UploadInfo{
		ID: row.ID, Source: row.Source, Path: row.VFSPath, Accessor: row.Accessor, Components: row.Components, Parts: row.Parts,
		Size: int64(row.FileSize), StoredSize: int64(row.UploadedSize), SHA256: row.SHA256, MD5: row.MD5, SHA1: row.SHA1,
		Complete: row.Complete == nil || *row.Complete, Error: row.Error, Type: row.Type, Sparse: row.Sparse,
		Started: parseTime(row.Started), Modified: parseTime(row.Modified), Accessed: parseTime(row.Accessed), Changed: parseTime(row.Changed), Born: parseTime(row.Born),
	}
	if len(row.RawPath) > 0 {
		u.Path = string(row.RawPath)
	}
	if len(u.Components) < 2 || u.Components[0] != "uploads" {
		return u, fmt.Errorf("the row of %q in %s does not say where the file lies", u.Path, memberUploads)
	}
	if u.Accessor == "" {
		u.Accessor = u.Components[1]
	}
	u.Member = row.Member
	if u.Member == "" {
		u.Member, _, _ = zipx.MemberName(u.Components)
	}
	return u, nil
}

func parseTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// OpenUpload opens the content of an upload: the parts of a split one joined,
// the zeros of a sparse one filled in. Reading a member that is damaged ends
// with an error at its end.
func (r *Reader) OpenUpload(u UploadInfo) (io.ReadCloser, error) {
	if u.Type == "idx" {
		return r.openMember(u.Member + ".idx")
	}
	stored, size, err := r.openParts(u)
	if err != nil {
		return nil, err
	}
	runs, err := r.sparseRuns(u, size)
	if err != nil {
		return nil, errors.Join(err, stored.Close())
	}
	if runs == nil {
		return stored, nil
	}
	return &sparseReader{stored: stored, runs: runs}, nil
}

// OpenStored opens the bytes of an upload as they are stored: a sparse one
// without its zeros.
func (r *Reader) OpenStored(u UploadInfo) (io.ReadCloser, error) {
	rc, _, err := r.openParts(u)
	return rc, err
}

func (r *Reader) openMember(name string) (io.ReadCloser, error) {
	m, ok, err := r.uploadMember(name)
	if err == nil && !ok {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return r.arch.Open(&m)
}

// uploadMember finds the member of an upload. In the containers of others it is
// looked for once more as their importer does: by the decoded name, in any
// case, where bytes that were no UTF-8 became U+FFFD in the row.
func (r *Reader) uploadMember(name string) (zipx.Member, bool, error) {
	m, ok, err := r.member(name)
	if ok || err != nil || r.info.Format == "satchel" {
		return m, ok, err
	}
	r.decoded.Do(func() {
		r.byDecoded = map[string]string{}
		for m, err := range r.arch.Members() {
			if err != nil {
				return
			}
			if strings.HasPrefix(m.Name, "uploads/") {
				r.byDecoded[decodedKey(m.Name)] = m.Name
			}
		}
	})
	if stored, found := r.byDecoded[decodedKey(name)]; found {
		return r.member(stored)
	}
	return m, false, nil
}

// decodedKey is a name as others compare it: components decoded, empty ones
// dropped, what is no UTF-8 replaced.
func decodedKey(name string) string {
	var out strings.Builder
	for part := range strings.SplitSeq(name, "/") {
		c, _ := zipx.UnescapeComponent(part)
		if c == "" {
			continue
		}
		for _, r := range c { // each bad byte gives U+FFFD
			out.WriteRune(r)
		}
		out.WriteByte('/')
	}
	return zipx.FoldName(out.String())
}

// openParts joins the members of an upload.
func (r *Reader) openParts(u UploadInfo) (io.ReadCloser, int64, error) {
	names := append([]string{u.Member}, u.Parts...)
	if u.StoredSize == 0 && !u.Complete {
		if _, ok, err := r.member(u.Member); err == nil && !ok {
			return io.NopCloser(strings.NewReader("")), 0, nil
		}
	}
	var size int64
	for i, name := range names {
		if i > 0 && !strings.HasPrefix(name, "uploads.parts/") {
			return nil, 0, fmt.Errorf("open %s: a part of it has the name %q", u.Member, name)
		}
		m, ok, err := r.uploadMember(name)
		if err == nil && !ok {
			err = fs.ErrNotExist
		}
		if err != nil {
			return nil, 0, fmt.Errorf("open %s: %w", name, err)
		}
		size += int64(m.Size)
	}
	return &joined{r: r, names: names}, size, nil
}

// joined reads members one after the other.
type joined struct {
	r     *Reader
	names []string
	cur   io.ReadCloser
}

func (j *joined) Read(p []byte) (int, error) {
	for {
		if j.cur == nil {
			if len(j.names) == 0 {
				return 0, io.EOF
			}
			rc, err := j.r.openMember(j.names[0])
			if err != nil {
				return 0, err
			}
			j.cur, j.names = rc, j.names[1:]
		}
		n, err := j.cur.Read(p)
		if err == io.EOF {
			err = j.cur.Close()
			j.cur = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (j *joined) Close() error {
	if j.cur == nil {
		return nil
	}
	return j.cur.Close()
}

// sparseRuns returns the runs of a sparse upload, nil for a plain one.
func (r *Reader) sparseRuns(u UploadInfo, stored int64) ([]sparseRun, error) {
	b, err := r.readMember(u.Member + ".idx")
	if err != nil || b == nil {
		return nil, err
	}
	if !u.Sparse && r.info.Format == "satchel" {
		return nil, nil // a file that is named so, not an index
	}
	return parseSparseIndex(b, stored)
}

// sparseReader fills the zeros of a sparse file in.
type sparseReader struct {
	stored io.ReadCloser
	runs   []sparseRun
	at     int64 // in the logical file
	read   int64 // of the stored bytes
}

func (s *sparseReader) Read(p []byte) (int, error) {
	for len(s.runs) > 0 && s.at >= s.runs[0].OriginalOffset+s.runs[0].Length {
		s.runs = s.runs[1:]
	}
	if len(s.runs) == 0 {
		// The CRC of what is stored is checked at its end.
		if _, err := io.Copy(io.Discard, s.stored); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	run := s.runs[0]
	zeros := func(n int64) (int, error) {
		n = min(n, int64(len(p)))
		clear(p[:n])
		s.at += n
		return int(n), nil
	}
	if s.at < run.OriginalOffset {
		return zeros(run.OriginalOffset - s.at)
	}
	in := s.at - run.OriginalOffset
	if in >= run.FileLength {
		return zeros(run.Length - in)
	}
	if want := run.FileOffset + in; want != s.read {
		if want < s.read {
			return 0, errors.New("the runs of the sparse file are not stored in order")
		}
		n, err := io.CopyN(io.Discard, s.stored, want-s.read)
		s.read += n
		if err != nil {
			return 0, noEOF(err)
		}
	}
	n, err := s.stored.Read(p[:min(int64(len(p)), run.FileLength-in)])
	s.at += int64(n)
	s.read += int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, noEOF(err)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *sparseReader) Close() error { return s.stored.Close() }

// Logs yields the lines of the log.
func (r *Reader) Logs(ctx context.Context) iter.Seq2[flow.LogLine, error] {
	return func(yield func(flow.LogLine, error) bool) {
		name := memberLog
		if _, ok, _ := r.member(name); !ok {
			name = "logs.json" // older containers
		}
		rc, err := r.openMember(name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				yield(flow.LogLine{}, err)
			}
			return
		}
		defer rc.Close()
		err = eachLine(rc, func(line []byte) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var row struct {
				logRow
				ClientTime looseInt `json:"client_time"`
				TS         any      `json:"_ts"`
			}
			err := json.Unmarshal(line, &row)
			l := flow.LogLine{Time: parseTime(row.Time), Level: row.Level, Source: row.Source, Message: strings.TrimSuffix(row.Message, "\n")}
			if l.Time.IsZero() {
				l.Time = epoch(int64(row.ClientTime))
			}
			if !yield(l, err) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(flow.LogLine{}, fmt.Errorf("read %s: %w", name, err))
		}
	}
}

// Reports yields the outcomes of the planned items. Containers of others have
// none.
func (r *Reader) Reports(ctx context.Context) iter.Seq2[flow.Report, error] {
	return func(yield func(flow.Report, error) bool) {
		rc, err := r.openMember(memberReport)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				yield(flow.Report{}, err)
			}
			return
		}
		defer rc.Close()
		err = eachListItem(rc, "items", func(dec *json.Decoder) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var rep flow.Report
			if err := dec.Decode(&rep); err != nil {
				return err
			}
			if !yield(rep, nil) {
				return errStop
			}
			return nil
		}, nil)
		if err != nil && !errors.Is(err, errStop) {
			yield(flow.Report{}, fmt.Errorf("read %s: %w", memberReport, err))
		}
	}
}

// eachListItem streams an object: item is called at each element of the array
// list, field (if not nil) with every other member.
func eachListItem(r io.Reader, list string, item func(dec *json.Decoder) error, field func(key string, v json.RawMessage) error) error {
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("is no JSON object: %w", errOr(err))
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if key != list {
			var v json.RawMessage
			if err := dec.Decode(&v); err != nil {
				return err
			}
			if field != nil {
				if err := field(key, v); err != nil {
					return err
				}
			}
			continue
		}
		if t, err := dec.Token(); err != nil || t != json.Delim('[') {
			return fmt.Errorf("%s is no list: %w", list, errOr(err))
		}
		for dec.More() {
			if err := item(dec); err != nil {
				return err
			}
		}
		if _, err := dec.Token(); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func errOr(err error) error {
	if err == nil {
		return errors.New("unexpected value")
	}
	return err
}
