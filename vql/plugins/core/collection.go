package core

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"satchel/vql"
)

func collectionList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("dict", dict, vql.FreeArgs(), vql.Doc("Makes a dictionary of its arguments.")),
		vql.NewFunction("array", array, vql.FreeArgs(), vql.Doc("Makes a list of its arguments.")),
		vql.NewFunction("get", get, vql.Doc("Returns a member of a value, or of the scope.")),
		vql.NewFunction("set", set, vql.Doc("Sets a member of a dictionary or an element of a list.")),
		vql.NewFunction("len", length, vql.Doc("Returns the length of a list, dictionary, query or text.")),
		vql.NewFunction("filter", filter, vql.Doc("Keeps the elements of a list that match.")),
		vql.NewFunction("any", anyOf, vql.Doc("Tells whether one element of a list matches.")),
		vql.NewFunction("all", allOf, vql.Doc("Tells whether all elements of a list match.")),
		vql.NewFunction("slice", slice, vql.Doc("Cuts a part out of a list.")),
		vql.NewFunction("items", itemsFunction, vql.Doc("Lists the members of a value as dictionaries with _key and _value.")),
		vql.NewRowsPlugin("items", itemsPlugin, vql.Doc("Gives the members of a value as rows with _key and _value.")),
		vql.NewFunction("to_dict", toDict, vql.Doc("Makes a dictionary of rows with _key and _value.")),
		vql.NewFunction("similarity", similarity, vql.Doc("Returns how much two dictionaries have in common, from 0 to 1.")),
		vql.NewFunction("eval", eval, vql.Doc("Calls a lambda.")),
	}
}

type freeArgs struct {
	Args *vql.Dict `vql:",rest"`
}

func dict(ctx context.Context, s *vql.Scope, a freeArgs) (any, error) {
	out := vql.NewDict()
	for name, v := range a.Args.All() {
		out.Set(name, s.Materialize(ctx, v))
	}
	return out, nil
}

func array(ctx context.Context, s *vql.Scope, a freeArgs) (any, error) {
	out := make([]any, 0, a.Args.Len())
	for _, v := range a.Args.All() {
		out = append(out, s.Materialize(ctx, v))
	}
	return out, nil
}

type getArgs struct {
	Item    vql.Lazy `vql:"item"`
	Member  string   `vql:"member"`
	Field   any      `vql:"field"`
	Default any      `vql:"default"`
}

func get(ctx context.Context, s *vql.Scope, a getArgs) (any, error) {
	keys := []any{a.Field}
	if a.Field == nil {
		if a.Member == "" {
			return nil, fmt.Errorf("needs member or field")
		}
		keys = keys[:0]
		for part := range strings.SplitSeq(a.Member, ".") {
			if n, err := strconv.ParseInt(part, 10, 64); err == nil {
				keys = append(keys, n)
			} else {
				keys = append(keys, part)
			}
		}
	}
	var v any
	found := true
	if a.Item.IsSet() {
		v = a.Item.Value(ctx)
	} else {
		v, found = s.Resolve(s.Text(keys[0]))
		keys = keys[1:]
	}
	for _, key := range keys {
		if !found || v == nil {
			return a.Default, nil
		}
		v, found = member(s, v, key)
	}
	if !found || v == nil {
		return a.Default, nil
	}
	return v, nil
}

// member looks a key up; a number that is no index may be the name of a key.
func member(s *vql.Scope, v, key any) (any, bool) {
	if n, ok := key.(int64); ok {
		if d, ok := v.(*vql.Dict); ok {
			return d.Get(strconv.FormatInt(n, 10))
		}
	}
	if d, ok := v.(*vql.Dict); ok {
		return d.Get(s.Text(key))
	}
	return s.Member(v, key)
}

type setArgs struct {
	Item  any `vql:"item,required"`
	Field any `vql:"field,required"`
	Value any `vql:"value,required"`
}

func set(_ context.Context, s *vql.Scope, a setArgs) (any, error) {
	switch item := a.Item.(type) {
	case *vql.Dict:
		item.Update(s.Text(a.Field), a.Value)
		return item, nil
	case vql.Row:
		return item.Dict().Update(s.Text(a.Field), a.Value), nil
	case []any:
		n, err := strconv.ParseInt(s.Text(a.Field), 10, 64)
		if err != nil {
			return item, fmt.Errorf("a list is indexed by number, not by %q", s.Text(a.Field))
		}
		if n < 0 {
			n += int64(len(item))
		}
		if n < 0 || n >= int64(len(item)) {
			return item, fmt.Errorf("index %d is beyond a list of %d", n, len(item))
		}
		item[n] = a.Value
		return item, nil
	}
	return a.Item, fmt.Errorf("cannot set a member of %T", a.Item)
}

type lenArgs struct {
	List any `vql:"list,required"`
}

func length(ctx context.Context, s *vql.Scope, a lenArgs) (any, error) {
	switch t := a.List.(type) {
	case nil:
		return int64(0), nil
	case string:
		return int64(len(t)), nil
	case []byte:
		return int64(len(t)), nil
	case *vql.Dict:
		return int64(t.Len()), nil
	case vql.Row:
		return int64(len(t.Columns.Names())), nil
	case vql.Path:
		return int64(len(t.Components())), nil
	case bool, int64, uint64, float64:
		return int64(0), nil
	}
	return int64(len(s.Items(ctx, a.List))), nil
}

type filterArgs struct {
	List      []any      `vql:"list,required"`
	Regex     string     `vql:"regex"`
	Condition vql.Lambda `vql:"condition"`
}

func filter(ctx context.Context, s *vql.Scope, a filterArgs) (any, error) {
	out := []any{}
	for _, item := range a.List {
		keep, err := matches(ctx, s, item, a.Condition, a.Regex)
		if err != nil {
			return nil, err
		}
		if keep {
			out = append(out, item)
		}
	}
	return out, nil
}

// matches tests an element by a lambda and by regular expressions of which one
// must match. Without either, the element itself must be true.
func matches(ctx context.Context, s *vql.Scope, item any, condition vql.Lambda, patterns ...string) (bool, error) {
	if condition.IsSet() && !s.Truth(condition.Call(ctx, s, item)) {
		return false, nil
	}
	tested, hit := false, false
	for _, p := range patterns {
		if p == "" {
			continue
		}
		tested = true
		re, err := s.Regexp(p)
		if err != nil {
			return false, err
		}
		hit = hit || re.MatchString(s.Text(item))
	}
	if tested {
		return hit, nil
	}
	return condition.IsSet() || s.Truth(item), nil
}

type anyArgs struct {
	Items  []any      `vql:"items,required"`
	Filter vql.Lambda `vql:"filter"`
	Regex  []string   `vql:"regex"`
}

func anyOf(ctx context.Context, s *vql.Scope, a anyArgs) (any, error) {
	for _, item := range a.Items {
		if hit, err := matches(ctx, s, item, a.Filter, a.Regex...); hit || err != nil {
			return hit, err
		}
	}
	return false, nil
}

func allOf(ctx context.Context, s *vql.Scope, a anyArgs) (any, error) {
	for _, item := range a.Items {
		if hit, err := matches(ctx, s, item, a.Filter, a.Regex...); !hit || err != nil {
			return false, err
		}
	}
	return true, nil
}

type sliceArgs struct {
	List  any   `vql:"list,required"`
	Start int64 `vql:"start,required"`
	End   int64 `vql:"end,required"`
}

func slice(ctx context.Context, s *vql.Scope, a sliceArgs) (any, error) {
	if text, ok := a.List.(string); ok {
		from, to := clampRange(a.Start, a.End, len(text))
		return text[from:to], nil
	}
	items := s.Items(ctx, a.List)
	from, to := clampRange(a.Start, a.End, len(items))
	return items[from:to], nil
}

// clampRange makes a valid range of a wished one.
func clampRange(start, end int64, n int) (from, to int) {
	start = min(max(0, start), int64(n))
	end = min(max(start, end), int64(n))
	return int(start), int(end)
}

type itemsArgs struct {
	Item any `vql:"item"`
}

func itemsPlugin(ctx context.Context, s *vql.Scope, a itemsArgs, emit func(vql.Row) bool) error {
	columns := vql.NewColumns("_key", "_value")
	eachMember(ctx, s, a.Item, func(key, v any) bool { return emit(vql.NewRow(columns, key, v)) })
	return nil
}

func itemsFunction(ctx context.Context, s *vql.Scope, a itemsArgs) (any, error) {
	out := []any{}
	eachMember(ctx, s, a.Item, func(key, v any) bool {
		out = append(out, vql.NewDict().Set("_key", key).Set("_value", v))
		return true
	})
	return out, nil
}

// eachMember yields the keys and values of a dictionary, the numbers and
// elements of a list.
func eachMember(ctx context.Context, s *vql.Scope, v any, yield func(key, v any) bool) {
	switch t := v.(type) {
	case nil:
		return
	case *vql.Dict:
		for key, value := range t.All() {
			if !yield(key, value) {
				return
			}
		}
		return
	case vql.Row:
		eachMember(ctx, s, t.Dict(), yield)
		return
	case vql.Path, string, bool, int64, uint64, float64:
		yield(int64(0), v)
		return
	}
	if names := s.Members(v); len(names) > 0 {
		if _, list := v.([]any); !list {
			for _, name := range names {
				value, _ := s.Member(v, name)
				if !yield(name, value) {
					return
				}
			}
			return
		}
	}
	for i, item := range s.Items(ctx, v) {
		if !yield(int64(i), item) {
			return
		}
	}
}

type toDictArgs struct {
	Item vql.Lazy `vql:"item"`
}

func toDict(ctx context.Context, s *vql.Scope, a toDictArgs) (any, error) {
	v := a.Item.Value(ctx)
	if d, ok := v.(*vql.Dict); ok {
		return d.Copy(), nil
	}
	out := vql.NewDict()
	for row := range s.Iterate(ctx, v) {
		key, found := s.Member(row, "_key")
		if !found {
			for _, name := range s.Members(row) {
				value, _ := s.Member(row, name)
				out.Set(name, value)
			}
			continue
		}
		value, _ := s.Member(row, "_value")
		out.Set(s.Text(key), value)
	}
	return out, nil
}

type similarityArgs struct {
	Set1 *vql.Dict `vql:"set1,required"`
	Set2 *vql.Dict `vql:"set2,required"`
}

// similarity is the Jaccard index of the pairs of key and value.
func similarity(_ context.Context, s *vql.Scope, a similarityArgs) (any, error) {
	both, all := 0, a.Set2.Len()
	for key, x := range a.Set1.All() {
		y, found := a.Set2.Get(key)
		switch {
		case !found:
			all++
		case s.Equal(x, y):
			both++
		}
	}
	if all == 0 {
		return 1.0, nil
	}
	return float64(both) / float64(all), nil
}

type evalArgs struct {
	Func vql.Lambda `vql:"func,required"`
	Args []any      `vql:"args"`
}

func eval(ctx context.Context, s *vql.Scope, a evalArgs) (any, error) {
	return a.Func.Call(ctx, s, a.Args...), nil
}
