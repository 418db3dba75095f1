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

	"satchel/artifacts"
	"satchel/cmd/internal/command"
	"satchel/vql"

	"github.com/urfave/cli/v2"
)

func verifyCommand() *command.Command {
	return &command.Command{
		Name: "verify", Usage: "check definitions before they are needed", ArgsUsage: "PATH...", MinArgs: 1, MaxArgs: -1,
		Description: "Checks every *.yaml and *.yml below the PATHs: the schema, names, parameters and the VQL. The status\n" +
			"of each is ok, warning (it runs, or would run elsewhere) or error (it would not run anywhere here).\n" +
			"The exit code is 1 when there is an error.",
		Examples: []command.Example{{Line: "collect artifacts verify my-artifacts/ --json"}},
		Flags:    definitionsFlags(), Run: verify,
	}
}

func definitionsFlags() []cli.Flag { return []cli.Flag{definitionsFlag()} }

// verdict is what verify says of one definition.
type verdict struct {
	Name     string              `json:"name"`
	Path     string              `json:"path"`
	Status   string              `json:"status"` // ok, warning or error
	Problems []artifacts.Problem `json:"problems"`
}

func verify(ctx context.Context, c *command.Context) error {
	r, err := repository(c)
	if err != nil {
		return err
	}
	files, err := definitionFiles(c.Arguments())
	if err != nil {
		return err
	}
	// Definitions that are checked together may call each other.
	for _, path := range c.Arguments() {
		if layered, err := r.With(path); err == nil {
			r = layered
		}
	}
	bad := 0
	for _, path := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		v := check(r, path)
		if v.Status == "error" {
			bad++
		}
		if err := printVerdict(c, v); err != nil {
			return err
		}
	}
	if bad > 0 && c.JSON() {
		return command.Exit(command.Failed, nil)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d definitions would not run", bad, len(files))
	}
	return nil
}

func printVerdict(c *command.Context, v verdict) error {
	if c.JSON() {
		list := c.Listing()
		return errors.Join(list.Add(v), list.Close())
	}
	name := v.Name
	if name == "" {
		name = v.Path
	}
	if _, err := fmt.Fprintf(c.Out(), "%-7s  %s\n", v.Status, command.Printable(name)); err != nil {
		return err
	}
	for _, p := range v.Problems {
		if _, err := fmt.Fprintf(c.Out(), "         %s:%d: %s\n", command.Printable(v.Path), p.Line, command.Printable(p.Message)); err != nil {
			return err
		}
	}
	return nil
}

// definitionFiles lists the definitions at the paths: files as they are, of
// directories every *.yaml and *.yml below.
func definitionFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if ext := strings.ToLower(filepath.Ext(p)); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
				files = append(files, p)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("verify %s: %w", path, err)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("verify: no *.yaml or *.yml in %s", strings.Join(paths, ", "))
	}
	return files, nil
}

// check reads one definition and tells all that is wrong with it.
func check(r *artifacts.Repository, path string) verdict {
	v := verdict{Path: path, Status: "ok", Problems: []artifacts.Problem{}}
	data, err := readBounded(path, artifacts.MaxBytes)
	if err != nil {
		v.Status = "error"
		v.Problems = append(v.Problems, artifacts.Problem{Kind: artifacts.KindSyntax, Message: err.Error()})
		return v
	}
	v.Problems = append(v.Problems, artifacts.Check(data)...)
	if a, err := artifacts.Parse(data, path); err == nil {
		v.Name = a.Name
		v.Problems = append(v.Problems, checkCalls(r, a)...)
		v.Problems = append(v.Problems, checkQueries(a)...)
	}
	for _, p := range v.Problems {
		switch {
		case !p.Warning:
			v.Status = "error"
		case v.Status == "ok":
			v.Status = "warning"
		}
	}
	return v
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, nil
}

// checkCalls finds artifacts that are called and not known.
func checkCalls(r *artifacts.Repository, a *artifacts.Artifact) []artifacts.Problem {
	var problems []artifacts.Problem
	for _, name := range a.Dependencies() {
		if _, err := r.Get(name); errors.Is(err, artifacts.ErrNotFound) {
			problems = append(problems, artifacts.Problem{Kind: "artifact", Name: name, Message: "calls " + err.Error(), Warning: true})
		}
	}
	return problems
}

// checkQueries parses the VQL.
func checkQueries(a *artifacts.Artifact) []artifacts.Problem {
	var problems []artifacts.Problem
	try := func(name, text string, line int) {
		if strings.TrimSpace(text) == "" {
			return
		}
		if err := parseVQL(text); err != nil {
			problems = append(problems, artifacts.Problem{Kind: artifacts.KindQuery, Name: name, Line: line, Message: err.Error()})
		}
	}
	try("export", a.Export, 0)
	try("precondition", a.Precondition, 0)
	for _, s := range a.Sources {
		try(a.FullName(s), s.VQL(), s.QueryLine)
		try(a.FullName(s), s.Precondition, s.Line)
	}
	return problems
}

// parseVQL says whether the text is VQL. Nothing of it is run.
func parseVQL(text string) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := vql.NewRunner(vql.NewSet(), vql.Options{}).Run(ctx, vql.Request{Text: text}, func(vql.Row) error { return nil })
	var parse *vql.ParseError
	if errors.As(err, &parse) {
		return err
	}
	return nil
}
