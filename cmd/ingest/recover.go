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
			"saved is marked in the new container. A container that was closed is copied as it is. The exit code is 0\n" +
			"when FILE was whole and unaltered, 4 when something of it was missing or damaged. `ingest import` takes\n" +
			"cut containers as they are: recover is for other tools.",
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
	Complete bool      `json:"complete"` // nothing was missing or damaged
	Problems []problem `json:"problems"`
}

func recoverFile(ctx context.Context, c *command.Context) error {
	path, out := c.Args().First(), c.String("output")
	if out == "" {
		return command.Usagef("recover: say with -o FILE where to write the container")
	}
	whole, problems, err := stateOf(ctx, path)
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
	res := recovery{Summary: sum, Complete: whole, Problems: problemLines(problems)}
	if c.JSON() {
		err = printJSON(c, res)
	} else {
		_, err = fmt.Fprintf(c.Out(), "%s: %d rows, %d uploads (%s), %d of them partial, SHA-256 %s\n",
			command.Printable(sum.Path), sum.Rows, sum.Uploads, bytesText(sum.UploadBytes), sum.Partial, sum.SHA256)
		for _, p := range problems {
			fmt.Fprintf(c.Out(), "    %s\n", command.Printable(p.String()))
		}
	}
	if err == nil && !res.Complete {
		return command.Exit(command.Salvaged, nil)
	}
	return err
}

// stateOf tells whether a container is whole, and what is wrong with it. Of one
// that was closed every byte is checked, since it is only copied.
func stateOf(ctx context.Context, path string) (whole bool, problems []container.Problem, err error) {
	r, err := container.OpenFile(path, container.ReadOptions{})
	if err != nil {
		return false, nil, err
	}
	info := r.Info()
	if err := r.Close(); err != nil {
		return false, nil, err
	}
	if !info.Complete {
		return false, info.Problems, nil
	}
	res, err := container.Verify(ctx, path, container.ReadOptions{})
	if err != nil {
		return false, nil, err
	}
	return res.OK, res.Problems, nil
}
