package collector

import (
	"errors"
	"os"

	"satchel/internal/flow"
)

var errOwn = errors.New("this file is the collection's own output")

// OwnFiles returns a check for uploads that would read one of the files at the
// paths, under whatever name: the container and spool being written. The files
// must be there already. A path that an accessor does not take from the
// operating system is never one of them.
func OwnFiles(paths ...string) func(flow.Upload) bool {
	var own []os.FileInfo
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			own = append(own, info)
		}
	}
	return func(u flow.Upload) bool {
		switch u.Accessor {
		case "", "auto", "file":
		default:
			return false
		}
		info, err := os.Stat(u.Path)
		if err != nil {
			return false
		}
		for _, o := range own {
			if os.SameFile(o, info) {
				return true
			}
		}
		return false
	}
}
