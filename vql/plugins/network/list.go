// Package network holds the plugins that look at sockets, interfaces and
// neighbours.
//
// On Linux they read /proc/net of every network namespace that some process
// lives in, so that the sockets of containers are seen too, and join sockets
// with the processes that hold them by inode. Elsewhere they ask gopsutil.
package network

import "satchel/vql"

// List returns the plugins of this package.
func List() []vql.Registration {
	return []vql.Registration{
		netstatPlugin("netstat", "Lists the sockets of TCP, UDP and raw IP with the process that holds them."),
		netstatPlugin("connections", "Another name of netstat."),
		unixPlugin(), arpPlugin(), interfacesPlugin(),
	}
}
