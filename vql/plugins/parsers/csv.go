package parsers

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"satchel/vql"
)

// maxRecord bounds one record of CSV and one line of JSON, in bytes.
const maxRecord = 64 << 20

type csvArgs struct {
	Filename    []vql.Path `vql:"filename,required"`
	Accessor    string     `vql:"accessor"`
	AutoHeaders bool       `vql:"auto_headers"`
	Separator   string     `vql:"separator"`
	Comment     string     `vql:"comment"`
	Columns     []string   `vql:"columns"`
}

func csvPlugin() vql.Plugin {
	return vql.NewRowsPlugin("parse_csv", func(ctx context.Context, s *vql.Scope, a csvArgs, emit func(vql.Row) bool) error {
		separator, err := oneRune("separator", a.Separator, ',')
		if err != nil {
			return err
		}
		comment, err := oneRune("comment", a.Comment, 0)
		if err != nil {
			return err
		}
		return eachFile(ctx, s, a.Accessor, a.Filename, func(p vql.Path, f vql.File) error {
			problems := &counted{s: s, path: p}
			defer problems.end()
			in := csv.NewReader(&bounded{r: contextReader{ctx, f}})
			in.Comma, in.Comment, in.FieldsPerRecord, in.LazyQuotes, in.ReuseRecord = separator, comment, -1, true, true
			return csvRows(in, a, problems.warn, emit)
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads CSV files. The first record names the columns, unless columns or auto_headers is given."))
}

func oneRune(name, text string, otherwise rune) (rune, error) {
	if text == "" {
		return otherwise, nil
	}
	if text == `\t` {
		return '\t', nil
	}
	r, n := utf8.DecodeRuneInString(text)
	if n != len(text) || r == utf8.RuneError || strings.ContainsRune("\"\r\n", r) {
		return 0, fmt.Errorf("%s %q must be one character", name, text)
	}
	return r, nil
}

// bounded stops a stream in which no line ends for more than maxRecord bytes,
// because the reader of CSV keeps a whole line.
type bounded struct {
	r    io.Reader
	line int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if i := strings.LastIndexByte(string(p[:n]), '\n'); i >= 0 {
		b.line = n - i - 1
	} else if b.line += n; b.line > maxRecord {
		return 0, fmt.Errorf("a line of more than %d bytes: %w", maxRecord, ErrLimit)
	}
	return n, err
}

func csvRows(in *csv.Reader, a csvArgs, warn func(error), emit func(vql.Row) bool) error {
	names := a.Columns
	var shape *vql.Columns
	for {
		record, err := in.Read()
		if err == io.EOF {
			return nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) && !errors.Is(err, ErrLimit) {
			warn(err)
			continue
		}
		if err != nil {
			return err
		}
		if len(record) > maxColumns {
			warn(fmt.Errorf("record with %d fields: %w", len(record), ErrLimit))
			record = record[:maxColumns]
		}
		if names == nil && !a.AutoHeaders {
			names = headers(record)
			continue
		}
		if want := max(len(names), len(record)); shape == nil || len(shape.Names()) != want {
			shape = vql.NewColumns(numbered(names, want)...)
		}
		values := make([]any, len(shape.Names()))
		for i, cell := range record {
			values[i] = cellValue(cell)
		}
		if !emit(vql.NewRow(shape, values...)) {
			return errStop
		}
	}
}

// headers takes the names of columns from a record: without a byte order mark,
// and each once.
func headers(record []string) []string {
	names := make([]string, 0, len(record))
	for i, name := range record {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff")
		}
		if name = strings.TrimSpace(name); name == "" || slices.Contains(names, name) {
			name = "Column" + strconv.Itoa(i)
		}
		names = append(names, name)
	}
	return names
}

func numbered(names []string, want int) []string {
	out := slices.Clone(names)
	for i := len(out); i < want; i++ {
		out = append(out, "Column"+strconv.Itoa(i))
	}
	return out
}

// cellValue reads a cell as Velociraptor writes them: numbers, true and false,
// base64:, objects and lists as JSON. A space in front says that the rest is
// text although it looks like one of these.
func cellValue(cell string) any {
	if cell == "" {
		return ""
	}
	switch c := cell[0]; {
	case c == ' ':
		if rest := cell[1:]; special(rest) {
			return rest
		}
	case c == '-' || c >= '0' && c <= '9':
		if n, err := strconv.ParseInt(cell, 10, 64); err == nil && strconv.FormatInt(n, 10) == cell {
			return n
		}
		if n, err := strconv.ParseUint(cell, 10, 64); err == nil && strconv.FormatUint(n, 10) == cell {
			return n
		}
		if f, err := strconv.ParseFloat(cell, 64); err == nil && strings.Contains(cell, ".") && strconv.FormatFloat(f, 'f', -1, 64) == cell {
			return f
		}
	case c == '{' || c == '[':
		if v, err := vql.ParseJSON([]byte(cell)); err == nil {
			return v
		}
	case cell == "true":
		return true
	case cell == "false":
		return false
	case strings.HasPrefix(cell, "base64:"):
		if b, err := base64.StdEncoding.DecodeString(cell[len("base64:"):]); err == nil {
			return string(b)
		}
	}
	return cell
}

// special says whether a text would be read as something else than text.
func special(text string) bool {
	if text == "" {
		return false
	}
	if text[0] == ' ' {
		return true
	}
	_, isText := cellValue(text).(string)
	return !isText || strings.HasPrefix(text, "base64:") || strings.HasPrefix(text, "inf") || text[0] == '{' || text[0] == '[' || text[0] >= '0' && text[0] <= '9' || text[0] == '-'
}

type jsonlArgs struct {
	Filename vql.Path `vql:"filename,required"`
	Accessor string   `vql:"accessor"`
}

func jsonlPlugin() vql.Plugin {
	return vql.NewRowsPlugin("parse_jsonl", func(ctx context.Context, s *vql.Scope, a jsonlArgs, emit func(vql.Row) bool) error {
		return eachFile(ctx, s, a.Accessor, []vql.Path{a.Filename}, func(p vql.Path, f vql.File) error {
			problems := &counted{s: s, path: p}
			defer problems.end()
			var sh shaper
			return eachLine(contextReader{ctx, f}, maxRecord, problems.warn, func(n int64, line []byte) error {
				if len(line) == 0 {
					return nil
				}
				v, err := vql.ParseJSON(line)
				if err != nil {
					problems.warn(fmt.Errorf("line %d: %w", n, err))
					return nil
				}
				d, ok := v.(*vql.Dict)
				if !ok {
					d = vql.NewDict().Set("_value", v)
				}
				if !emit(sh.row(d)) {
					return errStop
				}
				return nil
			})
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads a file that has a JSON object on each line; each is a row."))
}

// shaper makes rows of dictionaries and shares the shape of equal neighbours.
type shaper struct {
	shape *vql.Columns
}

func (sh *shaper) row(d *vql.Dict) vql.Row {
	values := make([]any, 0, d.Len())
	same := sh.shape != nil && len(sh.shape.Names()) == d.Len()
	for key, value := range d.All() {
		same = same && sh.shape.Names()[len(values)] == key
		values = append(values, value)
	}
	if !same {
		sh.shape = vql.NewColumns(d.Keys()...)
	}
	return vql.NewRow(sh.shape, values...)
}
