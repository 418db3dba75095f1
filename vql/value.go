package vql

import (
	"context"
	"reflect"
	"sort"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter/types"
)

// toEngine turns a value of a plugin into one that the evaluator knows: NULL,
// bool, int64, uint64, float64, string, []byte, time.Time, Path, dictionaries,
// slices of these, and structs as rows.
func toEngine(v any) any {
	switch t := v.(type) {
	case nil:
		return types.Null{}
	case bool, string, int64, uint64, float64, []byte, []string, Path,
		*ordereddict.Dict, types.Null, *types.Null:
		return v
	case *Dict:
		if t == nil {
			return types.Null{}
		}
		return t.inner()
	case int:
		return int64(t)
	case int32:
		return int64(t)
	case uint32:
		return int64(t)
	case []any:
		return sliceToEngine(t)
	case Row:
		return rowToEngine(t)
	case Lazy:
		return t.expr
	case Query:
		return t.query
	case error:
		return t.Error()
	}
	return reflectToEngine(v)
}

func sliceToEngine(in []any) any {
	for i, v := range in {
		switch v.(type) {
		case bool, string, int64, uint64, float64, *ordereddict.Dict:
			continue
		}
		out := make([]any, len(in))
		copy(out, in[:i])
		for j := i; j < len(in); j++ {
			out[j] = toEngine(in[j])
		}
		return out
	}
	return in
}

func rowToEngine(r Row) *ordereddict.Dict {
	d := ordereddict.NewDict()
	for i, name := range r.Columns.Names() {
		d.Set(name, toEngine(r.at(i)))
	}
	return d
}

// reflectToEngine is the slow path for named and composed types.
func reflectToEngine(v any) any {
	if opaque(v) {
		return v
	}
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.Bool:
		return rv.Bool()
	case reflect.String:
		return rv.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return rv.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if u := rv.Uint(); u > 1<<63-1 || rv.Kind() == reflect.Uint64 {
			return u
		} else {
			return int64(u)
		}
	case reflect.Float32, reflect.Float64:
		return rv.Float()
	case reflect.Slice, reflect.Array:
		if rv.Kind() == reflect.Slice && rv.IsNil() {
			return []any{}
		}
		out := make([]any, rv.Len())
		for i := range out {
			out[i] = toEngine(rv.Index(i).Interface())
		}
		return out
	case reflect.Map:
		return mapToEngine(rv)
	case reflect.Pointer:
		if rv.IsNil() {
			return types.Null{}
		}
		if rv.Elem().Kind() == reflect.Struct && !opaque(rv.Elem().Interface()) {
			return newStructRow(v)
		}
		return toEngine(rv.Elem().Interface())
	case reflect.Struct:
		p := reflect.New(rv.Type())
		p.Elem().Set(rv)
		return newStructRow(p.Interface())
	}
	return v
}

func mapToEngine(rv reflect.Value) any {
	keys := make([]string, 0, rv.Len())
	byKey := make(map[string]reflect.Value, rv.Len())
	for _, k := range rv.MapKeys() {
		name := toText(k.Interface())
		keys = append(keys, name)
		byKey[name] = rv.MapIndex(k)
	}
	sort.Strings(keys)
	d := ordereddict.NewDict()
	for _, k := range keys {
		d.Set(k, toEngine(byKey[k].Interface()))
	}
	return d
}

// fromEngine turns a value of the evaluator into one for plugins: nil for
// NULL, *Dict for dictionaries, Query for stored queries. Other values stay.
func fromEngine(v any) any {
	switch t := v.(type) {
	case nil, bool, string, int64, float64:
		return v
	case types.Null, *types.Null:
		return nil
	case *ordereddict.Dict:
		return (*Dict)(t)
	case int:
		return int64(t)
	case *structRow:
		return t.value
	case types.LazyExpr:
		return fromEngine(t.Reduce(context.Background()))
	case types.LazyRow:
		return lazyRowDict(t)
	case types.Materializer:
		return v
	case types.StoredQuery:
		return Query{query: t}
	}
	return v
}

func lazyRowDict(row types.LazyRow) *Dict {
	d := ordereddict.NewDict()
	for _, name := range row.Columns() {
		value, _ := row.Get(name)
		d.Set(name, value)
	}
	return (*Dict)(d)
}
