// Package all lists the plugins, functions and accessors of an endpoint. It is
// the one place where they are put together; nothing registers itself.
//
// Plugins that cannot work on a system are listed all the same: a query that
// uses one gets an error that says so, and not an unknown name.
package all

import (
	"slices"

	"satchel/vql"
	"satchel/vql/plugins/core"
	"satchel/vql/plugins/filesystem"
	"satchel/vql/plugins/host"
	"satchel/vql/plugins/network"
	"satchel/vql/plugins/parsers"
	"satchel/vql/plugins/process"
)

// List returns everything that queries on this system may use.
func List() []vql.Registration {
	return slices.Concat(
		core.List(),
		filesystem.List(),
		host.List(),
		network.List(),
		parsers.List(),
		process.List(),
	)
}

// Set returns a new set that holds [List].
func Set() *vql.Set {
	set := vql.NewSet()
	_ = set.Add(List()...) // a name that is taken twice fails the test of this package
	return set
}
