package parsers

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"satchel/vql"
)

// auditRow is one record of the audit log. The records of one event have the
// same Sequence.
type auditRow struct {
	Timestamp time.Time
	Sequence  uint64
	Type      string
	Node      string
	Data      *vql.Dict
}

type auditdArgs struct {
	Filename   []vql.Path `vql:"filename,required"`
	Accessor   string     `vql:"accessor"`
	BufferSize int64      `vql:"buffer_size"`
}

func auditdPlugin() vql.Plugin {
	return vql.NewPlugin("parse_auditd", func(ctx context.Context, s *vql.Scope, a auditdArgs, emit func(*auditRow) bool) error {
		size, err := bufferSize(a.BufferSize)
		if err != nil {
			return err
		}
		return eachFile(ctx, s, a.Accessor, a.Filename, func(p vql.Path, f vql.File) error {
			problems := &counted{s: s, path: p}
			defer problems.end()
			return eachLine(contextReader{ctx, f}, size, problems.warn, func(n int64, line []byte) error {
				if len(line) == 0 {
					return nil
				}
				row, err := parseAudit(string(line))
				if err != nil {
					problems.warn(fmt.Errorf("line %d: %w", n, err))
					return nil
				}
				if !emit(row) {
					return errStop
				}
				return nil
			})
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads logs of the Linux audit daemon: each record with its fields, texts that are written in hex decoded."))
}

// parseAudit reads "[node=N ]type=T msg=audit(SECONDS.MS:SEQUENCE): fields".
func parseAudit(line string) (*auditRow, error) {
	row := &auditRow{Data: vql.NewDict()}
	rest := line
	if node, ok := strings.CutPrefix(rest, "node="); ok {
		row.Node, rest, _ = strings.Cut(node, " ")
	}
	kind, rest, ok := strings.Cut(rest, " msg=audit(")
	if kind, isType := strings.CutPrefix(kind, "type="); isType && ok {
		row.Type = kind
	} else {
		return nil, fmt.Errorf("audit record: %w", ErrFormat)
	}
	stamp, rest, ok := strings.Cut(rest, "):")
	at, sequence, ok2 := strings.Cut(stamp, ":")
	seconds, err := strconv.ParseFloat(at, 64)
	if !ok || !ok2 || err != nil || seconds < 0 || seconds > maxSeconds {
		return nil, fmt.Errorf("audit record: time %.40q: %w", stamp, ErrFormat)
	}
	if row.Sequence, err = strconv.ParseUint(sequence, 10, 64); err != nil {
		return nil, fmt.Errorf("audit record: sequence %.40q: %w", sequence, ErrFormat)
	}
	row.Timestamp = time.UnixMilli(int64(seconds*1000 + 0.5)).UTC()
	auditFields(row.Type, strings.ReplaceAll(rest, "\x1d", " "), row.Data, 0)
	return row, nil
}

// auditFields reads name=value pairs. A value may stand in quotes; one in
// single quotes holds pairs itself.
func auditFields(kind, text string, into *vql.Dict, depth int) {
	for text = strings.TrimLeft(text, " "); text != "" && into.Len() < maxFields; text = strings.TrimLeft(text, " ") {
		i := strings.IndexAny(text, "= ")
		if i < 0 {
			return
		}
		if text[i] == ' ' {
			text = text[i:]
			continue
		}
		name, value := text[:i], text[i+1:]
		switch {
		case strings.HasPrefix(value, `"`):
			value, text, _ = strings.Cut(value[1:], `"`)
		case strings.HasPrefix(value, "'"):
			value, text, _ = strings.Cut(value[1:], "'")
			if depth == 0 && strings.Contains(value, "=") {
				auditFields(kind, value, into, 1)
				continue
			}
		default:
			value, text, _ = strings.Cut(value, " ")
			value = auditText(kind, name, value)
		}
		into.Set(name, value)
	}
}

// auditText decodes the value of a field that is written in hex because of the
// bytes that it holds.
func auditText(kind, name, value string) string {
	switch name {
	case "proctitle", "comm", "exe", "name", "cwd", "cmd", "path", "key", "acct", "data", "dir", "watch", "old-disk", "new-disk":
	default:
		if kind != "EXECVE" || len(name) < 2 || name[0] != 'a' || name[1] < '0' || name[1] > '9' {
			return value
		}
	}
	b, err := hex.DecodeString(value)
	if err != nil || len(b) == 0 {
		return value
	}
	if name == "proctitle" {
		return strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " ")
	}
	return string(b)
}
