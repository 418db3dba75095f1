package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
)

// The formats in which rows can be written.
const (
	FormatJSON  = "json"  // one JSON array
	FormatJSONL = "jsonl" // one object per line
	FormatCSV   = "csv"   // a header of the first row's columns, then the rows
	FormatTable = "table" // aligned columns for people
)

// RowWriter writes rows, each a JSON object, in one format. Close ends the
// result: it must be called once, also after an error and when there was no
// row.
type RowWriter interface {
	WriteRow(object []byte) error
	Close() error
}

// FormatFlag is the flag --format; read it with Context.Format.
func FormatFlag(preferred string) cli.Flag {
	words := []string{preferred}
	for _, f := range []string{FormatJSON, FormatJSONL, FormatCSV, FormatTable} {
		if f != preferred {
			words = append(words, f)
		}
	}
	return ChoiceFlag("format", "how to print rows", words...)
}

// Format returns the format that was asked for: --format, else jsonl with
// --json, else the flag's default.
func (c *Context) Format() string {
	if c.JSON() && !c.IsSet("format") {
		return FormatJSONL
	}
	return c.Choice("format")
}

// Rows returns a writer of rows on standard output.
func (c *Context) Rows(format string) RowWriter { return newRowWriter(c.out, format, c.Env, c.Console) }

// Listing returns a writer for a listing: a table, or JSONL with --json. Rows
// can be any values that marshal to a JSON object.
func (c *Context) Listing() *Listing {
	if c.JSON() {
		return &Listing{c.Rows(FormatJSONL)}
	}
	return &Listing{c.Rows(FormatTable)}
}

// Listing writes values as rows.
type Listing struct{ rows RowWriter }

// Add writes one value, whose JSON must be an object.
func (l *Listing) Add(v any) error {
	object, err := MarshalJSON(v)
	if err != nil {
		return err
	}
	return l.rows.WriteRow(object)
}

// MarshalJSON encodes v on one line, with <, > and & as they are.
func MarshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Close ends the listing.
func (l *Listing) Close() error { return l.rows.Close() }

func newRowWriter(w io.Writer, format string, env *Env, console *Console) RowWriter {
	switch format {
	case FormatJSON:
		return &arrayWriter{w: w}
	case FormatCSV:
		return newCSVWriter(w, console)
	case FormatTable:
		width := 0
		if env.StdoutTerminal {
			width = env.Width
		}
		return &tableWriter{w: w, width: width}
	}
	return &lineWriter{w: w}
}

// lineWriter writes one object per line.
type lineWriter struct{ w io.Writer }

func (l *lineWriter) WriteRow(object []byte) error {
	_, err := l.w.Write(append(object[:len(object):len(object)], '\n'))
	return err
}

func (l *lineWriter) Close() error { return nil }

// arrayWriter writes one JSON array with a row on each line.
type arrayWriter struct {
	w   io.Writer
	any bool
}

func (a *arrayWriter) WriteRow(object []byte) error {
	lead := ",\n "
	if !a.any {
		lead, a.any = "[\n ", true
	}
	if _, err := io.WriteString(a.w, lead); err != nil {
		return err
	}
	_, err := a.w.Write(object)
	return err
}

func (a *arrayWriter) Close() error {
	tail := "\n]\n"
	if !a.any {
		tail = "[]\n"
	}
	_, err := io.WriteString(a.w, tail)
	return err
}
