// Package layers holds the import rules of this module and a checker for them.
//
// Packages stand in layers. A package imports only packages of strictly lower
// layers, never sideways; packages that share one entry of the table (a package
// and its inner packages) are one thing and may import each other. A package
// whose name ends in "test" is help for tests and only tests import it. Every
// third-party module has a door: the few packages that may import it.
//
// The checker reads the import clauses of all files, whatever system they are
// built for, so that one run on Linux also holds the Windows files to the rules.
package layers

import (
	"fmt"
	"slices"
	"strings"
)

// Rules are the layers and doors of a module.
type Rules struct {
	Module string   // module path, "satchel"
	Layers []Layer  // the most specific pattern that matches a package wins
	Doors  []Door   // the most specific prefix that matches an import wins
	Names  []string // package names that say nothing and are refused
}

// Layer gives packages their height. Pattern is a folder below the module; a
// last element of "*" stands for each folder there as an entry of its own.
type Layer struct {
	Pattern string
	Height  int
}

// Door lets an import path, and all below it, into the packages whose folders
// begin with one of Open. With Tests, test files may import it anywhere.
type Door struct {
	Import string
	Open   []string
	Tests  bool
}

// Satchel returns the rules of this module.
func Satchel() Rules {
	return Rules{
		Module: "satchel",
		Layers: satchelLayers(),
		Doors:  satchelDoors(),
		Names:  []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "types"},
	}
}

func satchelLayers() []Layer {
	heights := [][]string{
		{"internal/flow", "internal/frame", "internal/fsx", "internal/spelling"},
		{"internal/seal", "internal/zipx", "internal/entry", "internal/wire", "internal/accounts", "artifacts"},
		{"internal/spool", "internal/deliver", "vql"},
		{"container", "vql/plugins/*", "vql/lint", "server/journal", "internal/collector"},
		{"importer", "internal/pack", "vql/evidence", "vql/all", "server/store", "server/hunt"},
		{"importer/*", "internal/agent", "server/events", "server/alerts", "server/plugins"},
		{"server/replay"},
		{"server"},
		{"cmd"},
		// The house itself: tests and measures of the whole. Nobody imports these.
		{"bench", "internal/crashtest", "internal/e2e", "internal/layers", "internal/librarytest"},
	}
	var out []Layer
	for height, patterns := range heights {
		for _, p := range patterns {
			out = append(out, Layer{Pattern: p, Height: height})
		}
	}
	return out
}

func satchelDoors() []Door {
	above := []string{"artifacts", "bench", "cmd", "container", "importer", "server", "vql", "internal/collector", "internal/entry", "internal/spool", "internal/zipx"}
	return []Door{
		{Import: "www.velocidex.com/golang/vfilter", Open: []string{"vql"}},
		{Import: "github.com/Velocidex/ordereddict", Open: []string{"vql"}},
		{Import: "archive/zip", Open: nil, Tests: true},
		{Import: "compress/flate", Open: []string{"internal/zipx"}, Tests: true},
		{Import: "github.com/klauspost/compress/zip", Open: []string{"internal/zipx"}},
		{Import: "github.com/klauspost/compress/flate", Open: []string{"internal/zipx"}},
		{Import: "github.com/klauspost/compress/zstd", Open: []string{"internal/zipx", "internal/entry"}},
		{Import: "filippo.io/age", Open: []string{"internal/seal"}},
		{Import: "github.com/goccy/go-yaml", Open: []string{"artifacts", "cmd", "internal/pack", "vql/plugins"}},
		{Import: "github.com/urfave/cli", Open: []string{"cmd"}},
		{Import: "github.com/schollz/progressbar", Open: []string{"cmd"}},
		{Import: "github.com/dustin/go-humanize", Open: []string{"cmd", "vql/plugins"}},
		{Import: "golang.org/x/term", Open: []string{"cmd"}},
		{Import: "github.com/shirou/gopsutil", Open: []string{"vql/plugins"}},
		{Import: "github.com/gofrs/flock", Open: []string{"server/store"}},
		{Import: "golang.org/x/sys", Open: append([]string{"internal/fsx", "internal/crashtest"}, above...)},
		{Import: "golang.org/x/sync", Open: above},
		{Import: "golang.org/x/text", Open: above},
		{Import: "github.com/google/go-cmp", Tests: true},
		{Import: "pgregory.net/rapid", Tests: true},
		{Import: "go.uber.org/goleak", Tests: true},
		{Import: "github.com/rogpeppe/go-internal", Tests: true},
		{Import: "C", Open: nil},
	}
}

// Package is what the checker knows of one folder.
type Package struct {
	Folder  string // below the module, with slashes
	Name    string
	Imports []Import
	Inits   []string // positions of init functions
}

// Import is one import of one file.
type Import struct {
	Path string
	Pos  string // file:line
	Test bool   // the file is a test
}

// Violation is one broken rule.
type Violation struct {
	Pos  string // file:line, or the folder
	Rule string // what is wrong and what the rule is
}

// String returns "position: rule".
func (v Violation) String() string { return v.Pos + ": " + v.Rule }

// Check returns every broken rule of the packages, in their order.
func (r Rules) Check(packages []Package) []Violation {
	var out []Violation
	for _, p := range packages {
		if slices.Contains(r.Names, p.Name) {
			out = append(out, Violation{p.Folder, fmt.Sprintf("package name %q says nothing about what it holds", p.Name)})
		}
		for _, pos := range p.Inits {
			out = append(out, Violation{pos, "init function: registration and set-up are explicit calls"})
		}
		entry, height, ok := r.height(p.Folder)
		if !ok {
			out = append(out, Violation{p.Folder, "the package has no layer: give it one in internal/layers"})
			continue
		}
		for _, i := range p.Imports {
			if rule := r.checkImport(p, entry, height, i); rule != "" {
				out = append(out, Violation{i.Pos, rule})
			}
		}
	}
	return out
}

func (r Rules) checkImport(p Package, entry string, height int, i Import) string {
	folder, ours := strings.CutPrefix(i.Path, r.Module+"/")
	if !ours {
		return r.checkDoor(p, i)
	}
	test := i.Test || isTestHelp(p.Folder)
	if isTestHelp(folder) && !test {
		return folder + " is help for tests, only tests import it"
	}
	toEntry, toHeight, ok := r.height(folder)
	switch {
	case !ok:
		return folder + " has no layer"
	case test || toEntry == entry || toHeight < height:
		return ""
	case toHeight == height:
		return fmt.Sprintf("layer %d imports sideways: %s", height, folder)
	}
	return fmt.Sprintf("layer %d imports %s of layer %d above it", height, folder, toHeight)
}

func (r Rules) checkDoor(p Package, i Import) string {
	door, found := r.door(i.Path)
	switch {
	case !found && !strings.Contains(strings.SplitN(i.Path, "/", 2)[0], "."):
		return "" // standard library
	case !found:
		return i.Path + " has no door: decide in internal/layers which packages may import it"
	case door.Tests && (i.Test || isTestHelp(p.Folder)):
		return ""
	}
	for _, open := range door.Open {
		if within(p.Folder, open) {
			return ""
		}
	}
	return fmt.Sprintf("%s may be imported by %s only", i.Path, strings.Join(door.Open, ", "))
}

// height finds the entry of a folder: the pattern with the most elements that
// matches, with a "*" replaced by what it stands for.
func (r Rules) height(folder string) (entry string, height int, ok bool) {
	best := -1
	for _, l := range r.Layers {
		name := l.Pattern
		if parent, star := strings.CutSuffix(name, "/*"); star {
			rest, below := strings.CutPrefix(folder, parent+"/")
			if !below {
				continue
			}
			name = parent + "/" + strings.SplitN(rest, "/", 2)[0]
		}
		if n := strings.Count(name, "/"); within(folder, name) && n > best {
			best, entry, height, ok = n, name, l.Height, true
		}
	}
	return entry, height, ok
}

func (r Rules) door(path string) (Door, bool) {
	var best Door
	for _, d := range r.Doors {
		if (within(path, d.Import) || strings.HasPrefix(path, d.Import+"/v")) && len(d.Import) > len(best.Import) {
			best = d
		}
	}
	return best, best.Import != ""
}

// within says whether path is root or lies below it.
func within(path, root string) bool {
	return root == "" || path == root || strings.HasPrefix(path, root+"/")
}

func isTestHelp(folder string) bool {
	last := folder[strings.LastIndexByte(folder, '/')+1:]
	return strings.HasSuffix(last, "test") && last != "crashtest"
}
