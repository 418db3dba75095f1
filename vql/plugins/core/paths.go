package core

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"satchel/vql"
)

func pathList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("basename", basename, vql.Doc("Returns the last component of a path.")),
		vql.NewFunction("dirname", dirname, vql.Doc("Returns a path without its last component.")),
		vql.NewFunction("path_join", pathJoin, vql.Doc("Joins components to a path.")),
		vql.NewFunction("path_split", pathSplit, vql.Doc("Splits a path into its components.")),
		vql.NewFunction("relpath", relpath, vql.Doc("Returns a path as seen from another.")),
		vql.NewFunction("pathspec", pathspec, vql.Doc("Makes a path, also one inside a container.")),
		vql.NewFunction("url", urlFunction, vql.Doc("Parses or builds a URL.")),
	}
}

type pathArgs struct {
	Path     any    `vql:"path,required"`
	Sep      string `vql:"sep"`
	PathType string `vql:"path_type"`
}

// parsed returns the argument as a path, and whether it was a text.
func (a pathArgs) parsed(s *vql.Scope) (p vql.Path, isText bool, err error) {
	if p, ok := a.Path.(vql.Path); ok {
		return p, false, nil
	}
	text := s.Text(a.Path)
	style, err := pathStyle(a.PathType, a.Sep, text)
	return vql.ParsePath(style, text), true, err
}

// pathStyle tells the style by its name, else by the separator, else by the
// look of the text.
func pathStyle(pathType, sep, text string) (vql.Style, error) {
	switch strings.ToLower(pathType) {
	case "linux", "posix", "unix", "darwin":
		return vql.Posix, nil
	case "windows", "ntfs", "auto":
		return vql.Windows, nil
	case "registry", "reg", "raw_reg":
		return vql.Registry, nil
	case "zip", "generic", "pathspec", "fat", "mft", "file_store":
		return vql.Generic, nil
	case "":
	default:
		return vql.Posix, fmt.Errorf("path_type %q is none of linux, windows, registry, generic", pathType)
	}
	if sep == `\` || sep == "" && (strings.Contains(text, `\`) || len(text) > 1 && text[1] == ':') {
		return vql.Windows, nil
	}
	return vql.Posix, nil
}

func basename(_ context.Context, s *vql.Scope, a pathArgs) (any, error) {
	p, _, err := a.parsed(s)
	return p.Base(), err
}

func dirname(_ context.Context, s *vql.Scope, a pathArgs) (any, error) {
	p, isText, err := a.parsed(s)
	if err != nil {
		return nil, err
	}
	if isText {
		return textPath(s.Text(a.Path), p.Dir()), nil
	}
	return p.Dir(), nil
}

// textPath writes a path that was a text: relative if that was.
func textPath(original string, p vql.Path) string {
	text := p.Inner()
	if !strings.HasPrefix(original, "/") {
		text = strings.TrimPrefix(text, "/")
	}
	return text
}

func pathSplit(_ context.Context, s *vql.Scope, a pathArgs) (any, error) {
	p, _, err := a.parsed(s)
	return p.Components(), err
}

type pathJoinArgs struct {
	Components []any  `vql:"components,required"`
	Sep        string `vql:"sep"`
	PathType   string `vql:"path_type"`
}

func pathJoin(_ context.Context, s *vql.Scope, a pathJoinArgs) (any, error) {
	if len(a.Components) == 0 {
		return "", nil
	}
	if p, ok := a.Components[0].(vql.Path); ok {
		for _, c := range a.Components[1:] {
			p = p.Join(vql.ParsePath(p.Style(), s.Text(c)).Components()...)
		}
		return p, nil
	}
	first := s.Text(a.Components[0])
	style, err := pathStyle(a.PathType, a.Sep, first)
	if err != nil {
		return nil, err
	}
	p := vql.NewPath(style)
	for _, c := range a.Components {
		p = p.Join(vql.ParsePath(style, s.Text(c)).Components()...)
	}
	if a.Sep != "" && a.PathType == "" {
		text := strings.Join(p.Components(), a.Sep)
		if strings.HasPrefix(first, a.Sep) {
			text = a.Sep + text
		}
		return text, nil
	}
	return p.Inner(), nil
}

type relpathArgs struct {
	Path string `vql:"path,required"`
	Base string `vql:"base,required"`
	Sep  string `vql:"sep"`
}

func relpath(_ context.Context, _ *vql.Scope, a relpathArgs) (any, error) {
	style, err := pathStyle("", a.Sep, a.Path)
	if err != nil {
		return nil, err
	}
	path, base := vql.ParsePath(style, a.Path).Components(), vql.ParsePath(style, a.Base).Components()
	n := 0
	for n < len(path) && n < len(base) && path[n] == base[n] {
		n++
	}
	var parts []string
	for range base[n:] {
		parts = append(parts, "..")
	}
	sep := a.Sep
	if sep == "" {
		sep = "/"
		if style == vql.Windows {
			sep = `\`
		}
	}
	return strings.Join(append(parts, path[n:]...), sep), nil
}

type pathspecArgs struct {
	DelegateAccessor string `vql:"DelegateAccessor"`
	DelegatePath     any    `vql:"DelegatePath"`
	Delegate         any    `vql:"Delegate"`
	Path             any    `vql:"Path"`
	Parse            string `vql:"parse"`
	PathType         string `vql:"path_type"`
	Accessor         string `vql:"accessor"`
}

func pathspec(ctx context.Context, s *vql.Scope, a pathspecArgs) (any, error) {
	style := vql.Generic
	if a.PathType != "" || a.Parse != "" {
		var err error
		if style, err = pathStyle(a.PathType, "", a.Parse); err != nil {
			return nil, err
		}
	}
	if a.Parse != "" {
		if a.PathType == "" && a.Accessor != "" {
			return s.ToPath(ctx, a.Accessor, a.Parse)
		}
		return vql.ParsePath(style, a.Parse), nil
	}
	p := vql.NewPath(style)
	switch t := a.Path.(type) {
	case nil:
	case vql.Path:
		p = t
	case []any:
		for _, c := range t {
			p = p.Join(s.Text(c))
		}
	default:
		p = vql.ParsePath(style, s.Text(t))
	}
	return a.delegated(ctx, s, p)
}

func (a pathspecArgs) delegated(ctx context.Context, s *vql.Scope, p vql.Path) (any, error) {
	accessor, container := a.DelegateAccessor, a.DelegatePath
	if a.Delegate != nil {
		if d, ok := a.Delegate.(vql.Path); ok {
			container = d
		} else {
			name, _ := s.Member(a.Delegate, "DelegateAccessor")
			path, _ := s.Member(a.Delegate, "DelegatePath")
			inner, _ := s.Member(a.Delegate, "Path")
			within := pathspecArgs{DelegateAccessor: s.Text(name), DelegatePath: path, Path: inner}
			delegate, err := pathspec(ctx, s, within)
			if err != nil {
				return nil, err
			}
			container = delegate
		}
	}
	switch t := container.(type) {
	case nil:
		if accessor == "" {
			return p, nil
		}
		return p.WithDelegate(accessor, vql.Path{}), nil
	case vql.Path:
		return p.WithDelegate(accessor, t), nil
	}
	// The text of a container may be content and not a path: it stays whole.
	text := s.Text(container)
	if accessor == "data" || accessor == "scope" {
		return p.WithDelegate(accessor, vql.NewPath(vql.Windows, text)), nil
	}
	style, err := pathStyle("", "", text)
	if err != nil {
		return nil, err
	}
	return p.WithDelegate(accessor, vql.ParsePath(style, text)), nil
}

type urlArgs struct {
	Scheme   string `vql:"scheme"`
	Host     string `vql:"host"`
	Path     string `vql:"path"`
	Fragment string `vql:"fragment"`
	Query    any    `vql:"query"`
	Parse    string `vql:"parse"`
}

func urlFunction(ctx context.Context, s *vql.Scope, a urlArgs) (any, error) {
	u := &url.URL{Scheme: a.Scheme, Host: a.Host, Path: a.Path, Fragment: a.Fragment}
	if a.Parse != "" {
		var err error
		if u, err = url.Parse(a.Parse); err != nil {
			return nil, fmt.Errorf("parse URL: %w", err)
		}
	} else {
		u.RawQuery = urlQuery(ctx, s, a.Query)
	}
	query := vql.NewDict()
	for key, values := range u.Query() {
		query.Set(key, values)
	}
	return vql.NewDict().Set("Scheme", u.Scheme).Set("Host", u.Host).Set("Path", u.Path).Set("Fragment", u.Fragment).
		Set("RawQuery", u.RawQuery).Set("Query", query).Set("String", u.String()), nil
}

func urlQuery(ctx context.Context, s *vql.Scope, v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	values := url.Values{}
	if d, ok := v.(*vql.Dict); ok {
		for key, value := range d.All() {
			for _, item := range s.Items(ctx, value) {
				values.Add(key, s.Text(item))
			}
		}
	}
	return values.Encode()
}
