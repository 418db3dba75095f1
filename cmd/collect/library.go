package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"satchel/artifacts"
	"satchel/cmd/internal/command"

	"github.com/urfave/cli/v2"
)

// definitionsFlag layers directories over the embedded library.
func definitionsFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "definitions", Usage: "read artifacts of `DIR` (or one file) too; they replace built-in ones of the same name"}
}

// repository is the embedded library with the user's definitions over it.
// Nothing is parsed that is not asked for, but the files of --definitions.
func repository(c *command.Context) (*artifacts.Repository, error) {
	r := artifacts.Embedded()
	for _, dir := range c.StringSlice("definitions") {
		layered, err := r.With(dir)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				e := command.Usagef("--definitions %s: there is no such directory or file", dir)
				return nil, e
			}
			return nil, fmt.Errorf("--definitions %s: %w", dir, err)
		}
		r = layered
	}
	for _, p := range r.Problems() {
		if p.Note {
			c.Console.Debugf("%v", p)
		} else {
			c.Console.Warnf("definition passed over: %v", p)
		}
	}
	return r, nil
}

// asked turns what artifacts says about a request into a usage error: the
// caller named something that is not there, or gave a value that is refused.
func asked(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, artifacts.ErrNotFound) || errors.Is(err, artifacts.ErrParameter) || errors.Is(err, artifacts.ErrType) {
		e := command.Usagef("%w", err)
		e.Hint = "`collect artifacts list` shows what there is, `collect artifacts show NAME` its parameters"
		return e
	}
	return err
}

// completeArtifacts offers names of the embedded library.
func completeArtifacts(_ context.Context, _ []string, prefix string) []string {
	var names []string
	for _, n := range artifacts.Embedded().Names() {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names
}
