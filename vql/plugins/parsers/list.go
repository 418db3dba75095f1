// Package parsers holds the plugins that read the contents of files: text,
// tables, JSON, and the formats in which Unix keeps its logins, schedules,
// services and packages.
//
// What they read may be hostile evidence. Lines, records and fields are bounded
// before anything is kept of them; what cannot be read becomes a warning that
// tells the place, and the rest of the file is read all the same; a file that
// cannot be opened becomes a warning, and the next file is read.
package parsers

import (
	"slices"

	"satchel/vql"
)

// List returns the plugins and functions of this package.
func List() []vql.Registration {
	return slices.Concat([]vql.Registration{
		linesPlugin(), splitRecordsPlugin(), csvPlugin(), jsonlPlugin(), regexRecordsPlugin(), auditdPlugin(),
	}, []vql.Registration{
		utmpPlugin(), lastlogPlugin(), crontabPlugin(), unitPlugin(), controlPlugin(), iniPlugin(), xmlFunction(),
	})
}
