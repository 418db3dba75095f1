package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"

	"satchel/cmd/ingest/rows"
)

// maxColumns bounds the header of a CSV file, whose columns a hostile container
// may name one by one.
const maxColumns = 20_000

// columnSet collects the names of columns in the order of their first
// appearance.
type columnSet struct {
	names []string
	index map[string]int
}

// add notes the columns of a row.
func (s *columnSet) add(_ string, row []byte) error {
	if s.index == nil {
		s.index = make(map[string]int)
	}
	var err error
	rows.Cells(row, func(key, _ []byte) bool {
		if len(key) >= 2 && bytes.IndexByte(key, '\\') < 0 {
			if _, ok := s.index[string(key[1:len(key)-1])]; ok { // most keys, without making a string
				return true
			}
		}
		name := rows.Name(key)
		if _, ok := s.index[name]; ok {
			return true
		}
		if len(s.names) == maxColumns {
			err = fmt.Errorf("more than %d columns: too many for CSV, use --format jsonl", maxColumns)
			return false
		}
		s.index[name] = len(s.names)
		s.names = append(s.names, name)
		return true
	})
	return err
}

// csvRows writes rows under a header that has every column of every row: RFC
// 4180 with line feeds. Text is as it is in the evidence, never altered for the
// sake of a spreadsheet; null is empty; lists and objects are compact JSON;
// numbers keep their digits.
type csvRows struct {
	w       *csv.Writer
	columns columnSet
	begun   bool
	line    []string
}

func newCSVRows(w io.Writer, columns columnSet) *csvRows {
	return &csvRows{w: csv.NewWriter(w), columns: columns, line: make([]string, len(columns.names))}
}

// WriteRow writes a row whose columns are all known.
func (c *csvRows) WriteRow(row []byte) error {
	if err := c.header(); err != nil {
		return err
	}
	clear(c.line)
	rows.Cells(row, func(key, value []byte) bool {
		if i, ok := c.columns.index[rows.Name(key)]; ok {
			c.line[i] = rows.Text(value)
		}
		return true
	})
	return c.w.Write(c.line)
}

func (c *csvRows) header() error {
	if c.begun || len(c.columns.names) == 0 {
		return nil
	}
	c.begun = true
	return c.w.Write(c.columns.names)
}

// Close writes what is buffered.
func (c *csvRows) Close() error {
	if err := c.header(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}
