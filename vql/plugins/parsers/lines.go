package parsers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"

	"satchel/vql"
)

const (
	defaultBuffer = 64 << 10
	minBuffer     = 16
	maxBuffer     = 64 << 20
	maxColumns    = 10_000
)

// lineEnd ends a record unless a query says otherwise.
var lineEnd = regexp.MustCompile(`\r?\n`)

// bufferSize checks a size that a query asks for.
func bufferSize(n int64) (int, error) {
	if n == 0 {
		return defaultBuffer, nil
	}
	if n < minBuffer || n > maxBuffer {
		return 0, fmt.Errorf("buffer_size %d is not between %d and %d: %w", n, minBuffer, maxBuffer, ErrLimit)
	}
	return int(n), nil
}

type linesArgs struct {
	Filename   []vql.Path `vql:"filename,required"`
	Accessor   string     `vql:"accessor"`
	BufferSize int64      `vql:"buffer_size"`
}

type lineRow struct {
	Line string
}

func linesPlugin() vql.Plugin {
	return vql.NewPlugin("parse_lines", func(ctx context.Context, s *vql.Scope, a linesArgs, emit func(*lineRow) bool) error {
		size, err := bufferSize(a.BufferSize)
		if err != nil {
			return err
		}
		return eachFile(ctx, s, a.Accessor, a.Filename, func(_ vql.Path, f vql.File) error {
			in := bufio.NewReaderSize(contextReader{ctx, f}, size)
			for {
				line, err := in.ReadSlice('\n')
				if len(line) > 0 && !emit(&lineRow{string(cutEnd(line))}) {
					return errStop
				}
				switch {
				case err == io.EOF:
					return nil
				case err != nil && !errors.Is(err, bufio.ErrBufferFull):
					return err
				}
			}
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads files line by line. A line longer than buffer_size, 64 KiB unless told, comes in pieces."))
}

// cutEnd removes the end of a line.
func cutEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

type splitRecordsArgs struct {
	Filenames         []vql.Path `vql:"filenames,required"`
	Accessor          string     `vql:"accessor"`
	Regex             string     `vql:"regex"`
	Columns           []string   `vql:"columns"`
	FirstRowIsHeaders bool       `vql:"first_row_is_headers"`
	Count             int64      `vql:"count"`
	RecordRegex       string     `vql:"record_regex"`
	BufferSize        int64      `vql:"buffer_size"`
}

func splitRecordsPlugin() vql.Plugin {
	return vql.NewRowsPlugin("split_records", func(ctx context.Context, s *vql.Scope, a splitRecordsArgs, emit func(vql.Row) bool) error {
		size, err := bufferSize(a.BufferSize)
		if err != nil {
			return err
		}
		sp := &splitter{columns: a.Columns, headers: a.FirstRowIsHeaders, count: int(min(max(a.Count, 0), maxColumns))}
		if a.Regex != "" {
			if sp.field, err = s.Regexp(a.Regex); err != nil {
				return err
			}
		}
		record := lineEnd
		if a.RecordRegex != "" {
			if record, err = s.Regexp(a.RecordRegex); err != nil {
				return err
			}
		}
		return eachFile(ctx, s, a.Accessor, a.Filenames, func(_ vql.Path, f vql.File) error {
			sp.names, sp.shape = nil, nil
			return records(contextReader{ctx, f}, record, size, func(b []byte) error {
				if row, ok := sp.row(string(b)); ok && !emit(row) {
					return errStop
				}
				return nil
			})
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Splits files into records by record_regex, a line end unless told, and records into columns by regex."))
}

// splitter turns records into rows.
type splitter struct {
	field   *regexp.Regexp // nil: the record is one column
	columns []string
	headers bool
	count   int // most columns, the last with all the rest; 0 for any number

	names []string // as the first record of the file tells them
	shape *vql.Columns
}

func (sp *splitter) row(record string) (vql.Row, bool) {
	parts := []string{record}
	if sp.field != nil {
		most := maxColumns + 1
		if sp.count > 0 {
			most = sp.count
		}
		parts = sp.field.Split(record, most)
		parts = parts[:min(len(parts), maxColumns)]
	}
	if sp.headers && sp.names == nil && len(sp.columns) == 0 {
		sp.names = parts
		return vql.Row{}, false
	}
	want := max(len(parts), len(sp.columns), len(sp.names))
	if sp.shape == nil || len(sp.shape.Names()) != want {
		names := make([]string, want)
		for i := range names {
			switch {
			case i < len(sp.columns):
				names[i] = sp.columns[i]
			case i < len(sp.names):
				names[i] = sp.names[i]
			default:
				names[i] = "Column" + strconv.Itoa(i)
			}
		}
		sp.shape = vql.NewColumns(names...)
	}
	values := make([]any, want)
	for i, p := range parts {
		values[i] = p
	}
	return vql.NewRow(sp.shape, values...), true
}

// records gives the pieces of a stream between matches of a separator. A piece
// longer than size comes in parts. Empty pieces are left out.
func records(r io.Reader, separator *regexp.Regexp, size int, take func([]byte) error) error {
	buf := make([]byte, 0, 2*size)
	for end := false; ; {
		for !end && len(buf) < cap(buf) {
			n, err := r.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if err == io.EOF {
				end = true
			} else if err != nil {
				return err
			}
		}
		used := 0
		for {
			at := separator.FindIndex(buf[used:])
			if at == nil || at[1] == 0 || !end && used+at[1] == len(buf) {
				break // none, or one that more bytes could make longer
			}
			if at[0] > 0 {
				if err := take(buf[used : used+at[0]]); err != nil {
					return err
				}
			}
			used += at[1]
		}
		if end {
			if used < len(buf) {
				return take(buf[used:])
			}
			return nil
		}
		if used == 0 { // a piece as long as the buffer
			used = min(size, len(buf))
			if err := take(buf[:used]); err != nil {
				return err
			}
		}
		buf = buf[:copy(buf, buf[used:])]
	}
}

type regexRecordsArgs struct {
	File       []vql.Path `vql:"file,required"`
	Regex      []string   `vql:"regex,required"`
	Accessor   string     `vql:"accessor"`
	BufferSize int64      `vql:"buffer_size"`
}

func regexRecordsPlugin() vql.Plugin {
	return vql.NewRowsPlugin("parse_records_with_regex", func(ctx context.Context, s *vql.Scope, a regexRecordsArgs, emit func(vql.Row) bool) error {
		size, err := bufferSize(a.BufferSize)
		if err != nil {
			return err
		}
		patterns := make([]*regexp.Regexp, len(a.Regex))
		shapes := make([]*vql.Columns, len(a.Regex))
		for i, text := range a.Regex {
			if patterns[i], err = s.Regexp(text); err != nil {
				return err
			}
			shapes[i] = vql.NewColumns(groupNames(patterns[i])...)
		}
		return eachFile(ctx, s, a.Accessor, a.File, func(_ vql.Path, f vql.File) error {
			return matches(contextReader{ctx, f}, patterns, size, func(i int, groups []string) error {
				values := make([]any, len(groups))
				for j, g := range groups {
					values[j] = g
				}
				if !emit(vql.NewRow(shapes[i], values...)) {
					return errStop
				}
				return nil
			})
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Finds all matches of regular expressions in files; each is a row whose columns are the named groups."))
}

// groupNames names the groups of a pattern: those that it names, or all of
// them as g1, g2 and so on if it names none.
func groupNames(re *regexp.Regexp) []string {
	var names []string
	for _, name := range re.SubexpNames()[1:] {
		if name != "" {
			names = append(names, name)
		}
	}
	if names != nil {
		return names
	}
	for i := range re.NumSubexp() {
		names = append(names, "g"+strconv.Itoa(i+1))
	}
	return names
}

// matches gives the matches of the patterns in the order of the stream for each
// buffer full. A match may be as long as size and is never cut by the buffer.
func matches(r io.Reader, patterns []*regexp.Regexp, size int, take func(pattern int, groups []string) error) error {
	buf := make([]byte, 0, 2*size)
	from := make([]int, len(patterns)) // where in buf each pattern goes on
	for end := false; ; {
		for !end && len(buf) < cap(buf) {
			n, err := r.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if err == io.EOF {
				end = true
			} else if err != nil {
				return err
			}
		}
		limit := len(buf) // a match that begins at or after it waits for more bytes
		if !end {
			limit = size
		}
		for i, re := range patterns {
			var err error
			if from[i], err = matchIn(buf, from[i], limit, re, func(g []string) error { return take(i, g) }); err != nil {
				return err
			}
		}
		if end {
			return nil
		}
		keep := max(0, limit-1) // a byte to look back at
		buf = buf[:copy(buf, buf[keep:])]
		for i := range from {
			from[i] -= keep
		}
	}
}

// matchIn gives the matches of one pattern that begin at or after from and
// before limit, and returns where to go on. The byte before from is looked at,
// so that ^ and \b mean the same in the middle of a stream.
func matchIn(buf []byte, from, limit int, re *regexp.Regexp, take func([]string) error) (int, error) {
	names := re.SubexpNames()
	named := slices.ContainsFunc(names, func(name string) bool { return name != "" })
	start := max(0, from-1)
	all := re.FindAllSubmatchIndex(buf[start:], -1)
	if len(all) > 0 && start+all[0][0] < from {
		start = from
		all = re.FindAllSubmatchIndex(buf[start:], -1)
	}
	for _, at := range all {
		if start+at[0] >= limit {
			break
		}
		var groups []string
		for i, name := range names {
			if i == 0 || named && name == "" {
				continue
			}
			if at[2*i] < 0 {
				groups = append(groups, "")
			} else {
				groups = append(groups, string(buf[start+at[2*i]:start+at[2*i+1]]))
			}
		}
		if err := take(groups); err != nil {
			return 0, err
		}
		from = start + max(at[1], at[0]+1) // an empty match must not stay
	}
	return max(from, limit), nil
}
