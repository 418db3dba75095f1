package main

import (
	"context"
	"errors"
	"time"

	"satchel/cmd/internal/command"
	"satchel/internal/flow"
	"satchel/vql/plugins/host"
)

// hostFacts is this machine. A machine without an id of its own is told of:
// its client id would change with its network cards.
func hostFacts(ctx context.Context, c *command.Context) flow.Host {
	h, err := host.Identify(ctx, c.Env.Now())
	switch {
	case errors.Is(err, host.ErrNoMachineID):
		c.Console.Warnf("%v: the client id is made of the host name and the hardware addresses", err)
	case err != nil:
		c.Console.Warnf("this host could not be described fully: %v", err)
	}
	return h
}

// clockFacts is how the clock stands.
func clockFacts(now time.Time) flow.Clock {
	zone, offset := now.Local().Zone()
	return flow.Clock{Wall: now.UTC(), Timezone: zone, OffsetS: offset}
}

func toolFacts() flow.Tool {
	return flow.Tool{Name: "collect", Version: command.Version, SHA256: command.ExecutableSHA256()}
}
