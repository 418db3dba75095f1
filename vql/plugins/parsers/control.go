package parsers

import (
	"context"
	"fmt"
	"strings"

	"satchel/vql"
)

// Limits of one paragraph of a control file.
const (
	maxParagraph = 4 << 20 // bytes
	maxFields    = 1000
)

func controlPlugin() vql.Plugin {
	return vql.NewRowsPlugin("parse_control", func(ctx context.Context, s *vql.Scope, a filesArgs, emit func(vql.Row) bool) error {
		return eachFile(ctx, s, a.Accessor, a.Filename, func(p vql.Path, f vql.File) error {
			problems := &counted{s: s, path: p}
			defer problems.end()
			var sh shaper
			c := &control{warn: problems.warn, take: func(d *vql.Dict) error {
				if !emit(sh.row(d)) {
					return errStop
				}
				return nil
			}}
			if err := eachLine(contextReader{ctx, f}, maxText, problems.warn, c.line); err != nil {
				return err
			}
			return c.flush()
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads control files, such as the package databases of dpkg and apk: paragraphs of fields, each paragraph a row."))
}

// control reads the lines of one file. Fields are "Name: value"; a line that
// begins with a blank continues the field above.
type control struct {
	warn func(error)
	take func(*vql.Dict) error

	fields []controlField
	size   int
	over   bool // this paragraph is over a limit
}

type controlField struct {
	name  string
	value strings.Builder
}

func (c *control) line(n int64, b []byte) error {
	line := string(b)
	if strings.TrimSpace(line) == "" {
		return c.flush()
	}
	if c.size += len(line); c.size > maxParagraph || len(c.fields) > maxFields {
		if !c.over {
			c.warn(fmt.Errorf("line %d: the rest of the paragraph is left out: %w", n, ErrLimit))
		}
		c.over = true
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		if len(c.fields) == 0 {
			c.warn(fmt.Errorf("line %d continues nothing: %w", n, ErrFormat))
			return nil
		}
		v := &c.fields[len(c.fields)-1].value
		v.WriteByte('\n')
		if line = line[1:]; line != "." {
			v.WriteString(line)
		}
		return nil
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		c.warn(fmt.Errorf("line %d has no name: %w", n, ErrFormat))
		return nil
	}
	c.fields = append(c.fields, controlField{name: name})
	c.fields[len(c.fields)-1].value.WriteString(strings.TrimSpace(value))
	return nil
}

// flush ends a paragraph.
func (c *control) flush() error {
	if len(c.fields) == 0 {
		c.size, c.over = 0, false
		return nil
	}
	d := vql.NewDict()
	for i := range c.fields {
		f := &c.fields[i]
		if old, ok := d.Get(f.name); ok { // apk repeats names: keep all
			if text, ok := old.(string); ok {
				d.Update(f.name, text+"\n"+f.value.String())
				continue
			}
		}
		d.Set(f.name, f.value.String())
	}
	c.fields, c.size, c.over = nil, 0, false
	return c.take(d)
}
