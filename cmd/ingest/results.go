package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"satchel/cmd/ingest/rows"
	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/server/store"
)

func resultsCommand() *command.Command {
	return &command.Command{
		Name: "results", Usage: "print the rows of a collection", ArgsUsage: "FLOW [SOURCE]", MinArgs: 1, MaxArgs: 2,
		Description: "SOURCE is Artifact or Artifact/Source. Without it, and for an artifact with several sources, the rows\n" +
			"of all of them are printed, each with the column _Source.\n" +
			"CSV has every column that any of the printed rows has; null is an empty cell, lists and objects are JSON.",
		Examples: []command.Example{
			{Line: "ingest results F.D0VJ3C0PQ2T1K Linux.Sys.Pslist --format table"},
			{Line: "ingest results F.D0VJ3C0PQ2T1K --format csv > all.csv"},
			{Line: "ingest results F.D0VJ3C0PQ2T1K Linux.Sys.Users --offset 100 --limit 50"},
		},
		Flags: flags(storeFlag(), command.FormatFlag(command.FormatJSONL),
			&cli.Int64Flag{Name: "offset", Usage: "leave out the first `N` rows"},
			&cli.Int64Flag{Name: "limit", Usage: "print at most `N` rows", Value: -1, DefaultText: "all"}),
		Run: printResults, Complete: completeFlows,
	}
}

func printResults(ctx context.Context, c *command.Context) error {
	sel := selection{offset: c.Int64("offset"), limit: c.Int64("limit")}
	if sel.offset < 0 || sel.limit < 0 && c.IsSet("limit") {
		return command.Usagef("--offset and --limit count rows: they are not negative")
	}
	return withFlow(ctx, c, func(_ *store.Store, ev *evidence) error {
		var err error
		sel.sources, sel.named, err = chooseSources(ev.Sources(), c.Args().Get(1))
		if err != nil {
			return err
		}
		d, err := writeRows(ctx, c, ev, sel)
		if err != nil {
			return err
		}
		return tellDamage(c, d)
	})
}

// chooseSources gives the sources that an argument names, and whether rows of
// several are mixed.
func chooseSources(all []container.SourceInfo, want string) (names []string, mixed bool, err error) {
	var have []string
	for _, s := range all {
		have = append(have, s.Name)
		switch {
		case s.Name == want && want != "":
			return []string{want}, false, nil
		case want == "" || strings.HasPrefix(s.Name, want+"/"):
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 && want != "" {
		e := command.Exit(command.Failed, fmt.Errorf("the flow has no results of %q", want))
		switch near := command.Nearest(want, have); {
		case near != "":
			return nil, false, command.Hintf(e, "did you mean %s?", near)
		case len(have) > 0:
			return nil, false, command.Hintf(e, "it has results of %s", joinShort(have))
		}
		return nil, false, e
	}
	return names, true, nil
}

// writeRows prints the selected rows in the format that was asked for.
func writeRows(ctx context.Context, c *command.Context, r rows.Opener, sel selection) (damage, error) {
	var out command.RowWriter
	switch c.Format() {
	case command.FormatCSV:
		var columns columnSet
		if _, err := sel.each(ctx, r, columns.add); err != nil {
			return damage{}, err
		}
		out = newCSVRows(c.Out(), columns)
	case command.FormatTable:
		if len(sel.sources) > 1 {
			return writeTables(ctx, c, r, sel)
		}
		out = c.Rows(command.FormatTable)
	default:
		out = c.Rows(c.Format())
	}
	d, err := sel.each(ctx, r, func(_ string, row []byte) error { return out.WriteRow(row) })
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return d, err
}

// writeTables prints a table of its own for each source, as sources have their
// own columns.
func writeTables(ctx context.Context, c *command.Context, r rows.Opener, sel selection) (damage, error) {
	var out command.RowWriter
	now := ""
	d, err := sel.each(ctx, r, func(source string, row []byte) error {
		if out == nil || source != now {
			lead := ""
			if out != nil {
				if err := out.Close(); err != nil {
					return err
				}
				lead = "\n"
			}
			now, out = source, c.Rows(command.FormatTable)
			if _, err := fmt.Fprintf(c.Out(), "%s# %s\n", lead, command.Printable(source)); err != nil {
				return err
			}
		}
		return out.WriteRow(row)
	})
	if out != nil {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}
	return d, err
}

// tellDamage warns of what could not be read and gives it its exit code.
func tellDamage(c *command.Context, d damage) error {
	if !d.any() {
		return nil
	}
	for _, err := range d.fatal {
		c.Console.Warnf("%v: the rows after that are lost", err)
	}
	if d.rows > 0 {
		c.Console.Warnf("%d lines of the results are no JSON objects and were left out", d.rows)
	}
	if d.records > 0 {
		c.Console.Warnf("%d records of uploads, log or outcomes cannot be read and were left out", d.records)
	}
	return command.Exit(command.Salvaged, nil)
}
