package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"satchel/cmd/internal/command"
	"satchel/internal/flow"
)

// How much of each list the text shows; the page has more.
const (
	textRows  = 12
	textItems = 40
	textCell  = 60
)

// printer writes lines; its first error sticks.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, "%s\n", strings.TrimRight(command.Printable(fmt.Sprintf(format, args...)), " "))
	}
}

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	f := r.Flow
	host := f.Host.Hostname
	if host == "" {
		host = "unnamed host"
	}
	p.line("%s  %s %s", host, f.Host.OS, f.Host.Arch)
	p.line("flow %s of client %s, started %s, %s", f.FlowID, f.ClientID, timeText(f.Started), f.StateStr)
	if f.Status != "" {
		p.line("status: %s", oneLine(f.Status))
	}
	if !f.Complete {
		p.line("NOT COMPLETE: the container is cut or damaged, this is what was saved")
		for i, problem := range f.Problems {
			if i == textItems {
				p.line("  and %d more", len(f.Problems)-i)
				break
			}
			p.line("  %s", oneLine(strings.TrimPrefix(problem.Member+": "+problem.Problem, ": ")))
		}
	}
	for _, d := range r.Damage {
		p.line("CANNOT BE READ: %s", oneLine(d))
	}
	p.line("asked for: %s", strings.Join(f.Request.Artifacts, ", "))
	p.line("collected: %d rows from %d sources, %d files (%s)", f.Rows, len(r.Sources), r.Uploads.Files, bytesText(r.Uploads.Bytes))
	r.textItems(p)
	for _, h := range r.Highlights {
		p.line("")
		p.line("%s (%d)", h.Title, h.Total)
		textTable(p, h.Columns, h.Rows)
		if shown := min(len(h.Rows), textRows); h.Total > int64(shown) {
			p.line("  and %d more", h.Total-int64(shown))
		}
	}
	r.textSources(p)
	r.textCustody(p)
	return p.err
}

// textItems tells how the planned items ended, and of each failure why.
func (r *Report) textItems(p *printer) {
	if r.ItemsTotal == 0 {
		return
	}
	p.line("items: %d planned: %s", r.ItemsTotal, r.ItemCounts())
	if r.Targets > 0 {
		p.line("targets: %d looked for: %s", r.Targets, r.TargetCounts())
	}
	shown := 0
	for _, i := range r.Items {
		if !i.Failure || shown == textItems {
			break
		}
		shown++
		p.line("  %-10s %s", i.Outcome, oneLine(strings.TrimRight(i.Source+" "+i.Target+": "+i.Detail, ": ")))
	}
	if r.Failed > shown {
		p.line("  and %d more that failed", r.Failed-shown)
	}
}

// ItemCounts words how the planned items ended.
func (r *Report) ItemCounts() string {
	var counts []string
	for _, o := range r.Flow.Outcomes {
		if o.Items > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", o.Items, o.Outcome))
		}
	}
	if r.Unended > 0 {
		counts = append(counts, fmt.Sprintf("%d without an outcome, since the collection was cut", r.Unended))
	}
	return strings.Join(counts, ", ")
}

// TargetCounts words how the targets of the items ended.
func (r *Report) TargetCounts() string {
	var counts []string
	for _, o := range r.Flow.Outcomes {
		if o.Targets > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", o.Targets, o.Outcome))
		}
	}
	return strings.Join(counts, ", ")
}

func (r *Report) textSources(p *printer) {
	if len(r.Sources) == 0 {
		return
	}
	p.line("")
	p.line("Results")
	empty := 0
	for _, s := range r.Sources {
		if s.Rows == 0 {
			empty++
			continue
		}
		p.line("  %8d  %s", s.Rows, s.Name)
	}
	if empty > 0 {
		p.line("  and %d sources without rows", empty)
	}
	if n := len(r.Messages) + r.MessageCut; n > 0 {
		p.line("  %d warnings and errors in the log", n)
	}
}

func (r *Report) textCustody(p *printer) {
	f := r.Flow
	p.line("")
	p.line("Custody")
	p.line("  collected by  %s %s", f.Tool.Name, f.Tool.Version)
	p.line("  times         %s to %s", timeText(f.Started), timeText(f.Ended))
	for i, c := range append([]flow.Content{f.Content}, f.Replaced...) {
		lead := ""
		if i > 0 {
			lead = "before: "
		}
		p.line("  %simported      %s from %s", lead, timeText(c.Imported), c.From)
		if c.SHA256 != "" {
			p.line("  %scontainer     %d bytes, SHA-256 %s", lead, c.Bytes, c.SHA256)
		}
		if c.SpoolSHA256 != "" {
			p.line("  %sspool         %d bytes, SHA-256 %s", lead, c.SpoolBytes, c.SpoolSHA256)
		}
	}
	p.line("  kept as       %s", r.KeptAs)
}

// textTable prints the first rows in aligned columns.
func textTable(p *printer, columns []string, rows [][]string) {
	rows = rows[:min(len(rows), textRows)]
	widths := make([]int, len(columns))
	all := [][]string{columns}
	for _, row := range rows {
		line := make([]string, len(row))
		for i, cell := range row {
			line[i] = short(command.Printable(oneLine(cell)))
		}
		all = append(all, line)
	}
	for _, line := range all {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range all {
		var b strings.Builder
		for i, cell := range line {
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		p.line("  %s", b.String())
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func short(s string) string {
	if utf8.RuneCountInString(s) <= textCell {
		return s
	}
	return string([]rune(s)[:textCell-1]) + "…"
}
