// Package core holds the plugins and functions of VQL that touch nothing but
// their arguments: control flow, aggregates, collections, text, numbers, times,
// encodings and paths.
package core

import (
	"slices"

	"satchel/vql"
)

// List returns the plugins and functions of this package.
func List() []vql.Registration {
	return slices.Concat(controlList(), streamList(), aggregateList(), collectionList(), textList(),
		numberList(), codecList(), jsonList(), timeList(), pathList(), cacheList(), networkList(), metaList())
}
