package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"time"

	"satchel/vql"
)

const (
	defaultLength = 10 << 10
	maxLength     = 64 << 20
	// patience is how long the output of a command that has ended, or was ended,
	// is waited for: a child that it left behind may hold its pipes.
	patience = 2 * time.Second
)

var errCommand = errors.New("no command")

type execveArgs struct {
	Argv   []string  `vql:"argv,required"`
	Sep    string    `vql:"sep"`
	Length int64     `vql:"length"`
	Env    *vql.Dict `vql:"env"`
	Cwd    string    `vql:"cwd"`
}

// execveRow is a piece of what a command wrote, and at its end how it ended.
type execveRow struct {
	Stdout     string
	Stderr     string
	ReturnCode int64 // -1 while it runs, or when it was killed
	Complete   bool  // the last row
}

func execvePlugin() vql.Plugin {
	return vql.NewPlugin("execve", func(ctx context.Context, s *vql.Scope, a execveArgs, emit func(*execveRow) bool) error {
		if len(a.Argv) == 0 || a.Argv[0] == "" {
			return errCommand
		}
		if a.Length == 0 {
			a.Length = defaultLength
		}
		if a.Length < 1 || a.Length > maxLength {
			return fmt.Errorf("length %d is not between 1 and %d", a.Length, maxLength)
		}
		var separator *regexp.Regexp
		if a.Sep != "" {
			var err error
			if separator, err = s.Regexp(a.Sep); err != nil {
				return err
			}
		}
		return execute(ctx, a, separator, emit)
	}, vql.Permission("EXECVE"), vql.Impure(), vql.Doc("Runs a command without a shell. Its output comes in pieces of at most length bytes, 10 KiB unless told, or between matches of sep."))
}

// execute runs the command until it ends, the context does, or nobody wants
// more rows, and waits for it.
func execute(ctx context.Context, a execveArgs, separator *regexp.Regexp, emit func(*execveRow) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.Argv[0], a.Argv[1:]...)
	cmd.Dir, cmd.WaitDelay = a.Cwd, patience
	ownGroup(cmd)
	if a.Env != nil {
		cmd.Env = os.Environ()
		for key, value := range a.Env.All() {
			cmd.Env = append(cmd.Env, key+"="+fmt.Sprint(value))
		}
	}
	out := &output{emit: emit, cancel: cancel, separator: separator, length: int(a.Length)}
	cmd.Stdout, cmd.Stderr = &stream{to: out}, &stream{to: out, stderr: true}
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) && !errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return err
	}
	code := int64(-1)
	if cmd.ProcessState != nil {
		code = int64(cmd.ProcessState.ExitCode())
	}
	out.end(code)
	return nil
}

// output makes rows of what both streams of a command carry.
type output struct {
	emit      func(*execveRow) bool
	cancel    func()
	separator *regexp.Regexp
	length    int

	mu             sync.Mutex
	stdout, stderr []byte
	stopped        bool
}

// stream is one of the streams of a command.
type stream struct {
	to     *output
	stderr bool
}

// Write takes what the command wrote. It fails when nobody wants more.
func (w *stream) Write(p []byte) (int, error) {
	o := w.to
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return 0, io.ErrClosedPipe
	}
	if w.stderr {
		o.stderr = append(o.stderr, p...)
	} else {
		o.stdout = append(o.stdout, p...)
	}
	o.flush()
	if o.stopped {
		o.cancel()
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// flush emits what is full, or has come to a separator. It is called with mu
// held.
func (o *output) flush() {
	for !o.stopped && o.separator != nil {
		at := o.separator.FindIndex(o.stdout)
		if at == nil || at[1] == 0 || at[1] == len(o.stdout) && at[1]-at[0] > 1 {
			break
		}
		if at[0] > 0 {
			o.row(&execveRow{Stdout: string(o.stdout[:at[0]]), ReturnCode: -1})
		}
		o.stdout = o.stdout[at[1]:]
	}
	for !o.stopped && (len(o.stdout) >= o.length || len(o.stderr) >= o.length) {
		n, m := min(len(o.stdout), o.length), min(len(o.stderr), o.length)
		o.row(&execveRow{Stdout: string(o.stdout[:n]), Stderr: string(o.stderr[:m]), ReturnCode: -1})
		o.stdout, o.stderr = o.stdout[n:], o.stderr[m:]
	}
}

func (o *output) row(r *execveRow) {
	if !o.stopped {
		o.stopped = !o.emit(r)
	}
}

// end emits what is left and how the command ended.
func (o *output) end(code int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.separator != nil {
		for _, piece := range o.separator.Split(string(o.stdout), -1) {
			if piece != "" {
				o.row(&execveRow{Stdout: piece, ReturnCode: -1})
			}
		}
		o.stdout = nil
	}
	o.row(&execveRow{Stdout: string(bytes.Clone(o.stdout)), Stderr: string(o.stderr), ReturnCode: code, Complete: true})
	o.stopped = true // a child that was left behind may still write
}
