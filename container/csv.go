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

// countCSV counts the records of a CSV member but its header.
func countCSV(r io.Reader) (n int64, err error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.ReuseRecord, c.LazyQuotes = -1, true, true
	for {
		_, err := c.Read()
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
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.ReuseRecord, c.LazyQuotes = -1, true, true
	head, err := c.Read()
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
		rec, err := c.Read()
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
