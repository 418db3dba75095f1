package report

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"satchel/cmd/internal/command"
)

//go:embed page.html
var page string

// WriteHTML writes the report as one page that needs nothing from outside and
// runs nothing.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"text":  command.Printable, // control and direction characters as escapes
		"time":  timeText,
		"bytes": bytesText,
		"join":  func(words []string) string { return command.Printable(strings.Join(words, ", ")) },
	}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
