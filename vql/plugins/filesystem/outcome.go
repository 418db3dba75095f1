package filesystem

import (
	"context"
	"errors"
	"io/fs"

	"satchel/internal/flow"
	"satchel/vql"
)

// outcomeOf says what an error means for the file or glob that it is about.
func outcomeOf(err error) flow.Outcome {
	if named := flow.OutcomeOf(err, ""); named != "" {
		return named
	}
	switch {
	case err == nil:
		return flow.Collected
	case errors.Is(err, ErrAbandoned):
		return flow.Abandoned
	case errors.Is(err, vql.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return flow.TimedOut
	case errors.Is(err, context.Canceled):
		return flow.NotRun
	case errors.Is(err, fs.ErrPermission):
		return flow.Denied
	case errors.Is(err, fs.ErrNotExist):
		return flow.Missing
	case errors.Is(err, ErrNotRegular), errors.Is(err, ErrIsDirectory):
		return flow.NotApplicable // it has no content that could be lost
	case isLocked(err):
		return flow.Locked
	}
	return flow.Failed
}
