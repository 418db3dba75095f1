package container

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// csvReader reads records of at most maxLine bytes: a quote that is never closed
// must not take the rest of the member into memory.
type csvReader struct {
	csv  *csv.Reader
	in   io.Reader
	left int64 // bytes that the record may still take
}

func newCSVReader(r io.Reader) *csvReader {
	c := &csvReader{in: r}
	c.csv = csv.NewReader(c)
	c.csv.FieldsPerRecord, c.csv.ReuseRecord, c.csv.LazyQuotes = -1, true, true
	return c
}

// Read implements io.Reader for the parser.
func (c *csvReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("a record is longer than %d bytes", maxLine)
	}
	n, err := c.in.Read(p)
	c.left -= int64(n)
	return n, err
}

func (c *csvReader) read() ([]string, error) {
	c.left = maxLine
	return c.csv.Read()
}

// countCSV counts the records of a CSV member but its header.
func countCSV(r io.Reader) (n int64, err error) {
	c := newCSVReader(r)
	for {
		_, err := c.read()
		if errors.Is(err, io.EOF) {
			return max(n-1, 0), nil
		}
		if err != nil {
			return max(n-1, 0), err
		}
		n++
	}
}

// csvToJSONL turns CSV with a header into one JSON object a record. Cells stay
// text as they are; a cell beyond the header gets a numbered name.
func csvToJSONL(ctx context.Context, rc io.ReadCloser) io.ReadCloser {
	pr, pw := io.Pipe()
	go func() {
		pw.CloseWithError(errors.Join(convertCSV(ctx, rc, pw), rc.Close()))
	}()
	return pr
}

func convertCSV(ctx context.Context, r io.Reader, w io.Writer) error {
	c := newCSVReader(r)
	head, err := c.read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	keys := make([][]byte, len(head))
	for i, h := range head {
		if keys[i], err = json.Marshal(h); err != nil {
			return err
		}
	}
	out := bufio.NewWriterSize(w, 64<<10)
	for ctx.Err() == nil {
		rec, err := c.read()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return errors.Join(out.Flush(), err)
		}
		out.WriteByte('{')
		for i, cell := range rec {
			if i > 0 {
				out.WriteByte(',')
			}
			if i < len(keys) {
				out.Write(keys[i])
			} else {
				fmt.Fprintf(out, "\"_column%d\"", i+1)
			}
			out.WriteByte(':')
			b, err := json.Marshal(cell)
			if err != nil {
				return err
			}
			out.Write(b)
		}
		if _, err := out.WriteString("}\n"); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
