package command

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// cell is one column of a row: its name and its raw JSON value.
type cell struct {
	name  string
	value json.RawMessage
}

// cells takes a JSON object apart, keeping the order of its keys.
func cells(object []byte) ([]cell, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("a row is not a JSON object")
	}
	var out []cell
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read a row: %w", err)
		}
		name, ok := key.(string)
		if !ok {
			return nil, errors.New("a row is not a JSON object")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("read column %s: %w", name, err)
		}
		out = append(out, cell{name, value})
	}
	return out, nil
}

// text is the value for people and CSV: strings bare, null empty, lists and
// objects as compact JSON.
func (c cell) text() string {
	switch {
	case len(c.value) == 0 || string(c.value) == "null":
		return ""
	case c.value[0] == '"':
		var s string
		if json.Unmarshal(c.value, &s) == nil {
			return s
		}
	case c.value[0] == '{' || c.value[0] == '[':
		var b bytes.Buffer
		if json.Compact(&b, c.value) == nil {
			return b.String()
		}
	}
	return string(c.value)
}

// columns is the header that the first row fixed.
type columns struct {
	names   []string
	dropped []string
}

// arrange returns the texts of a row in the order of the header. Columns that
// the header does not know are noted.
func (h *columns) arrange(row []cell) []string {
	if h.names == nil {
		h.names = make([]string, 0, len(row))
		for _, c := range row {
			h.names = append(h.names, c.name)
		}
	}
	out := make([]string, len(h.names))
	for i, c := range row {
		at := i
		if at >= len(h.names) || h.names[at] != c.name {
			at = slices.Index(h.names, c.name)
		}
		if at >= 0 {
			out[at] = c.text()
		} else if len(h.dropped) < 20 && !slices.Contains(h.dropped, c.name) {
			h.dropped = append(h.dropped, c.name)
		}
	}
	return out
}

// csvWriter writes CSV as RFC 4180 has it, with line feeds.
type csvWriter struct {
	w       *csv.Writer
	head    columns
	console *Console
}

func newCSVWriter(w io.Writer, console *Console) *csvWriter {
	return &csvWriter{w: csv.NewWriter(w), console: console}
}

func (c *csvWriter) WriteRow(object []byte) error {
	row, err := cells(object)
	if err != nil {
		return err
	}
	first := c.head.names == nil
	line := c.head.arrange(row)
	if first {
		if err := c.w.Write(c.head.names); err != nil {
			return err
		}
	}
	if err := c.w.Write(line); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *csvWriter) Close() error {
	if len(c.head.dropped) > 0 {
		c.console.Warnf("columns that the first row does not have are left out of the CSV: %s (use --format jsonl for all)",
			strings.Join(c.head.dropped, ", "))
	}
	c.w.Flush()
	return c.w.Error()
}

// How much a table looks at before it fixes its columns, and how wide a
// column may get then.
const (
	tableRows   = 200
	tableBytes  = 1 << 20
	columnWidth = 60
)

// tableWriter aligns columns by the first rows and streams the rest with the
// same widths.
type tableWriter struct {
	w       io.Writer
	width   int // of the terminal, 0 when lines are not cut
	head    columns
	widths  []int
	pending [][]string
	bytes   int
}

func (t *tableWriter) WriteRow(object []byte) error {
	row, err := cells(object)
	if err != nil {
		return err
	}
	line := t.head.arrange(row)
	for i := range line {
		line[i] = strings.ReplaceAll(strings.ReplaceAll(Printable(line[i]), "\n", " "), "\t", " ")
	}
	if t.widths != nil {
		return t.line(line)
	}
	for _, s := range line {
		t.bytes += len(s)
	}
	if t.pending = append(t.pending, line); len(t.pending) >= tableRows || t.bytes >= tableBytes {
		return t.begin()
	}
	return nil
}

// Close prints what was held back.
func (t *tableWriter) Close() error {
	if t.widths != nil || t.head.names == nil {
		return nil
	}
	return t.begin()
}

func (t *tableWriter) begin() error {
	names := make([]string, len(t.head.names))
	t.widths = make([]int, len(t.head.names))
	for i, name := range t.head.names {
		names[i] = Printable(name)
		t.widths[i] = textColumns(names[i])
		for _, line := range t.pending {
			t.widths[i] = max(t.widths[i], min(columnWidth, textColumns(line[i])))
		}
	}
	if err := t.line(names); err != nil {
		return err
	}
	pending := t.pending
	t.pending = nil
	for _, line := range pending {
		if err := t.line(line); err != nil {
			return err
		}
	}
	return nil
}

func (t *tableWriter) line(texts []string) error {
	var b strings.Builder
	for i, s := range texts {
		b.WriteString(s)
		if i < len(texts)-1 {
			b.WriteString(strings.Repeat(" ", max(0, t.widths[i]-textColumns(s))+2))
		}
	}
	line := b.String()
	if t.width > 0 {
		line = cutColumns(line, t.width)
	}
	_, err := io.WriteString(t.w, strings.TrimRight(line, " ")+"\n")
	return err
}

// textColumns is how many columns of a terminal s takes.
func textColumns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cutColumns shortens s to n columns.
func cutColumns(s string, n int) string {
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > n {
			return s[:i]
		}
	}
	return s
}
