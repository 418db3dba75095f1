package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"satchel/cmd/internal/command"
	"satchel/container"
)

func recoverCommand() *command.Command {
	return &command.Command{
		Name: "recover", Usage: "make a whole container from a cut one and its spool", ArgsUsage: "FILE", MinArgs: 1, MaxArgs: 1,
		Description: "FILE is a container that was not closed, or the spool beside it. Neither is changed. What could not be\n" +
			"saved is marked in the new container. The exit code is 4 when something was missing, 0 when FILE was\n" +
			"whole and is only copied. `ingest import` takes cut containers as they are: recover is for other tools.",
		Examples: []command.Example{{Line: "ingest recover Collection-web-03.zip -o whole.zip"}},
		Flags: flags(
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the whole container to `FILE`, which must not exist"},
			&cli.BoolFlag{Name: "plaintext", Usage: "write an encrypted container in the clear (this version reads no encrypted ones)"}),
		Run: recoverFile,
	}
}

// recovery is what recover tells with --json.
type recovery struct {
	container.Summary
	Complete bool                `json:"complete"` // nothing was missing
	Problems []container.Problem `json:"problems"`
}

func recoverFile(ctx context.Context, c *command.Context) error {
	path, out := c.Args().First(), c.String("output")
	if out == "" {
		return command.Usagef("recover: say with -o FILE where to write the container")
	}
	before, err := stateOf(path)
	if err != nil {
		return unreadable(err)
	}
	sum, err := container.Recover(ctx, path, out, container.ReadOptions{})
	if errors.Is(err, fs.ErrExist) {
		return command.Hintf(err, "give another name: an existing file is never overwritten")
	}
	if err != nil {
		return unreadable(err)
	}
	res := recovery{Summary: sum, Complete: before.Complete, Problems: append([]container.Problem{}, before.Problems...)}
	if c.JSON() {
		err = printJSON(c, res)
	} else {
		_, err = fmt.Fprintf(c.Out(), "%s: %d rows, %d uploads (%s), %d of them partial, SHA-256 %s\n",
			command.Printable(sum.Path), sum.Rows, sum.Uploads, bytesText(sum.UploadBytes), sum.Partial, sum.SHA256)
		for _, p := range res.Problems {
			fmt.Fprintf(c.Out(), "    %s\n", command.Printable(p.String()))
		}
	}
	if err == nil && !res.Complete {
		return command.Exit(command.Salvaged, nil)
	}
	return err
}

// stateOf tells what is wrong with a container.
func stateOf(path string) (info container.Info, err error) {
	r, err := container.OpenFile(path, container.ReadOptions{})
	if err != nil {
		return info, err
	}
	defer closing(&err, r)
	return r.Info(), nil
}
