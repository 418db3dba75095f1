package network

import "context"

func netstat(ctx context.Context, warn func(error), emit func(*netstatRow) bool) error {
	return procNet{"/proc"}.netstat(ctx, warn, emit)
}

func localSockets(ctx context.Context, warn func(error), emit func(*unixRow) bool) error {
	return procNet{"/proc"}.unix(ctx, warn, emit)
}

func neighbours(ctx context.Context, warn func(error), emit func(*arpRow) bool) error {
	return procNet{"/proc"}.arp(ctx, warn, emit)
}
