// Package process holds the plugins that look at running processes.
//
// On Linux they read /proc themselves; elsewhere they ask gopsutil. What a
// process shows may change or vanish while it is read: a process that ends is
// left out, a file that may not be read leaves its columns empty and is counted
// in one warning. Names, arguments and paths are bytes as the kernel gives them.
package process

import (
	"slices"

	"satchel/vql"
)

// List returns the plugins and functions of this package.
func List() []vql.Registration {
	return slices.Concat(trackerList(), []vql.Registration{
		pslistPlugin(), vadPlugin(), handlesPlugin(), modulesPlugin(), pskillFunction(), execvePlugin(),
	})
}
