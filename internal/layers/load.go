package layers

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Load reads the import clauses of every Go file below the root of a module,
// in the order of their folders. It skips testdata, hidden folders, build
// products and modules within the module. Positions are relative to the root.
func Load(root fs.FS) ([]Package, error) {
	byFolder := map[string]*Package{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skip(root, name)
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		folder := path.Dir(name)
		if byFolder[folder] == nil {
			byFolder[folder] = &Package{Folder: folder}
		}
		return byFolder[folder].add(root, name)
	})
	if err != nil {
		return nil, fmt.Errorf("read the imports: %w", err)
	}
	var out []Package
	for _, p := range byFolder {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Package) int { return strings.Compare(a.Folder, b.Folder) })
	return out, nil
}

func skip(root fs.FS, name string) error {
	base := path.Base(name)
	if name == "." {
		return nil
	}
	if base == "testdata" || base[0] == '.' || base[0] == '_' || name == "build" || name == "bin" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (p *Package) add(root fs.FS, name string) error {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, data, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	test := strings.HasSuffix(name, "_test.go")
	if !test || p.Name == "" {
		p.Name = strings.TrimSuffix(file.Name.Name, "_test")
	}
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p.Imports = append(p.Imports, Import{Path: target, Pos: position(set, spec.Pos()), Test: test})
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			p.Inits = append(p.Inits, position(set, f.Pos()))
		}
	}
	return nil
}

func position(set *token.FileSet, pos token.Pos) string {
	at := set.Position(pos)
	return fmt.Sprintf("%s:%d", at.Filename, at.Line)
}
