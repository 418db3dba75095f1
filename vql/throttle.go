package vql

import "context"

// Throttle slows queries down. Wait returns when the next operation may run,
// or when ctx ends.
type Throttle interface {
	Wait(ctx context.Context)
}
