package flow

import "errors"

// OutcomeError is an error that knows the outcome of what it ended: a Sink
// that refuses an upload for its size answers with OverLimit.
type OutcomeError struct {
	Outcome Outcome
	Err     error
}

// Error returns the message of the cause.
func (e *OutcomeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *OutcomeError) Unwrap() error { return e.Err }

// OutcomeOf returns the outcome that err names by an [OutcomeError], or
// otherwise when it names none.
func OutcomeOf(err error, otherwise Outcome) Outcome {
	var e *OutcomeError
	if errors.As(err, &e) {
		return e.Outcome
	}
	return otherwise
}
