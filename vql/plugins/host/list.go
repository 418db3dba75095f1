// Package host holds the plugins that describe the machine as a whole, and
// tells who it is: [Identify].
package host

import "satchel/vql"

// List returns the plugins and functions of this package.
func List() []vql.Registration {
	return []vql.Registration{
		infoPlugin(), infoFunction(), usersPlugin(), groupsPlugin(), partitionsPlugin(), filesystemsPlugin(), sysinfoFunction(),
		getpidFunction(), environPlugin(), environFunction(), hostnameFunction(),
	}
}
