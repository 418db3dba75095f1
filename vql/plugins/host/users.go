package host

import (
	"context"

	"satchel/vql"
)

// userRow is one account of this system. Uid and Gid are numbers on Unix; UUID
// is the SID on Windows.
type userRow struct {
	Uid         int64
	Gid         int64
	Name        string
	Description string
	Directory   string
	Shell       string
	UUID        string
}

func usersPlugin() vql.Plugin {
	return vql.NewPlugin("users", func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*userRow) bool) error {
		return users(ctx, s.Warn, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the accounts of this system."))
}

// groupRow is one group of this system.
type groupRow struct {
	Gid     int64
	Name    string
	Members []string
}

func groupsPlugin() vql.Plugin {
	return vql.NewPlugin("groups", func(ctx context.Context, s *vql.Scope, _ noArgs, emit func(*groupRow) bool) error {
		return groups(ctx, s.Warn, emit)
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the groups of this system with their members."))
}
