package importer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"satchel/container"
	"satchel/importer"
	"satchel/internal/flow"
)

// fakeFormat reads containers of the test's own: one JSON object a line, first
// a head, then rows and uploads in any order, then "end" if it is whole. A torn
// last line is a cut. A spool continues the lines of its container.
type fakeFormat struct{}

type fakeLine struct {
	Head   *container.Info       `json:"head,omitempty"`
	Source string                `json:"source,omitempty"`
	Row    string                `json:"row,omitempty"`
	Upload *container.UploadInfo `json:"upload,omitempty"`
	Data   string                `json:"data,omitempty"`
	Report *flow.Report          `json:"report,omitempty"`
	Bad    bool                  `json:"bad,omitempty"` // damage that only a full pass finds
	End    bool                  `json:"end,omitempty"`
}

type fakeEvidence struct {
	data    map[string]string
	info    container.Info
	sources []container.SourceInfo
	rows    map[string]*bytes.Buffer
	uploads []container.UploadInfo
	reports []flow.Report
}

func (fakeFormat) Open(zip, spool *io.SectionReader) (importer.Evidence, error) {
	e := &fakeEvidence{data: map[string]string{}, rows: map[string]*bytes.Buffer{}}
	var data []byte
	for _, r := range []*io.SectionReader{zip, spool} {
		if r == nil {
			continue
		}
		b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if err != nil {
			return nil, err
		}
		data = append(data, b...)
	}
	if bytes.HasPrefix(data, []byte("age")) {
		return nil, fmt.Errorf("open: %w", container.ErrEncrypted)
	}
	if !bytes.HasPrefix(data, []byte(`{"head"`)) {
		return nil, fmt.Errorf("open: %w", container.ErrNotContainer)
	}
	lines := strings.SplitAfter(string(data), "\n")
	for i, text := range lines {
		var l fakeLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			break
		}
		if !strings.HasSuffix(text, "\n") {
			break
		}
		e.add(i, l)
	}
	if !e.info.Complete {
		e.info.Problems = append(e.info.Problems, container.Problem{Problem: "cut", Offset: int64(len(data))})
	}
	return e, nil
}

func (e *fakeEvidence) add(i int, l fakeLine) {
	switch {
	case l.Head != nil:
		e.info = *l.Head
	case l.End:
		e.info.Complete = true
	case l.Upload != nil:
		u := *l.Upload
		u.Member = fmt.Sprintf("m%d", i)
		u.StoredSize = int64(len(l.Data))
		e.data[u.Member] = l.Data
		e.uploads = append(e.uploads, u)
		e.info.Uploads++
	case l.Report != nil:
		e.reports = append(e.reports, *l.Report)
	case l.Source != "":
		b := e.rows[l.Source]
		if b == nil {
			b = new(bytes.Buffer)
			e.rows[l.Source] = b
			e.sources = append(e.sources, container.SourceInfo{Name: l.Source})
		}
		b.WriteString(l.Row + "\n")
		for j := range e.sources {
			if e.sources[j].Name == l.Source {
				e.sources[j].Rows++
			}
		}
		e.info.Rows++
	}
}

func (fakeFormat) Copy(ctx context.Context, dst io.Writer, zip, _ *io.SectionReader) (string, []container.Problem, error) {
	var b bytes.Buffer
	if _, err := io.Copy(io.MultiWriter(dst, &b), zip); err != nil {
		return "", nil, err
	}
	hash := sha256.Sum256(b.Bytes())
	sum := hex.EncodeToString(hash[:])
	if bytes.Contains(b.Bytes(), []byte(`"bad":true`)) {
		return sum, []container.Problem{{Member: "bad", Problem: "flipped bit", Offset: 7}}, ctx.Err()
	}
	return sum, nil, ctx.Err()
}

func (e *fakeEvidence) Head() container.Info            { return e.info }
func (e *fakeEvidence) Info() container.Info            { return e.info }
func (e *fakeEvidence) Sources() []container.SourceInfo { return e.sources }
func (e *fakeEvidence) Close() error                    { return nil }

func (e *fakeEvidence) Rows(_ context.Context, source string) (io.ReadCloser, error) {
	b := e.rows[source]
	if b == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b.Bytes())), nil
}

func (e *fakeEvidence) OpenStored(u container.UploadInfo) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(e.data[u.Member])), nil
}

func (e *fakeEvidence) Uploads(context.Context) iter.Seq2[container.UploadInfo, error] {
	return func(yield func(container.UploadInfo, error) bool) {
		for _, u := range e.uploads {
			if !yield(u, nil) {
				return
			}
		}
	}
}

func (e *fakeEvidence) Reports(context.Context) iter.Seq2[flow.Report, error] {
	return func(yield func(flow.Report, error) bool) {
		for _, r := range e.reports {
			if !yield(r, nil) {
				return
			}
		}
		if len(e.reports) > 100 {
			yield(flow.Report{}, errors.New("too many"))
		}
	}
}

// builder writes a fake container.
type builder struct{ lines []string }

func (b *builder) line(l fakeLine) *builder {
	data, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	b.lines = append(b.lines, string(data)+"\n")
	return b
}

func build(info container.Info) *builder { return new(builder).line(fakeLine{Head: &info}) }

func (b *builder) row(source, row string) *builder {
	return b.line(fakeLine{Source: source, Row: row})
}

// upload adds a file; whole ones have their hash.
func (b *builder) upload(name, data string, whole bool) *builder {
	return b.claim(name, data, data, whole)
}

// claim adds a file that says it is another.
func (b *builder) claim(name, data, claimed string, whole bool) *builder {
	u := container.UploadInfo{Path: name, Accessor: "file", Components: []string{"uploads", "file", name}, Size: int64(len(claimed)), Complete: whole}
	if whole {
		u.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(claimed)))
	}
	return b.line(fakeLine{Upload: &u, Data: data})
}

func (b *builder) end() *builder { return b.line(fakeLine{End: true}) }

func (b *builder) bytes() []byte { return []byte(strings.Join(b.lines, "")) }

// copy gives a builder that can go another way from here.
func (b *builder) copy() *builder { return &builder{append([]string(nil), b.lines...)} }
