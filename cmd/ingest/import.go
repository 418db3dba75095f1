package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/importer"
)

func importCommand() *command.Command {
	return &command.Command{
		Name: "import", Usage: "take containers into the store", ArgsUsage: "PATH...", MinArgs: 1, MaxArgs: -1,
		Description: "A directory is walked. Each container gives one line:\n" +
			"  imported  new and whole\n" +
			"  already   it, or a longer version of it, is in the store\n" +
			"  extended  it took the place of a cut version of itself\n" +
			"  partial   new, but cut or damaged: what is there is kept and can be read\n" +
			"  refused   not kept; the line says why\n" +
			"A container is kept as it is, with its spool. Importing the same again, from anywhere and in any order,\n" +
			"changes nothing. The exit code is 3 if one was refused, 4 if one is partial.",
		Examples: []command.Example{
			{Line: "ingest import Collection-web-03.zip"},
			{Line: "ingest import /media/usb --store /cases/4711 --json", What: "everything on a stick into the store of a case"},
		},
		Flags: flags(storeFlag(),
			&cli.StringFlag{Name: "client", Usage: "put the flows under this client `ID`, whatever the containers say"}),
		Run: importPaths,
	}
}

func importPaths(ctx context.Context, c *command.Context) (err error) {
	s, err := writeStore(ctx, c, "import")
	if err != nil {
		return err
	}
	defer closing(&err, s)
	im, err := importer.New(s, importer.Options{
		Format: importer.Containers(container.ReadOptions{}), ClientID: c.String("client"), Skip: s.Dir(), Now: c.Env.Now,
		Progress: func(path string, done, total int64) {
			if c.Console.Draws() {
				c.Console.Progress("%s of %s  %s", bytesText(done), bytesText(total), path)
			}
		},
	})
	if errors.Is(err, importer.ErrBadClientID) {
		return command.Usagef("--client: %v", err)
	}
	if err != nil {
		return err
	}
	t := tally{c: c, counts: map[importer.Status]int{}}
	for _, path := range c.Arguments() {
		if err := im.Import(ctx, path, t.add); err != nil {
			t.say()
			return err
		}
	}
	if len(t.counts) == 0 {
		c.Console.Warnf("no containers found")
	}
	t.say()
	return t.exit()
}

// imported is what import tells with --json.
type imported struct {
	importer.Result
	Problems []problem `json:"problems"`
}

// tally prints results and remembers what the exit code needs.
type tally struct {
	c       *command.Context
	counts  map[importer.Status]int
	partial int
}

func (t *tally) add(r importer.Result) error {
	t.c.Console.Clear()
	t.counts[r.Status]++
	if r.Status == importer.Partial || r.Status == importer.Extended && !r.Complete {
		t.partial++
	}
	if t.c.JSON() {
		if err := printJSON(t.c, imported{r, problemLines(r.Problems)}); err != nil {
			return err
		}
		return t.c.Flush()
	}
	out := t.c.Out()
	if r.Status == importer.Refused {
		fmt.Fprintf(out, "%-8s  %s\n", r.Status, command.Printable(r.Path))
	} else {
		fmt.Fprintf(out, "%-8s  %s  %s/%s  %d rows, %d uploads, %s\n", r.Status, command.Printable(r.Path), r.ClientID, r.FlowID, r.Rows, r.Uploads, bytesText(r.Bytes))
	}
	for i, p := range r.Problems {
		if i == 5 {
			fmt.Fprintf(out, "          and %d more problems\n", len(r.Problems)-i)
			break
		}
		fmt.Fprintf(out, "          %s\n", command.Printable(p.String()))
	}
	return t.c.Flush()
}

// say sums up for a person.
func (t *tally) say() {
	total := 0
	for _, n := range t.counts {
		total += n
	}
	if total < 2 || t.c.JSON() {
		return
	}
	text := ""
	for _, s := range []importer.Status{importer.Imported, importer.Extended, importer.Partial, importer.Already, importer.Refused} {
		if n := t.counts[s]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, s)
		}
	}
	t.c.Console.Notef("%d containers: %s", total, text[2:])
}

func (t *tally) exit() error {
	code := command.OK
	if t.counts[importer.Refused] > 0 {
		code = command.SomeFailed
	}
	if t.partial > 0 {
		code = command.Worst(code, command.Salvaged)
	}
	if code == command.OK {
		return nil
	}
	return command.Exit(code, nil)
}
