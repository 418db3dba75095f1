package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code is the exit code of a program.
type Code int

// The exit codes of both programs.
const (
	OK          Code = 0   // all done
	Failed      Code = 1   // an error, or evidence altered, or an expectation not met
	BadUsage    Code = 2   // the command line was wrong
	SomeFailed  Code = 3   // finished, but some items failed or were refused
	Salvaged    Code = 4   // the input was damaged or cut, what could be saved was
	NoKey       Code = 5   // no key fits
	Interrupted Code = 130 // stopped by a signal, closed cleanly
)

// Worst joins several codes into the one to exit with: 1 and 2 beat all others,
// else the highest wins.
func Worst(codes ...Code) Code {
	worst := OK
	for _, c := range codes {
		if rank(c) > rank(worst) {
			worst = c
		}
	}
	return worst
}

func rank(c Code) int {
	if c == Failed || c == BadUsage {
		return 1000 + int(c)
	}
	return int(c)
}

// ErrInterrupted is the cancellation cause of a command's context after a
// first interrupt or termination signal.
var ErrInterrupted = errors.New("interrupted")

// Error is an error that carries an exit code and, optionally, what the user
// can do next. With a nil Err nothing is printed and only the code counts.
type Error struct {
	Code Code
	Err  error
	Hint string
}

// Error returns the message of the cause, without the hint.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", int(e.Code))
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Exit returns an error that ends the program with code. A nil err prints
// nothing: the command has said all there is to say.
func Exit(code Code, err error) error { return &Error{Code: code, Err: err} }

// Usagef returns a usage error (exit code 2).
func Usagef(format string, args ...any) *Error {
	return &Error{Code: BadUsage, Err: fmt.Errorf(format, args...)}
}

// Hintf adds what to do next to an error and keeps its exit code. It returns
// nil for a nil error.
func Hintf(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Code: CodeOf(err), Err: err, Hint: fmt.Sprintf(format, args...)}
}

// CodeOf returns the exit code that err asks for: 0 for nil, the code of the
// outermost *Error in each branch of a joined error, 130 for a cancelled
// context, 1 for any other error.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	if e, ok := err.(*Error); ok {
		return e.Code
	}
	switch u := err.(type) {
	case interface{ Unwrap() []error }:
		worst := OK
		for _, child := range u.Unwrap() {
			worst = Worst(worst, CodeOf(child))
		}
		return worst
	case interface{ Unwrap() error }:
		if inner := u.Unwrap(); inner != nil {
			return CodeOf(inner)
		}
	}
	if errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled) {
		return Interrupted
	}
	return Failed
}

// hintOf returns the first hint in the tree of err. Errors of other packages
// can give one with a method Hint() string.
func hintOf(err error) string {
	var e *Error
	for next := err; errors.As(next, &e); next = e.Err {
		if e.Hint != "" {
			return e.Hint
		}
		if e.Err == nil {
			break
		}
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// messageOf returns the text to print for err, or "" when it has none to show.
func messageOf(err error) string {
	if e, ok := err.(*Error); ok && e.Err == nil {
		return ""
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var parts []string
		for _, child := range joined.Unwrap() {
			if m := messageOf(child); m != "" {
				parts = append(parts, m)
			}
		}
		return strings.Join(parts, "\n")
	}
	return err.Error()
}
