package vql

import (
	"strings"

	"www.velocidex.com/golang/vfilter/protocols"
	"www.velocidex.com/golang/vfilter/types"
)

// The types below tell the evaluator how operators treat a Path.

type pathMembers struct{}

func (pathMembers) Applicable(a, _ types.Any) bool {
	_, ok := a.(Path)
	return ok
}

func (pathMembers) GetMembers(types.Scope, types.Any) []string {
	return []string{"Path", "Components", "Basename", "Dirname", "DelegateAccessor", "DelegatePath"}
}

func (pathMembers) Associative(scope types.Scope, a, b types.Any) (types.Any, bool) {
	p, ok := a.(Path)
	if !ok {
		return nil, false
	}
	switch key := b.(type) {
	case string:
		return p.member(key)
	case []*int64:
		parts, found := scope.Associative(p.components, b)
		list, isList := parts.([]types.Any)
		if !found || !isList {
			return types.Null{}, true
		}
		p.components = nil
		for _, part := range list {
			p.components = append(p.components, toText(part))
		}
		return p, true
	case int64:
		if key < 0 {
			key += int64(len(p.components))
		}
		if key < 0 || key >= int64(len(p.components)) {
			return types.Null{}, true
		}
		return p.components[key], true
	}
	return nil, false
}

func (p Path) member(name string) (any, bool) {
	switch name {
	case "Basename":
		return p.Base(), true
	case "Dirname":
		return p.Dir(), true
	case "Components":
		return p.components, true
	case "Path":
		return p.Inner(), true
	case "String", "HumanString", "PathSpec":
		return p.String(), true
	case "DelegateAccessor", "Accessor":
		if p.delegate != nil {
			return p.delegate.Accessor, true
		}
		return types.Null{}, true
	case "DelegatePath":
		if p.delegate != nil {
			return p.delegate.Path, true
		}
		return types.Null{}, true
	}
	return nil, false
}

// pathAnd returns the texts of two values of which one is a path and the other
// a path or text.
func pathAnd(a, b types.Any) (x, y string, ok bool) {
	_, aPath := a.(Path)
	_, bPath := b.(Path)
	_, aText := a.(string)
	_, bText := b.(string)
	if (aPath || bPath) && (aPath || aText) && (bPath || bText) {
		return toText(a), toText(b), true
	}
	return "", "", false
}

type pathText struct{}

func (pathText) Applicable(a, b types.Any) bool {
	_, _, ok := pathAnd(a, b)
	return ok
}

func (pathText) Eq(_ types.Scope, a, b types.Any) bool {
	x, y, ok := pathAnd(a, b)
	return ok && x == y
}

type pathOrder struct{}

func (pathOrder) Applicable(a, b types.Any) bool { return pathText{}.Applicable(a, b) }

func (pathOrder) Lt(_ types.Scope, a, b types.Any) bool {
	x, y, ok := pathAnd(a, b)
	return ok && x < y
}

type pathAfter struct{}

func (pathAfter) Applicable(a, b types.Any) bool { return pathText{}.Applicable(a, b) }

func (pathAfter) Gt(_ types.Scope, a, b types.Any) bool {
	x, y, ok := pathAnd(a, b)
	return ok && x > y
}

// pathAdd appends text, a path or a list of components to a path, and the text
// of a path to text.
type pathAdd struct{}

func (pathAdd) Applicable(a, b types.Any) bool {
	if _, ok := a.(Path); ok {
		return true
	}
	_, ok := b.(Path)
	_, text := a.(string)
	return ok && text
}

func (pathAdd) Add(_ types.Scope, a, b types.Any) types.Any {
	p, ok := a.(Path)
	if !ok {
		return toText(a) + toText(b)
	}
	switch t := b.(type) {
	case Path:
		return p.Join(t.components...)
	case string:
		if strings.HasPrefix(t, "{") {
			return p.Join(t)
		}
		return p.Join(ParsePath(p.style, t).components...)
	}
	items := listItems(fromEngine(b))
	for _, item := range items {
		p = p.Join(toText(item))
	}
	return p
}

// pathMatch matches a regular expression against the text of a path.
type pathMatch struct{}

func (pathMatch) Applicable(pattern, target types.Any) bool {
	_, text := pattern.(string)
	_, path := target.(Path)
	return text && path
}

func (pathMatch) Match(scope types.Scope, pattern, target types.Any) bool {
	text, ok := pattern.(string)
	return ok && protocols.Match(scope, text, toText(target))
}
