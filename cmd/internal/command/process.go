package command

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Process returns the environment of the running process. Interrupt, hang-up
// and termination signals are taken over from then on, and writing to a pipe that
// nobody reads is an error instead of the end.
func Process() *Env {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	ignoreBrokenPipes()
	env := &Env{
		Args: os.Args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Now: time.Now, Signals: signals, Exit: os.Exit,
		StdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		StderrTerminal: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb",
	}
	for _, f := range []*os.File{os.Stderr, os.Stdout} {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && env.Width == 0 {
			env.Width = width
		}
	}
	return env
}

// watchSignals cancels the returned context at the first signal and ends the
// process at the second. stop ends the watching and waits for it.
func watchSignals(ctx context.Context, env *Env, console *Console) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if env.Signals == nil {
		return ctx, func() { cancel(nil) }
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		seen := false
		for {
			select {
			case <-quit:
				return
			case <-env.Signals:
			}
			if seen {
				console.Clear()
				env.Exit(int(Interrupted))
				return
			}
			seen = true
			cancel(ErrInterrupted)
			console.Notef("stopping: closing what is open (interrupt again to end at once)")
		}
	}()
	return ctx, func() {
		close(quit)
		<-ended
		cancel(nil)
	}
}
