// Package command is the frame that both programs put around urfave/cli: flags
// before or after arguments, exit codes as errors, errors printed once with
// what to do next, help with examples, shell completion, result writers,
// progress on a terminal, and interruption.
//
// A program is an [App] with a tree of [Command] values and is started by
// [Run] with an [Env], which holds everything it touches of its process, so
// that a test can run it in-process.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// App is a program.
type App struct {
	Name        string
	Usage       string // one line, no full stop
	Description string
	Version     string
	Examples    []Example
	Commands    []*Command
	// Later and LaterFlags are commands ("agent", "flow new") and flags that are
	// agreed on and that this version does not have: they are refused with words
	// of their own.
	Later, LaterFlags []string
	// Run is what the program does without a command; nil prints help.
	Run func(ctx context.Context, c *Context) error
}

// Command is a verb, or a group of verbs when it has Commands.
type Command struct {
	Name        string
	Aliases     []string
	Usage       string // one line, no full stop
	ArgsUsage   string
	Description string
	Examples    []Example
	Flags       []cli.Flag
	Commands    []*Command
	Hidden      bool
	// MinArgs and MaxArgs bound the arguments; MaxArgs -1 means any number.
	MinArgs, MaxArgs int
	Run              func(ctx context.Context, c *Context) error
	// Complete offers words for an argument that begins with prefix.
	Complete func(ctx context.Context, args []string, prefix string) []string
}

// Example is one line that can be typed, and what it does.
type Example struct{ Line, What string }

// Env is what a program sees of its process.
type Env struct {
	Args           []string // Args[0] is the program itself
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
	StdoutTerminal bool
	StderrTerminal bool
	Width          int // columns of the terminal, 0 when unknown
	// Signals delivers interrupts; nil for none. The first cancels the
	// command's context with ErrInterrupted, the second calls Exit(130).
	Signals <-chan os.Signal
	Exit    func(int)
}

// Context is one invocation: the flags and arguments of urfave's context, and
// the ways to talk to the user.
type Context struct {
	*cli.Context
	Env     *Env
	App     *App
	Console *Console // stderr: notes, warnings, progress
	out     *output
}

// Out is standard output, for results only. Writes are buffered and flushed
// after at most a tenth of a second; a reader that has gone away ends the
// program quietly.
func (c *Context) Out() io.Writer { return c.out }

// Flush writes buffered results out.
func (c *Context) Flush() error { return c.out.Flush() }

// JSON says whether --json was given.
func (c *Context) JSON() bool { return c.Bool("json") }

// Arguments returns the arguments that are not flags.
func (c *Context) Arguments() []string { return c.Args().Slice() }

// Run runs the program once and returns its exit code. It returns after every
// goroutine it started has ended.
func Run(ctx context.Context, app *App, env *Env) int {
	console := &Console{w: env.Stderr, program: app.Name, terminal: env.StderrTerminal, width: env.Width}
	out := newOutput(env.Stdout)
	ctx, stop := watchSignals(ctx, env, console)
	err := dispatch(ctx, app, env, console, out)
	stop()
	return int(finish(ctx, err, out, console))
}

// dispatch resolves the command line and runs what it asks for.
func dispatch(ctx context.Context, app *App, env *Env, console *Console, out *output) error {
	args := env.Args
	if len(args) > 0 {
		args = args[1:]
	}
	if len(args) > 0 && args[0] == completeWord {
		return complete(ctx, app, args[1:], out)
	}
	line, err := resolve(app, args)
	if err != nil {
		return err
	}
	console.quiet, console.verbose = line.has("quiet"), line.has("verbose")
	console.progress = !line.has("no-progress") && !line.has("quiet")
	switch {
	case line.help:
		return writeHelp(out, app, line.node)
	case line.version:
		_, err := fmt.Fprintf(out, "%s %s\n", app.Name, app.Version)
		return err
	case line.node.run() == nil:
		if line.node.parent == nil {
			return writeHelp(out, app, line.node)
		}
		if err := writeHelp(env.Stderr, app, line.node); err != nil {
			return err
		}
		return Exit(BadUsage, nil)
	}
	return execute(ctx, app, env, console, out, line)
}

// execute lets urfave parse the canonical command line and runs the command.
func execute(ctx context.Context, app *App, env *Env, console *Console, out *output, line *commandLine) error {
	quiet := func(_ *cli.Context, err error, _ bool) error {
		return &Error{Code: BadUsage, Err: errors.New(plainFlagError(err)), Hint: line.node.helpHint()}
	}
	action := func(c *cli.Context) error {
		return line.node.run()(c.Context, &Context{Context: c, Env: env, App: app, Console: console, out: out})
	}
	program := &cli.App{
		Name: app.Name, Usage: app.Usage, HideHelp: true, HideHelpCommand: true, HideVersion: true,
		DisableSliceFlagSeparator: true, Flags: line.node.flags(), Action: action, OnUsageError: quiet,
		Reader: env.Stdin, Writer: out, ErrWriter: io.Discard, Compiled: env.Now(),
		ExitErrHandler: func(*cli.Context, error) {},
	}
	return program.RunContext(ctx, append([]string{app.Name}, line.canonical()...))
}

func plainFlagError(err error) string {
	text := err.Error()
	if rest, ok := strings.CutPrefix(text, "invalid value "); ok {
		if value, tail, ok := strings.Cut(rest, " for flag -"); ok {
			if name, why, ok := strings.Cut(tail, ": "); ok {
				if strings.HasPrefix(why, value) {
					return "--" + name + ": " + why
				}
				return "--" + name + " " + value + ": " + why
			}
		}
	}
	return text
}

// finish prints what has to be said about err, once, and gives the exit code.
func finish(ctx context.Context, err error, out *output, console *Console) Code {
	flushErr := out.Close()
	console.Clear()
	if out.gone() && (err == nil || errors.Is(err, errReaderGone)) {
		return OK
	}
	if flushErr != nil && !out.gone() && !errors.Is(err, flushErr) {
		err = errors.Join(err, flushErr)
	}
	if err == nil {
		return OK
	}
	code := CodeOf(err)
	if code == Interrupted && errors.Is(context.Cause(ctx), ErrInterrupted) && errors.Is(err, context.Canceled) {
		err = &Error{Code: code, Err: ErrInterrupted, Hint: hintOf(err)}
	}
	if text := messageOf(err); text != "" {
		console.failure(text, hintOf(err))
	}
	return code
}
