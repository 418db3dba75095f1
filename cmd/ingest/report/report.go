// Package report makes the one-page summary of a collection: the host, what was
// asked, how every planned item ended, what stands out in the rows, and the
// custody facts. The same report is written as text, as one HTML page without
// anything from outside, or as JSON.
//
// Everything in it comes from a host that may be hostile: counts are bounded,
// control characters are escaped, and the page is made by html/template and
// forbids scripts.
package report

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sort"
	"strings"
	"time"

	"satchel/cmd/ingest/rows"
	"satchel/container"
	"satchel/internal/flow"
)

// Bounds of what one page shows; what is left out is counted.
const (
	maxItems    = 5000
	maxUploads  = 500
	maxMessages = 200
	maxPreview  = 10
	maxColumns  = 40
	maxHits     = 50
	maxCell     = 300
)

// Evidence is what a report is made from: *container.Reader.
type Evidence interface {
	rows.Opener
	Info() container.Info
	Sources() []container.SourceInfo
	Uploads(ctx context.Context) iter.Seq2[container.UploadInfo, error]
	Reports(ctx context.Context) iter.Seq2[flow.Report, error]
	Logs(ctx context.Context) iter.Seq2[flow.LogLine, error]
}

// Report is the summary of one flow.
type Report struct {
	Flow       flow.Record `json:"flow"`
	KeptAs     string      `json:"kept_as"`
	Made       time.Time   `json:"made"`
	MadeBy     string      `json:"made_by"`
	Clock      flow.Clock  `json:"clock"`
	Facts      []Fact      `json:"facts"`
	Items      []Item      `json:"items"`         // how every planned item and target ended, failures first
	ItemsTotal int         `json:"items_total"`   // planned items
	Unended    int         `json:"items_unended"` // of these, the ones without an outcome: the collection was cut
	Targets    int         `json:"targets_total"` // what the items looked for one by one
	Failed     int         `json:"items_failed"`  // items and targets that failed
	Highlights []Highlight `json:"highlights"`
	Sources    []Source    `json:"sources"`
	Uploads    Uploads     `json:"uploads"`
	Messages   []Message   `json:"messages"` // warnings and errors of the log
	MessageCut int         `json:"messages_cut"`
	Damage     []string    `json:"damage"` // what of the container could not be read for this report
}

// Fact is one fact of the host.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Item is one planned item, or one target of it, and how it ended.
type Item struct {
	flow.Report
	Failure bool `json:"failure"`
}

// Source is the results of one source, with its first rows.
type Source struct {
	Name    string     `json:"name"`
	Rows    int64      `json:"rows"`
	Columns []string   `json:"columns"`
	Preview [][]string `json:"preview"`
}

// Uploads sums up the files.
type Uploads struct {
	Files   int64    `json:"files"`
	Bytes   int64    `json:"bytes"`
	Partial int64    `json:"partial"`
	List    []Upload `json:"list"`
}

// Upload is one file.
type Upload struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified,omitzero"`
	SHA256   string    `json:"sha256"`
	Complete bool      `json:"complete"`
	Error    string    `json:"error,omitempty"`
}

// Message is one line of the log.
type Message struct {
	Time   time.Time `json:"time,omitzero"`
	Level  string    `json:"level"`
	Source string    `json:"source,omitempty"`
	Text   string    `json:"text"`
}

// Build reads the evidence once and makes the report. What cannot be read is
// told in Damage; the error is that of ctx.
func Build(ctx context.Context, rec flow.Record, ev Evidence) (*Report, error) {
	r := &Report{Flow: rec, Clock: ev.Info().Clock, Facts: facts(rec.Host.Info)}
	r.items(ctx, ev)
	r.uploads(ctx, ev)
	r.messages(ctx, ev)
	r.rows(ctx, ev)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r, nil
}

func (r *Report) damaged(what string, err error) {
	if len(r.Damage) < 100 {
		r.Damage = append(r.Damage, clip(what+": "+err.Error()))
	}
}

// facts gives the scalar members of the host's own facts in their order.
func facts(object json.RawMessage) []Fact {
	var out []Fact
	if !rows.Valid(object) {
		return nil
	}
	rows.Cells(object, func(key, value []byte) bool {
		if text := rows.Text(value); text != "" {
			out = append(out, Fact{clip(rows.Name(key)), clip(text)})
		}
		return len(out) < 100
	})
	return out
}

// items reads the outcomes: failures first, then in the order of the plan.
func (r *Report) items(ctx context.Context, ev Evidence) {
	for rep, err := range ev.Reports(ctx) {
		if err != nil {
			r.damaged("outcomes", err)
			break
		}
		if rep.Target == "" {
			r.ItemsTotal++
		} else {
			r.Targets++
		}
		failure := rep.Outcome.Failure()
		if failure {
			r.Failed++
		}
		if len(r.Items) >= maxItems && !failure || len(r.Items) >= 2*maxItems {
			continue
		}
		rep.Source, rep.Target, rep.Detail = clip(rep.Source), clip(rep.Target), clip(rep.Detail)
		r.Items = append(r.Items, Item{rep, failure})
	}
	if r.Flow.Format == "satchel" && !r.Flow.Complete {
		r.Unended = max(len(r.Flow.Sources)-r.ItemsTotal, 0)
		r.ItemsTotal += r.Unended
	}
	sort.SliceStable(r.Items, func(i, j int) bool { return r.Items[i].Failure && !r.Items[j].Failure })
	r.Items = r.Items[:min(len(r.Items), maxItems)]
}

// ItemsLeftOut is the number of outcomes that are not in Items.
func (r *Report) ItemsLeftOut() int {
	return max(r.ItemsTotal-r.Unended+r.Targets-len(r.Items), 0)
}

func (r *Report) uploads(ctx context.Context, ev Evidence) {
	bad := 0
	for u, err := range ev.Uploads(ctx) {
		if err != nil {
			if bad++; bad == 1 {
				r.damaged("uploads", err)
			}
			continue
		}
		if u.Type == "idx" {
			continue
		}
		r.Uploads.Files++
		r.Uploads.Bytes += u.StoredSize
		if !u.Complete {
			r.Uploads.Partial++
		}
		if len(r.Uploads.List) < maxUploads {
			r.Uploads.List = append(r.Uploads.List, Upload{clip(u.Path), u.Size, u.Modified, u.SHA256, u.Complete, clip(u.Error)})
		}
	}
}

func (r *Report) messages(ctx context.Context, ev Evidence) {
	for l, err := range ev.Logs(ctx) {
		if err != nil {
			r.damaged("log", err)
			break
		}
		switch l.Level {
		case flow.LevelWarn, flow.LevelError, flow.LevelAlert:
		default:
			continue
		}
		if len(r.Messages) == maxMessages {
			r.MessageCut++
			continue
		}
		r.Messages = append(r.Messages, Message{l.Time, clip(string(l.Level)), clip(l.Source), clip(l.Message)})
	}
}

// rows reads every source once: for its first rows and for what stands out.
func (r *Report) rows(ctx context.Context, ev Evidence) {
	found := newFinder()
	for i, s := range ev.Sources() {
		if i == maxItems || ctx.Err() != nil {
			break
		}
		view := Source{Name: clip(s.Name), Rows: s.Rows}
		search := found.begin(s.Name)
		err := rows.Each(ctx, ev, s.Name, func(line []byte) error {
			if !rows.Valid(line) {
				return nil
			}
			full := len(view.Preview) == maxPreview
			if full && !search.wants(view.Columns) {
				return errEnough
			}
			if !full {
				view.add(line)
			}
			search.row(line)
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) && ctx.Err() == nil {
			r.damaged("results", err)
		}
		r.Sources = append(r.Sources, view)
	}
	r.Highlights = found.highlights()
}

// errEnough ends the reading of a source of which no more is wanted.
var errEnough = errors.New("enough")

// add takes a row into the preview.
func (s *Source) add(line []byte) {
	row := make([]string, len(s.Columns))
	rows.Cells(line, func(key, value []byte) bool {
		name := clip(rows.Name(key))
		i := slices.Index(s.Columns, name)
		if i < 0 {
			if len(s.Columns) == maxColumns {
				return true
			}
			i = len(s.Columns)
			s.Columns = append(s.Columns, name)
			row = append(row, "")
		}
		row[i] = clip(rows.Text(value))
		return true
	})
	s.Preview = append(s.Preview, row)
}

// clip bounds a text from the host.
func clip(s string) string {
	if len(s) <= maxCell {
		return s
	}
	return strings.ToValidUTF8(s[:maxCell], "") + "…"
}
