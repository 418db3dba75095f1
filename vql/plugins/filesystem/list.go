// Package filesystem holds the plugins and accessors that find, describe, read
// and store files.
//
// The accessors file, auto and raw_file read the running system. They open
// nothing that could hang or set something off: a FIFO, a socket or a device is
// refused before it is opened, except that raw_file opens devices. The access
// time is left alone where the system permits that. A call that the system does
// not answer is given up after a while ([ErrAbandoned]); its goroutine stays
// until the system answers, and nobody waits for it.
//
// Names are bytes: one that is not UTF-8 is found, opened and stored like any
// other. In patterns such a byte is one character.
package filesystem

import (
	"context"
	"slices"
	"time"

	"satchel/vql"
)

// stall is how long one call of the system may take before it is given up.
const stall = 60 * time.Second

// List returns the plugins, functions and accessors of this package.
func List() []vql.Registration {
	return slices.Concat(contentAccessors(), nestedAccessors(), writeList(), []vql.Registration{
		system("file", false, "Reads files of the running system."),
		system("auto", false, "Reads files of the running system by the best means."),
		system("raw_file", true, "Reads files and devices of the running system."),
		globPlugin(),
		readFileFunction(), readFilePlugin(),
		statFunction(), statPlugin(),
		hashFunction(),
		uploadFunction(), uploadPlugin(),
		expandFunction(),
	})
}

func system(name string, devices bool, doc string) vql.AccessorDef {
	return vql.NewAccessor(name, func(context.Context, *vql.Scope) (vql.Accessor, error) {
		return newFileAccessor(stall, devices), nil
	}, vql.Permission("FILESYSTEM_READ"), vql.Doc(doc))
}
