package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/internal/flow"
	"satchel/server/store"
)

// The formats of an export besides those of rows.
const formatZip = "zip"

func exportCommand() *command.Command {
	return &command.Command{
		Name: "export", Usage: "write a collection out of the store", ArgsUsage: "FLOW", MinArgs: 1, MaxArgs: 1,
		Description: "--format zip (the default) gives a whole container: the one that was imported, byte for byte, or for a\n" +
			"cut one what `ingest recover` makes. --format jsonl and csv give a directory with one file for each source\n" +
			"below results/, and flow.json, uploads, log and outcomes beside it; with -o NAME.jsonl or NAME.csv one file with all rows,\n" +
			"each with the column _Source. Nothing that exists is overwritten.",
		Examples: []command.Example{
			{Line: "ingest export F.D0VJ3C0PQ2T1K -o web-03.zip"},
			{Line: "ingest export F.D0VJ3C0PQ2T1K -o web-03 --format csv"},
		},
		Flags: flags(storeFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `PATH`"},
			command.ChoiceFlag("format", "what to write", formatZip, command.FormatJSONL, command.FormatCSV)),
		Run: export, Complete: completeFlows,
	}
}

func export(ctx context.Context, c *command.Context) error {
	out := c.String("output")
	if out == "" {
		return command.Usagef("export: say with -o PATH where to write")
	}
	format := c.Choice("format")
	ext := strings.TrimPrefix(strings.ToLower(filepath.Ext(out)), ".")
	single := ext == command.FormatJSONL || ext == command.FormatCSV
	if single && !c.IsSet("format") {
		format = ext
	}
	return withFlow(ctx, c, func(s *store.Store, ev *evidence) error {
		if _, err := os.Lstat(out); err == nil {
			return command.Hintf(fmt.Errorf("%s exists", out), "give another name: an export overwrites nothing")
		}
		var d damage
		var err error
		switch {
		case format == formatZip:
			err = exportZip(ctx, s, ev, out)
		case single:
			err = writeNew(out, false, func(w io.Writer) error {
				var err error
				d, err = exportRows(ctx, w, ev, format, allSources(ev))
				return err
			})
		default:
			d, err = exportDirectory(ctx, ev, out, format)
		}
		if err != nil {
			return err
		}
		if c.JSON() {
			err = printJSON(c, written{Path: out, Flow: ev.rec.FlowID})
		} else {
			c.Console.Notef("wrote %s", out)
		}
		if err == nil && !ev.rec.Complete && format == formatZip {
			return command.Exit(command.Salvaged, nil)
		}
		return errors.Join(err, tellDamage(c, d))
	})
}

// exportZip copies a whole container, or makes a whole one from a cut one.
func exportZip(ctx context.Context, s *store.Store, ev *evidence, out string) error {
	if !ev.Info().Complete {
		path := s.ContainerPath(ev.rec.ClientID, ev.rec.FlowID)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			path += container.SpoolSuffix
		}
		_, err := container.Recover(ctx, path, out, container.ReadOptions{})
		return err
	}
	zip, _, files, err := s.OpenContainer(ctx, ev.rec.ClientID, ev.rec.FlowID)
	if err != nil {
		return err
	}
	defer closing(&err, files)
	return writeNew(out, false, func(w io.Writer) error {
		_, err := io.Copy(w, contextReader{ctx, zip})
		return err
	})
}

// contextReader stops a copy when the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

func allSources(ev *evidence) selection {
	sel := selection{named: true, limit: -1}
	for _, s := range ev.Sources() {
		sel.sources = append(sel.sources, s.Name)
	}
	return sel
}

// exportRows writes the selected rows as JSONL or CSV.
func exportRows(ctx context.Context, w io.Writer, ev *evidence, format string, sel selection) (damage, error) {
	buf := bufio.NewWriterSize(w, 256<<10)
	if format == command.FormatJSONL {
		d, err := sel.each(ctx, ev, func(_ string, row []byte) error {
			if _, err := buf.Write(row); err != nil {
				return err
			}
			return buf.WriteByte('\n')
		})
		return d, errors.Join(err, buf.Flush())
	}
	var columns columnSet
	if _, err := sel.each(ctx, ev, columns.add); err != nil {
		return damage{}, err
	}
	out := newCSVRows(buf, columns)
	d, err := sel.each(ctx, ev, func(_ string, row []byte) error { return out.WriteRow(row) })
	return d, errors.Join(err, out.Close(), buf.Flush())
}

// exportDirectory writes a directory with a file for each source and the rest
// of the flow beside them. It appears under its name when it is whole.
func exportDirectory(ctx context.Context, ev *evidence, out, format string) (damage, error) {
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(out)), ".ingest-*")
	if err != nil {
		return damage{}, fmt.Errorf("export: %w", err)
	}
	d, err := fillDirectory(ctx, ev, tmp, format)
	if err == nil {
		err = os.Rename(tmp, out)
	}
	if err != nil {
		return d, errors.Join(fmt.Errorf("export: %w", err), os.RemoveAll(tmp))
	}
	return d, nil
}

func fillDirectory(ctx context.Context, ev *evidence, dir, format string) (d damage, err error) {
	x, err := newExtractor(dir)
	if err != nil {
		return d, err
	}
	defer closing(&err, x)
	for _, s := range ev.Sources() {
		sel := selection{sources: []string{s.Name}, limit: -1}
		err := x.write(x.safeName([]string{"results", s.Name})+"."+format, func(w io.Writer) error {
			one, err := exportRows(ctx, w, ev, format, sel)
			d.rows += one.rows
			d.fatal = append(d.fatal, one.fatal...)
			return err
		})
		if err != nil {
			return d, err
		}
	}
	err = x.write("flow.json", func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(ev.rec)
	})
	if err != nil {
		return d, err
	}
	for name, list := range lists(ctx, ev, &d) {
		if err := x.write(name, func(w io.Writer) error {
			buf := bufio.NewWriter(w)
			return errors.Join(list(json.NewEncoder(buf).Encode), buf.Flush())
		}); err != nil {
			return d, err
		}
	}
	if ctx.Err() != nil {
		return d, context.Cause(ctx)
	}
	return d, nil
}

// lists gives what stands beside the results, by file: each calls add with every
// record. Records that cannot be read are counted in d.
func lists(ctx context.Context, ev *evidence, d *damage) map[string]func(add func(any) error) error {
	return map[string]func(add func(any) error) error{
		"uploads.jsonl": func(add func(any) error) error {
			bad, err := eachFile(ctx, ev.Reader, func(u container.UploadInfo) error { return add(describeUpload(u)) })
			d.records += bad
			return err
		},
		"log.jsonl": func(add func(any) error) error {
			for l, err := range ev.Logs(ctx) {
				if err != nil {
					d.records++
					continue
				}
				if err := add(logLine{l.Time.UTC().Format(timeLayout), l.Level, l.Source, l.Message}); err != nil {
					return err
				}
			}
			return nil
		},
		"outcomes.jsonl": func(add func(any) error) error {
			for rep, err := range ev.Reports(ctx) {
				if err != nil {
					d.records++
					return nil
				}
				if err := add(rep); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

const timeLayout = "2006-01-02T15:04:05.999999999Z07:00"

// logLine is one message of an exported log.
type logLine struct {
	Time    string     `json:"time"`
	Level   flow.Level `json:"level"`
	Source  string     `json:"source,omitempty"`
	Message string     `json:"message"`
}

// write makes a new file below the directory.
func (x *extractor) write(name string, fill func(io.Writer) error) error {
	_, f, err := x.create(name)
	if err != nil {
		return err
	}
	err = fill(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
