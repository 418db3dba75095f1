package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"satchel/cmd/ingest/rows"
)

// errStop ends an iteration early without being an error.
var errStop = errors.New("stop")

// selection is which rows are wanted.
type selection struct {
	sources []string
	named   bool  // each row gets _Source
	offset  int64 // rows to leave out, over all sources
	limit   int64 // rows to give, -1 for all
}

// damage counts what could not be read.
type damage struct {
	rows    int64   // lines that are no JSON object
	records int     // of uploads, log and outcomes
	fatal   []error // sources that end early
}

func (d damage) any() bool { return d.rows > 0 || d.records > 0 || len(d.fatal) > 0 }

// each calls f with every selected row, a JSON object without newline that is
// valid until f returns, and its source. What cannot be read is counted and
// does not end it.
func (sel selection) each(ctx context.Context, r rows.Opener, f func(source string, row []byte) error) (d damage, err error) {
	skip, left := sel.offset, sel.limit
	var buf []byte
	for _, source := range sel.sources {
		if left == 0 {
			return d, nil
		}
		err := rows.Each(ctx, r, source, func(line []byte) error {
			if left == 0 {
				return errStop
			}
			if skip > 0 {
				skip--
				return nil
			}
			if !rows.Valid(line) {
				d.rows++
				return nil
			}
			if left > 0 {
				left--
			}
			if sel.named {
				buf = appendNamed(buf[:0], line, source)
				line = buf
			}
			return f(source, line)
		})
		var bad *rows.ReadError
		switch {
		case errors.As(err, &bad):
			d.fatal = append(d.fatal, bad)
		case err != nil && !errors.Is(err, errStop):
			return d, err
		}
	}
	return d, nil
}

// sourceColumn tells which source a row is from; a column of that name in the
// row itself is kept under ownSourceColumn.
const (
	sourceColumn    = "_Source"
	ownSourceColumn = "__Source"
)

// appendNamed appends the row with its source as last column.
func appendNamed(dst, row []byte, source string) []byte {
	name, err := json.Marshal(source)
	if err != nil { // a string always has a form
		name = []byte(`""`)
	}
	if bytes.Contains(row, []byte(`_Source"`)) || bytes.Contains(row, []byte(`\u00`)) {
		dst = appendRenamed(dst, row)
	} else {
		dst = append(dst, row...)
	}
	dst = bytes.TrimRight(dst, " \t\r\n")
	dst = bytes.TrimRight(dst[:len(dst)-1], " \t\r\n")
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(append(dst, `"`+sourceColumn+`":`...), name...)
	return append(dst, '}')
}

// appendRenamed appends the row with its own _Source under the other name.
func appendRenamed(dst, row []byte) []byte {
	dst = append(dst, '{')
	first := true
	rows.Cells(row, func(key, value []byte) bool {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if rows.Name(key) == sourceColumn {
			key = []byte(`"` + ownSourceColumn + `"`)
		}
		dst = append(append(append(dst, key...), ':'), value...)
		return true
	})
	return append(dst, '}')
}
