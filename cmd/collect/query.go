package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"satchel/cmd/internal/command"
	"satchel/internal/flow"
	"satchel/vql"
	"satchel/vql/all"

	"github.com/urfave/cli/v2"
)

// maxQueryBytes bounds a query read from a file.
const maxQueryBytes = 16 << 20

func queryCommand() *command.Command {
	return &command.Command{
		Name: "query", Usage: "run VQL on this host and print the rows", ArgsUsage: "[VQL | -f FILE]", MaxArgs: 1,
		Description: "Runs the statements in order. With --format json every SELECT and EXPLAIN gives one JSON array, also\n" +
			"when it has no rows or fails; LET prints nothing. A statement that fails does not stop the others:\n" +
			"its error is told on standard error and the exit code is 1.",
		Examples: []command.Example{
			{Line: "collect query 'SELECT Pid, Name, Exe FROM pslist()' --format table"},
			{Line: "collect query -f hunt.vql --env Needle=evil --format jsonl > rows.jsonl", What: "VQL from a file, with a variable"},
			{Line: "collect query 'SELECT * FROM Artifact.Linux.Sys.Users()'", What: "call an artifact"},
		},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "read the VQL from `FILE`, - for standard input"},
			&cli.StringSliceFlag{Name: "env", Usage: "set the variable of the query `NAME=VALUE`"},
			command.TimeFlag("clock", "let now() be `RFC3339` and fix randomness, for repeatable output"),
			definitionsFlag(),
			command.FormatFlag(command.FormatJSON),
			rootFlag(),
		},
		Run: query,
	}
}

func query(ctx context.Context, c *command.Context) error {
	if err := unavailable(c, "root"); err != nil {
		return err
	}
	text, err := queryText(c)
	if err != nil {
		return err
	}
	env, err := variables(c.StringSlice("env"))
	if err != nil {
		return err
	}
	r, err := repository(c)
	if err != nil {
		return err
	}
	o := vql.Options{Clock: c.Env.Now, Artifacts: r, Permissions: []string{vql.AllPermissions}, Log: printLog(c.Console)}
	if c.IsSet("clock") {
		at := c.Time("clock")
		o.Clock = func() time.Time { return at }
		o.Rand = rand.NewPCG(uint64(at.Unix()), 0)
	}
	out := &results{context: c, format: c.Format()}
	stats, err := vql.NewRunner(all.Set(), o).Run(ctx, vql.Request{Text: text, Env: env, OnStatement: out.begin}, out.row)
	return errors.Join(out.end(err), queryFailure(c.Console, stats, err))
}

// queryText is the argument, or the file of -f.
func queryText(c *command.Context) (string, error) {
	file := c.String("file")
	switch {
	case file == "" && c.Args().Len() == 0:
		e := command.Usagef("query: give VQL as an argument, or a file with -f")
		e.Hint = "for example: collect query 'SELECT * FROM info()'"
		return "", e
	case file == "":
		return c.Args().First(), nil
	case c.Args().Len() > 0:
		return "", command.Usagef("query: VQL as an argument and -f exclude each other")
	}
	in := c.Env.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the query: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxQueryBytes+1))
	if err != nil {
		return "", fmt.Errorf("read the query: %w", err)
	}
	if len(data) > maxQueryBytes {
		return "", fmt.Errorf("read the query: %s has more than %d bytes", file, maxQueryBytes)
	}
	return strings.TrimPrefix(string(data), "\ufeff"), nil
}

// variables reads NAME=VALUE words.
func variables(words []string) ([]vql.Var, error) {
	vars := make([]vql.Var, 0, len(words))
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" {
			return nil, command.Usagef("--env %q is not of the form NAME=VALUE", w)
		}
		vars = append(vars, vql.Var{Name: name, Value: value})
	}
	return vars, nil
}

// printLog shows what a query says on standard error. Errors are left to the
// end, where they are printed once.
func printLog(console *command.Console) func(flow.LogLine) {
	return func(l flow.LogLine) {
		switch l.Level {
		case flow.LevelError:
		case flow.LevelWarn:
			console.Warnf("%s", l.Message)
		case flow.LevelDebug:
			console.Debugf("%s", l.Message)
		default:
			console.Notef("%s", l.Message)
		}
	}
}

// queryFailure is what went wrong in a run. Names that are not known where
// they are used are told as warnings: their value is NULL and the rest holds.
func queryFailure(console *command.Console, stats vql.Stats, err error) error {
	var errs []error
	for i := range stats.Errors {
		e := &stats.Errors[i]
		if e.Kind == vql.KindSymbol {
			console.Warnf("%v", e)
			continue
		}
		errs = append(errs, e)
	}
	if stats.Dropped > 0 {
		errs = append(errs, fmt.Errorf("%d further errors", stats.Dropped))
	}
	return errors.Join(append(errs, err)...)
}

// results prints the rows of each statement.
type results struct {
	context *command.Context
	format  string
	open    command.RowWriter
	printed bool
	buffer  []byte
	err     error
}

// begin ends the statement before and begins one; LET prints nothing.
func (r *results) begin(s vql.Statement) {
	r.finish()
	if s.Kind == "LET" || r.err != nil {
		return
	}
	if r.printed && (r.format == command.FormatCSV || r.format == command.FormatTable) {
		_, r.err = io.WriteString(r.context.Out(), "\n")
	}
	r.printed = true
	r.open = r.context.Rows(r.format)
}

func (r *results) row(row vql.Row) error {
	if r.err != nil {
		return r.err
	}
	if r.open == nil {
		return nil
	}
	r.buffer = vql.AppendJSON(r.buffer[:0], row)
	r.err = r.open.WriteRow(r.buffer)
	return r.err
}

func (r *results) finish() {
	if r.open == nil {
		return
	}
	if err := r.open.Close(); r.err == nil {
		r.err = err
	}
	r.open = nil
}

// end ends the last statement. An error that the run returned because a row
// could not be printed is not told twice.
func (r *results) end(runErr error) error {
	r.finish()
	if r.err != nil && errors.Is(runErr, r.err) {
		return nil
	}
	return r.err
}
