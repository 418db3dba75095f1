// Package rows reads result rows, which are JSON objects one a line, without
// decoding what is not asked for: 5 million rows pass at the speed of the disk.
package rows

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxBytes bounds one row in memory.
const MaxBytes = 64 << 20

// Opener gives the rows of a source: *container.Reader.
type Opener interface {
	Rows(ctx context.Context, source string) (io.ReadCloser, error)
}

// ReadError is an error of reading the rows of a source.
type ReadError struct {
	Source string
	Err    error
}

// Error names the source.
func (e *ReadError) Error() string { return fmt.Sprintf("rows of %s: %v", e.Source, e.Err) }

// Unwrap returns the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// Each calls f with every line of a source that is not blank, trimmed and valid
// until f returns. The error is that of f, the cause of ctx, or a *ReadError.
func Each(ctx context.Context, r Opener, source string, f func(line []byte) error) error {
	in, err := r.Rows(ctx, source)
	if err != nil {
		return &ReadError{source, err}
	}
	defer in.Close()
	lines := bufio.NewReaderSize(in, 256<<10)
	var long []byte
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, line...); len(long) > MaxBytes {
				return &ReadError{source, fmt.Errorf("a row of more than %d bytes", MaxBytes)}
			}
			continue
		}
		if len(long) > 0 {
			line = append(long, line...)
			long = line[:0]
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			if ferr := f(text); ferr != nil {
				return ferr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &ReadError{source, err}
		}
	}
}

// Valid says whether a line is a JSON object.
func Valid(line []byte) bool { return len(line) > 0 && line[0] == '{' && json.Valid(line) }

// Cells calls f with the raw key, quotes and all, and the raw value of each
// member of a JSON object that was found valid, until f says no.
func Cells(object []byte, f func(key, value []byte) bool) {
	i := skipSpace(object, 0) + 1 // {
	for {
		i = skipSpace(object, i)
		if i >= len(object) || object[i] == '}' {
			return
		}
		keyEnd := skipValue(object, i)
		value := skipSpace(object, keyEnd)
		value = skipSpace(object, value+1) // :
		if value >= len(object) {
			return
		}
		end := skipValue(object, value)
		if !f(object[i:keyEnd], object[value:end]) {
			return
		}
		if i = skipSpace(object, end); i < len(object) && object[i] == ',' {
			i++
		}
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns where the value at i ends.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			i = min(i+1, len(b))
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ',', ' ', '\t', '\n', '\r', ':':
			if depth == 0 {
				return i
			}
			i++
			continue
		default:
			i++
			continue
		}
		if depth == 0 {
			return min(i, len(b))
		}
	}
	return len(b)
}

// Name decodes a raw key of Cells.
func Name(key []byte) string {
	if bytes.IndexByte(key, '\\') < 0 && len(key) >= 2 {
		return string(key[1 : len(key)-1])
	}
	var s string
	if json.Unmarshal(key, &s) != nil {
		return string(key)
	}
	return s
}

// Text is a raw value of Cells as people and CSV have it: text bare, null empty,
// lists and objects as compact JSON, numbers with all their digits.
func Text(value []byte) string {
	switch {
	case len(value) == 0 || string(value) == "null":
		return ""
	case value[0] == '"':
		if bytes.IndexByte(value, '\\') < 0 && len(value) >= 2 {
			return string(value[1 : len(value)-1])
		}
		var s string
		if json.Unmarshal(value, &s) == nil {
			return s
		}
	case value[0] == '{' || value[0] == '[':
		var b bytes.Buffer
		if json.Compact(&b, value) == nil {
			return b.String()
		}
	}
	return string(value)
}
