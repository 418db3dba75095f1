package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is what a command was given.
type seen struct {
	Args   []string
	Env    []string
	Out    string
	Size   int64
	Quiet  bool
	Format string
}

// demo is a program with a verb and a group.
func demo(got *seen, run func(ctx context.Context, c *Context) error) *App {
	record := func(ctx context.Context, c *Context) error {
		*got = seen{c.Arguments(), c.StringSlice("env"), c.String("output"), c.Size("max-size"), c.Bool("quiet"), c.Format()}
		if run != nil {
			return run(ctx, c)
		}
		return nil
	}
	return &App{
		Name: "demo", Usage: "a program for tests", Version: "1.2.3",
		Commands: []*Command{
			{
				Name: "run", Aliases: []string{"do"}, Usage: "run it", ArgsUsage: "[THING...]", MaxArgs: -1, Run: record,
				Examples: []Example{{Line: "demo run x", What: "runs x"}},
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "env", Usage: "set `NAME=VALUE`"},
					&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
					SizeFlag("max-size", "at most `SIZE`", "DEMO_MAX_SIZE"),
					FormatFlag("jsonl"),
				},
				Complete: func(context.Context, []string, string) []string { return []string{"alpha", "beta"} },
			},
			{
				Name: "things", Usage: "about things",
				Commands: []*Command{
					{Name: "list", Usage: "list them", Run: record},
					{Name: "show", Usage: "show one", ArgsUsage: "NAME", MinArgs: 1, MaxArgs: 1, Run: record},
				},
			},
			VersionCommand("demo"), CompletionCommand("demo"),
		},
	}
}

type result struct {
	code        int
	out, errOut string
	seen        seen
}

func start(t *testing.T, run func(ctx context.Context, c *Context) error, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	var r result
	env := testEnv(&out, &errOut, args...)
	r.code = Run(t.Context(), demo(&r.seen, run), env)
	r.out, r.errOut = out.String(), errOut.String()
	return r
}

func testEnv(out, errOut io.Writer, args ...string) *Env {
	return &Env{
		Args: append([]string{"demo"}, args...), Stdin: strings.NewReader(""), Stdout: out, Stderr: errOut,
		Getenv: os.Getenv, Now: time.Now, Exit: func(int) { panic("hard exit") },
	}
}

func TestFlagsAnywhere(t *testing.T) {
	t.Parallel()
	want := seen{Args: []string{"a", "b"}, Env: []string{"X=1,2", "Y="}, Out: "f", Size: 4 << 30, Quiet: true, Format: "csv"}
	for _, line := range []string{
		"run --env X=1,2 --env Y= -o f --max-size 4GiB -q --format csv a b",
		"run a b --env X=1,2 --env=Y= --output=f --max-size=4GiB --quiet --format=csv",
		"--quiet --max-size 4GiB run a -o f b --env X=1,2 --env Y= --format CSV",
		"do a --env X=1,2 -env Y= --o f --max-size 4294967296 b -q=true --format csv",
		"run -q --env X=1,2 --env Y= -o f --max-size 4G --format csv -- a b",
	} {
		got := start(t, nil, strings.Fields(line)...)
		if got.code != 0 || got.errOut != "" {
			t.Errorf("%s: code %d, %s", line, got.code, got.errOut)
		}
		if d := cmp.Diff(want, got.seen); d != "" {
			t.Errorf("%s: %s", line, d)
		}
	}
}

func TestArgumentsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, want []string }{
		{[]string{"run", "--", "-o", "--env", "--"}, []string{"-o", "--env", "--"}},
		{[]string{"run", "-"}, []string{"-"}},
		{[]string{"run", ""}, []string{""}},
		{[]string{"run", "help"}, []string{"help"}},
		{[]string{"run", "env", "list"}, []string{"env", "list"}},
		{[]string{"run", "SELECT -1 AS A"}, []string{"SELECT -1 AS A"}},
		{[]string{"run", "--env", "--", "x"}, []string{"x"}},
	}
	for _, tt := range tests {
		got := start(t, nil, tt.line...)
		if d := cmp.Diff(tt.want, got.seen.Args); d != "" || got.code != 0 {
			t.Errorf("%q: code %d, %s%s", tt.line, got.code, got.errOut, d)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		want string
	}{
		{"rum", "demo: error: unknown command \"rum\"\ndemo: hint: did you mean `demo run`? see `demo --help`\n"},
		{"things lst", "demo: error: unknown command \"lst\"\ndemo: hint: did you mean `demo things list`? see `demo things --help`\n"},
		{"run --outptu x", "demo: error: unknown flag --outptu\ndemo: hint: did you mean --output? see `demo run --help`\n"},
		{"run --zzzzzzzzz", "demo: error: unknown flag --zzzzzzzzz\ndemo: hint: see `demo run --help`\n"},
		{"things list --output x", "demo: error: unknown flag --output\ndemo: hint: see `demo things list --help`\n"},
		{"--output x things list", "demo: error: unknown flag --output\ndemo: hint: see `demo things list --help`\n"},
		{"run a -o", "demo: error: --output needs a value\ndemo: hint: see `demo run --help`\n"},
		{"run --max-size lots", "demo: error: --max-size: \"lots\" is not a size: write for example 512MB, 4GiB or a number of bytes\ndemo: hint: see `demo run --help`\n"},
		{"run --format xml", "demo: error: --format: \"xml\" is not one of jsonl, json, csv, table\ndemo: hint: see `demo run --help`\n"},
		{"things show", "demo: error: demo things show: argument missing\ndemo: hint: usage: demo things show NAME [FLAG...]\n"},
		{"things show a b", "demo: error: demo things show: unexpected argument \"b\"\ndemo: hint: usage: demo things show NAME [FLAG...]\n"},
	}
	for _, tt := range tests {
		got := start(t, nil, strings.Fields(tt.line)...)
		if got.code != int(BadUsage) || got.out != "" || got.errOut != tt.want {
			t.Errorf("%s: code %d, stdout %q, stderr\n%swant\n%s", tt.line, got.code, got.out, got.errOut, tt.want)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		code int
		want []string
	}{
		{"", 0, []string{"Usage: demo COMMAND", "things", "Exit codes: 0 ok"}},
		{"--help", 0, []string{"Usage: demo COMMAND"}},
		{"help", 0, []string{"Usage: demo COMMAND"}},
		{"help run", 0, []string{"Usage: demo run [THING...]", "-o, --output FILE", "--max-size SIZE", "[$DEMO_MAX_SIZE]", "demo run x\n      runs x"}},
		{"run x -h", 0, []string{"Usage: demo run"}},
		{"run --max-size bad --help", 0, []string{"Usage: demo run"}},
		{"help things show", 0, []string{"Usage: demo things show NAME"}},
		{"things", 2, []string{"Usage: demo things COMMAND", "list"}},
		{"--version", 0, []string{"demo 1.2.3\n"}},
	}
	for _, tt := range tests {
		got := start(t, nil, strings.Fields(tt.line)...)
		text, other := got.out, got.errOut
		if tt.code != 0 { // results only on standard output
			text, other = other, text
		}
		if got.code != tt.code || other != "" {
			t.Errorf("%q: code %d, stderr %q", tt.line, got.code, got.errOut)
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%q: no %q in\n%s", tt.line, want, text)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	plain := errors.New("it broke")
	tests := []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, 0, ""},
		{plain, 1, "demo: error: it broke\n"},
		{Exit(SomeFailed, nil), 3, ""},
		{Exit(NoKey, plain), 5, "demo: error: it broke\n"},
		{fmt.Errorf("step: %w", Exit(Salvaged, plain)), 4, "demo: error: step: it broke\n"},
		{errors.Join(Exit(SomeFailed, nil), Exit(Salvaged, plain)), 4, "demo: error: it broke\n"},
		{errors.Join(Exit(NoKey, nil), plain), 1, "demo: error: it broke\n"},
		{errors.Join(plain, Usagef("no")), 2, "demo: error: it broke\ndemo: error: no\n"},
		{Hintf(Exit(NoKey, plain), "take %s", "another"), 5, "demo: error: it broke\ndemo: hint: take another\n"},
		{fmt.Errorf("a: %w", Hintf(plain, "go on")), 1, "demo: error: a: it broke\ndemo: hint: go on\n"},
		{errors.New("name\x1b[2Jevil"), 1, "demo: error: name\\x1b[2Jevil\n"},
	}
	for _, tt := range tests {
		got := start(t, func(context.Context, *Context) error { return tt.err }, "run")
		if got.code != tt.code || got.errOut != tt.stderr {
			t.Errorf("%v: code %d, stderr %q; want %d, %q", tt.err, got.code, got.errOut, tt.code, tt.stderr)
		}
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		codes []Code
		want  Code
	}{
		{nil, OK}, {[]Code{OK, SomeFailed}, SomeFailed}, {[]Code{Salvaged, SomeFailed}, Salvaged},
		{[]Code{NoKey, Interrupted, SomeFailed}, Interrupted}, {[]Code{Interrupted, Failed}, Failed},
		{[]Code{Failed, NoKey, BadUsage}, BadUsage},
	}
	for _, tt := range tests {
		if got := Worst(tt.codes...); got != tt.want {
			t.Errorf("Worst(%v) = %d, want %d", tt.codes, got, tt.want)
		}
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	signals := make(chan os.Signal, 2)
	env := testEnv(&out, &errOut, "run")
	env.Signals = signals
	hard := make(chan int, 1)
	env.Exit = func(code int) { hard <- code }
	code := Run(t.Context(), demo(new(seen), func(ctx context.Context, c *Context) error {
		signals <- syscall.SIGTERM
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), ErrInterrupted) {
			t.Errorf("cause is %v", context.Cause(ctx))
		}
		signals <- os.Interrupt
		if got := <-hard; got != int(Interrupted) {
			t.Errorf("hard exit with %d", got)
		}
		return fmt.Errorf("collect: %w", ctx.Err())
	}), env)
	if code != int(Interrupted) || !strings.HasSuffix(errOut.String(), "demo: error: interrupted\n") {
		t.Errorf("code %d, stderr %q", code, errOut.String())
	}
}

// failingWriter fails after some bytes.
type failingWriter struct {
	left int
	err  error
}

func (f *failingWriter) Write(p []byte) (int, error) {
	if len(p) > f.left {
		n := f.left
		f.left = 0
		return n, f.err
	}
	f.left -= len(p)
	return len(p), nil
}

func TestOutputFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		code   int
		stderr string
	}{
		{"a reader that went away ends the program quietly", syscall.EPIPE, 0, ""},
		{"a full disk is an error", syscall.ENOSPC, 1, "demo: error: print: write to standard output: no space left on device\n"},
	}
	if isBrokenPipe(syscall.ENOSPC) || !isBrokenPipe(fmt.Errorf("x: %w", syscall.EPIPE)) {
		t.Fatal("isBrokenPipe")
	}
	for _, tt := range tests {
		var errOut bytes.Buffer
		env := testEnv(&failingWriter{left: 100, err: tt.err}, &errOut, "run")
		code := Run(t.Context(), demo(new(seen), func(ctx context.Context, c *Context) error {
			for range 100_000 {
				if _, err := fmt.Fprintln(c.Out(), "a line"); err != nil {
					return fmt.Errorf("print: %w", err)
				}
			}
			t.Error("the writer never failed")
			return nil
		}), env)
		if code != tt.code || !strings.HasSuffix(errOut.String(), tt.stderr) || strings.Count(errOut.String(), "\n") > 1 {
			t.Errorf("%s: code %d, stderr %q", tt.name, code, errOut.String())
		}
	}
}

func TestProgressLine(t *testing.T) {
	t.Parallel()
	var errOut bytes.Buffer
	c := &Console{w: &errOut, program: "demo", terminal: true, progress: true, width: 12}
	c.Progress("a long line of progress")
	c.Notef("note\x07")
	c.Progress("b")
	c.Clear()
	want := "a long line" + "\r\x1b[Knote\\x07\na long line" + "\r\x1b[Kb" + "\r\x1b[K"
	if errOut.String() != want {
		t.Errorf("got %q, want %q", errOut.String(), want)
	}
	errOut.Reset()
	c.terminal = false
	c.Progress("x")
	if errOut.Len() > 0 {
		t.Errorf("progress without a terminal: %q", errOut.String())
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		words []string
		want  []string
	}{
		{[]string{""}, []string{"run", "things", "version", "completion"}},
		{[]string{"th"}, []string{"things"}},
		{[]string{"things", ""}, []string{"list", "show"}},
		{[]string{"run", "--format", ""}, []string{"jsonl", "json", "csv", "table"}},
		{[]string{"run", "--format", "json"}, []string{"jsonl", "json"}},
		{[]string{"run", "--out"}, []string{"--output"}},
		{[]string{"run", "b"}, []string{"beta"}},
		{[]string{"run", "-o", "x", "al"}, []string{"alpha"}},
		{[]string{"things", "show", ""}, nil},
	}
	for _, tt := range tests {
		got := start(t, nil, append([]string{completeWord}, tt.words...)...)
		var words []string
		for line := range strings.Lines(got.out) {
			word, _, _ := strings.Cut(line, "\t")
			words = append(words, word)
		}
		if d := cmp.Diff(tt.want, words); d != "" || got.code != 0 {
			t.Errorf("%q: code %d %s%s", tt.words, got.code, got.errOut, d)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := start(t, nil, "completion", shell); got.code != 0 || !strings.Contains(got.out, completeWord) {
			t.Errorf("%s: code %d: %s%s", shell, got.code, got.out, got.errOut)
		}
	}
	if got := start(t, nil, "completion", "tcsh"); got.code != int(BadUsage) {
		t.Errorf("an unknown shell gives code %d", got.code)
	}
}
