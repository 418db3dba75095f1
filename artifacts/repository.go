package artifacts

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

//go:embed library/*/*.yaml
var library embed.FS

// Repository knows artifacts by name. It is a layer over another, the lowest
// being the embedded library or nothing; what a higher layer defines hides the
// same name below. A Repository does not change once it is made and may be used
// by several goroutines at once.
type Repository struct {
	below    *Repository
	problems []FileProblem
	index    func() index // computed once, at first use
}

// index is what one layer knows.
type index struct {
	entries map[string]*entry
	aliases map[string]string // alias to name
}

// entry is one definition of a layer, parsed at first use.
type entry struct {
	name, path string
	load       func() (*Artifact, error)
}

// FileProblem is a file of a directory that was passed over, or that is noted:
// a definition that replaces another.
type FileProblem struct {
	Path string
	Err  error
	// Note says that the file was read all the same.
	Note bool
}

// Error gives the path and the reason.
func (p FileProblem) Error() string { return p.Path + ": " + p.Err.Error() }

// Unwrap returns the reason.
func (p FileProblem) Unwrap() error { return p.Err }

// Empty returns a repository that knows nothing.
func Empty() *Repository {
	return &Repository{index: func() index { return index{} }}
}

// Embedded returns the library that comes with the program. Nothing is read
// until it is asked for: names come from a scan of the files' top lines, and a
// definition is parsed when it is first got.
func Embedded() *Repository {
	return &Repository{index: sync.OnceValue(func() index {
		ix := index{entries: make(map[string]*entry), aliases: make(map[string]string)}
		_ = fs.WalkDir(library, ".", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			head, err := topOf(path)
			if err != nil {
				return err
			}
			name, aliases := peek(head)
			ix.entries[name] = &entry{name: name, path: path, load: sync.OnceValues(func() (*Artifact, error) {
				data, err := library.ReadFile(path)
				if err != nil {
					return nil, err
				}
				a, err := Parse(data, path)
				if a != nil {
					a.BuiltIn = true
				}
				return a, err
			})}
			for _, alias := range aliases {
				ix.aliases[alias] = name
			}
			return nil
		})
		return ix
	})}
}

// topOf returns the first KiB of a file of the library.
func topOf(path string) ([]byte, error) {
	f, err := library.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 1024)
	n, err := io.ReadFull(f, head)
	if err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

// peek finds the name and the aliases in the first lines of a definition, those
// before its description, without reading it as YAML. It serves the library,
// where a test holds it to what Parse gives; foreign files are parsed.
func peek(data []byte) (name string, aliases []string) {
	for len(data) > 0 {
		var l []byte
		l, data, _ = bytes.Cut(data, []byte("\n"))
		if rest, ok := bytes.CutPrefix(l, []byte("name:")); ok {
			name = string(bytes.TrimSpace(rest))
		} else if rest, ok := bytes.CutPrefix(bytes.TrimSpace(l), []byte("- ")); ok {
			aliases = append(aliases, string(bytes.TrimSpace(rest)))
		} else if !bytes.HasPrefix(l, []byte("aliases:")) {
			break
		}
	}
	return name, aliases
}

// With returns a repository in which the definitions of dir lie over those of r:
// every *.yaml and *.yml in it and below, in the order of their paths, a later
// one replacing an earlier one of the same name. dir may also be one file. Files
// that cannot be read or parsed are passed over and told by
// [Repository.Problems]; the error is about dir itself.
func (r *Repository) With(dir string) (*Repository, error) {
	paths, problems, err := definitions(dir)
	if err != nil {
		return nil, err
	}
	l := newLayer(r, problems)
	for _, path := range paths {
		data, err := readDefinition(path)
		if err != nil {
			l.fail(path, err)
			continue
		}
		l.add(data, path)
	}
	return l.repository(), nil
}

// WithDefinitions returns a repository with the definitions of the texts over
// those of r. origin names them in errors. Unlike [Repository.With], the first
// that cannot be parsed is an error.
func (r *Repository) WithDefinitions(origin string, texts ...[]byte) (*Repository, error) {
	l := newLayer(r, nil)
	for _, text := range texts {
		if !l.add(text, origin) {
			return nil, l.problems[len(l.problems)-1].Err
		}
	}
	return l.repository(), nil
}

// Problems tells of files that were passed over in this layer and those below
// it, and of definitions that replaced others (Note).
func (r *Repository) Problems() []FileProblem {
	if r.below == nil {
		return r.problems
	}
	return append(r.below.Problems(), r.problems...)
}

// Names returns all names in order, without aliases, and without parsing.
func (r *Repository) Names() []string {
	seen := make(map[string]bool)
	for l := r; l != nil; l = l.below {
		for name := range l.index().entries {
			seen[name] = true
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Get returns the artifact of that name, or of that alias where no artifact has
// the name. The error wraps [ErrNotFound] and tells the nearest names, or is
// what is wrong with the definition.
func (r *Repository) Get(name string) (*Artifact, error) {
	for l := r; l != nil; l = l.below {
		if e, ok := l.index().entries[name]; ok {
			return e.load()
		}
	}
	for l := r; l != nil; l = l.below {
		if real, ok := l.index().aliases[name]; ok {
			return r.Get(real)
		}
	}
	return nil, fmt.Errorf("%w: %q%s", ErrNotFound, clip(name), didYouMean(name, r.Names()))
}

// layer collects the definitions of a new layer.
type layer struct {
	below    *Repository
	problems []FileProblem
	ix       index
}

func newLayer(below *Repository, problems []FileProblem) *layer {
	return &layer{below: below, problems: problems, ix: index{entries: make(map[string]*entry), aliases: make(map[string]string)}}
}

func (l *layer) fail(path string, err error) {
	l.problems = append(l.problems, FileProblem{Path: path, Err: err})
}

// add parses one text into the layer and says whether that went well.
func (l *layer) add(data []byte, path string) bool {
	a, err := Parse(data, path)
	if err != nil {
		l.fail(path, err)
		return false
	}
	if old := l.known(a.Name); old != "" {
		a.Overrides = old
		l.problems = append(l.problems, FileProblem{Path: path, Note: true, Err: fmt.Errorf("%s replaces the definition in %s", a.Name, old)})
	}
	l.ix.entries[a.Name] = &entry{name: a.Name, path: path, load: func() (*Artifact, error) { return a, nil }}
	for _, alias := range a.Aliases {
		l.ix.aliases[alias] = a.Name
	}
	return true
}

// known is the path of the definition that has the name so far.
func (l *layer) known(name string) string {
	if e, ok := l.ix.entries[name]; ok {
		return e.path
	}
	for b := l.below; b != nil; b = b.below {
		if e, ok := b.index().entries[name]; ok {
			return e.path
		}
	}
	return ""
}

func (l *layer) repository() *Repository {
	ix := l.ix
	return &Repository{below: l.below, problems: l.problems, index: func() index { return ix }}
}

// definitions lists the YAML files under dir in the order of their paths.
func definitions(dir string) (paths []string, problems []FileProblem, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read definitions: %w", err)
	}
	if !info.IsDir() {
		return []string{dir}, nil, nil
	}
	errMany := errors.New("too many files")
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if path == dir {
				return err
			}
			problems = append(problems, FileProblem{Path: path, Err: err})
			return nil
		}
		ext := strings.ToLower(filepath.Ext(path))
		if e.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		if len(paths) == MaxFiles {
			return errMany
		}
		paths = append(paths, path)
		return nil
	})
	if errors.Is(err, errMany) {
		return nil, nil, fmt.Errorf("read definitions: more than %d files in %s", MaxFiles, dir)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read definitions: %w", err)
	}
	return paths, problems, nil
}

// readDefinition reads a regular file of at most MaxBytes.
func readDefinition(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return data, err
}
