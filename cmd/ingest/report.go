package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"satchel/cmd/ingest/report"
	"satchel/cmd/internal/command"
	"satchel/server/store"
)

func reportCommand() *command.Command {
	return &command.Command{
		Name: "report", Usage: "sum up a collection on one page", ArgsUsage: "FLOW", MinArgs: 1, MaxArgs: 1,
		Description: "The host, what was asked, how every planned item ended, what stands out, and the custody facts.\n" +
			"Without -o a short form is printed. -o FILE.html writes one page that needs nothing else and runs nothing;\n" +
			"any other name gets the short form.",
		Examples: []command.Example{
			{Line: "ingest report F.D0VJ3C0PQ2T1K"},
			{Line: "ingest report F.D0VJ3C0PQ2T1K -o web-03.html"},
		},
		Flags: flags(storeFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
			&cli.BoolFlag{Name: "overwrite", Usage: "replace a FILE that exists"}),
		Run: makeReport, Complete: completeFlows,
	}
}

func makeReport(ctx context.Context, c *command.Context) error {
	return withFlow(ctx, c, func(s *store.Store, ev *evidence) error {
		r, err := report.Build(ctx, ev.rec, ev.Reader)
		if err != nil {
			return err
		}
		r.KeptAs = s.ContainerPath(ev.rec.ClientID, ev.rec.FlowID)
		if abs, err := filepath.Abs(r.KeptAs); err == nil {
			r.KeptAs = abs
		}
		r.Made, r.MadeBy = c.Env.Now().UTC(), "ingest "+command.Version
		out := c.String("output")
		switch {
		case c.JSON() && out == "":
			return printJSON(c, r)
		case out == "":
			return r.WriteText(c.Out())
		}
		write := r.WriteText
		if ext := strings.ToLower(filepath.Ext(out)); ext == ".html" || ext == ".htm" {
			write = r.WriteHTML
		}
		if err := writeNew(out, c.Bool("overwrite"), write); err != nil {
			return err
		}
		if c.JSON() {
			return printJSON(c, written{Path: out, Flow: ev.rec.FlowID})
		}
		c.Console.Notef("wrote %s", out)
		return nil
	})
}

// written is the answer of commands that write a file.
type written struct {
	Path string `json:"path"`
	Flow string `json:"flow_id"`
}

// writeNew writes a file whole or not at all, and never over another unless
// told so.
func writeNew(name string, overwrite bool, write func(io.Writer) error) (err error) {
	if !overwrite {
		if _, err := os.Lstat(name); err == nil {
			return command.Hintf(fmt.Errorf("%s exists", name), "--overwrite replaces it")
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".ingest-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	tmp := f.Name()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = place(tmp, name, overwrite)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), removeIfThere(tmp))
	}
	return nil
}

// place gives a finished file its name. Without overwrite a link comes first:
// unlike a rename it fails when another file took the name meanwhile.
func place(tmp, name string, overwrite bool) error {
	if overwrite {
		return os.Rename(tmp, name)
	}
	switch err := os.Link(tmp, name); {
	case err == nil:
		return os.Remove(tmp)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	return os.Rename(tmp, name) // a file system without links
}

func removeIfThere(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
