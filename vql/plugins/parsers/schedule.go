package parsers

import (
	"context"
	"fmt"
	"strings"

	"satchel/vql"
)

// maxText bounds one line of a configuration file, in bytes.
const maxText = 64 << 10

// cronRow is one entry of a crontab. Event is @reboot and the like; then the
// five fields of the time are empty.
type cronRow struct {
	Event       string
	Minute      string
	Hour        string
	DayOfMonth  string
	Month       string
	DayOfWeek   string
	User        string // empty in the crontab of a user
	Command     string
	Environment *vql.Dict // the variables that the file sets above the entry
	Line        int64
	OSPath      vql.Path
}

type crontabArgs struct {
	Filename []vql.Path `vql:"filename,required"`
	Accessor string     `vql:"accessor"`
	System   bool       `vql:"system"`
}

func crontabPlugin() vql.Plugin {
	return vql.NewPlugin("parse_crontab", func(ctx context.Context, s *vql.Scope, a crontabArgs, emit func(*cronRow) bool) error {
		return eachFile(ctx, s, a.Accessor, a.Filename, func(p vql.Path, f vql.File) error {
			problems := &counted{s: s, path: p}
			defer problems.end()
			c := &crontab{system: a.System, env: vql.NewDict()}
			return eachLine(contextReader{ctx, f}, maxText, problems.warn, func(n int64, line []byte) error {
				row, err := c.line(string(line))
				if err != nil {
					problems.warn(fmt.Errorf("line %d: %w", n, err))
				}
				if row == nil {
					return nil
				}
				if row.Line, row.OSPath = n, p; !emit(row) {
					return errStop
				}
				return nil
			})
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads crontabs; with system=TRUE those of /etc, which name a user before the command."))
}

// crontab reads the lines of one file.
type crontab struct {
	system bool
	env    *vql.Dict
	shared bool // env is in a row that was emitted
}

// line reads one line: nil if it is no entry.
func (c *crontab) line(text string) (*cronRow, error) {
	text = strings.Trim(text, " \t")
	if text == "" || text[0] == '#' {
		return nil, nil
	}
	if name, value, ok := assignment(text); ok {
		if c.shared {
			c.env, c.shared = c.env.Copy(), false
		}
		if c.env.Len() < 1000 {
			c.env.Set(name, value)
		}
		return nil, nil
	}
	row := &cronRow{}
	fields := []*string{&row.Minute, &row.Hour, &row.DayOfMonth, &row.Month, &row.DayOfWeek}
	if text[0] == '@' {
		fields = []*string{&row.Event}
	}
	if c.system {
		fields = append(fields, &row.User)
	}
	for _, f := range fields {
		*f, text = cutField(text)
	}
	if text == "" {
		return nil, fmt.Errorf("no command: %w", ErrFormat)
	}
	row.Command, row.Environment, c.shared = text, c.env, true
	return row, nil
}

// cutField takes the first field off a line.
func cutField(text string) (field, rest string) {
	i := strings.IndexAny(text, " \t")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimLeft(text[i:], " \t")
}

// assignment reads NAME=VALUE, with blanks around the sign and quotes around
// either side. An entry has a blank before its first = as a rule, and a field of
// a time in front.
func assignment(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	if !ok {
		return "", "", false
	}
	name = unquote(strings.TrimRight(name, " \t"))
	if name == "" || strings.ContainsAny(name, " \t*@/,") || name[0] >= '0' && name[0] <= '9' {
		return "", "", false
	}
	return name, unquote(strings.Trim(value, " \t")), true
}

func unquote(text string) string {
	if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return text[1 : n-1]
	}
	return text
}

// settingRow is one setting of a unit file or an INI file.
type settingRow struct {
	Section string
	Key     string
	Value   string
	Line    int64
	OSPath  vql.Path
}

func unitPlugin() vql.Plugin {
	return settingsPlugin("parse_systemd_unit", true, "Reads unit files of systemd: each setting with its section. Lines that a backslash continues are joined.")
}

func iniPlugin() vql.Plugin {
	return settingsPlugin("parse_ini", false, "Reads INI files: each setting with its section.")
}

func settingsPlugin(name string, continued bool, doc string) vql.Plugin {
	return vql.NewPlugin(name, func(ctx context.Context, s *vql.Scope, a filesArgs, emit func(*settingRow) bool) error {
		return eachFile(ctx, s, a.Accessor, a.Filename, func(p vql.Path, f vql.File) error {
			problems := &counted{s: s, path: p}
			defer problems.end()
			u := &settings{continued: continued, take: func(row *settingRow) error {
				if row.OSPath = p; !emit(row) {
					return errStop
				}
				return nil
			}}
			err := eachLine(contextReader{ctx, f}, maxText, problems.warn, func(n int64, line []byte) error {
				err := u.line(n, string(line), problems.warn)
				return err
			})
			if err != nil {
				return err
			}
			return u.flush(problems.warn)
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc(doc))
}

// settings reads the lines of one file.
type settings struct {
	continued bool
	take      func(*settingRow) error
	section   string
	held      string // what a backslash continues
	heldAt    int64
	holding   bool
}

func (u *settings) line(n int64, text string, warn func(error)) error {
	trimmed := strings.TrimSpace(text)
	if trimmed != "" && (trimmed[0] == '#' || trimmed[0] == ';') {
		return nil // comments may stand between continued lines
	}
	if u.holding {
		text = u.held + " " + trimmed
	} else {
		u.heldAt = n
		text = trimmed
	}
	u.held, u.holding = "", false
	if rest, ok := strings.CutSuffix(text, `\`); ok && u.continued {
		if len(rest) > maxText {
			return fmt.Errorf("line %d goes on for more than %d bytes: %w", u.heldAt, maxText, ErrLimit)
		}
		u.held, u.holding = strings.TrimRight(rest, " \t"), true
		return nil
	}
	return u.setting(text, warn)
}

// flush ends a file whose last line a backslash continues into nothing.
func (u *settings) flush(warn func(error)) error {
	if !u.holding {
		return nil
	}
	u.holding = false
	return u.setting(u.held, warn)
}

func (u *settings) setting(text string, warn func(error)) error {
	if text == "" {
		return nil
	}
	if text[0] == '[' && strings.HasSuffix(text, "]") {
		u.section = text[1 : len(text)-1]
		return nil
	}
	key, value, ok := strings.Cut(text, "=")
	if !ok && u.continued {
		warn(fmt.Errorf("line %d has no = : %w", u.heldAt, ErrFormat))
		return nil
	}
	return u.take(&settingRow{Section: u.section, Key: strings.TrimSpace(key), Value: strings.TrimSpace(value), Line: u.heldAt})
}
