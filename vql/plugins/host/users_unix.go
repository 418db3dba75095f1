//go:build !windows

package host

import (
	"context"
	"fmt"
	"os"

	"satchel/internal/accounts"
)

func users(ctx context.Context, warn func(error), emit func(*userRow) bool) error {
	return usersIn(ctx, "/etc/passwd", warn, emit)
}

func usersIn(ctx context.Context, name string, warn func(error), emit func(*userRow) bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for u, err := range accounts.Users(f) {
		if err != nil {
			warn(fmt.Errorf("%s: %w", name, err))
			continue
		}
		if !emit(&userRow{int64(u.UID), int64(u.GID), u.Name, u.Gecos, u.Home, u.Shell, ""}) {
			return nil
		}
	}
	return ctx.Err()
}

func groups(ctx context.Context, warn func(error), emit func(*groupRow) bool) error {
	const name = "/etc/group"
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for g, err := range accounts.Groups(f) {
		if err != nil {
			warn(fmt.Errorf("%s: %w", name, err))
			continue
		}
		if !emit(&groupRow{int64(g.GID), g.Name, g.Members}) {
			return nil
		}
	}
	return ctx.Err()
}
