package vql

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter/types"
)

// toEngine turns a value of a plugin into one that the evaluator knows: NULL,
// bool, int64, uint64, float64, string, []byte, time.Time, Path, dictionaries,
// slices of these, and rows.
func toEngine(v any) any {
	switch t := v.(type) {
	case nil:
		return types.Null{}
	case bool, string, int64, uint64, float64, []byte, []string, Path,
		*ordereddict.Dict, types.Null, *types.Null, *structRow, *sharedRow:
		return v
	case time.Time:
		if t.IsZero() {
			return types.Null{}
		}
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
		return &sharedRow{columns: t.Columns, values: t.Values}
	case []types.Any:
		return v
	case []types.Row:
		if t == nil {
			return types.Null{}
		}
		return v
	case Lazy:
		return toEngine(t.expr)
	case Query:
		if t.query == nil {
			return types.Null{}
		}
		return t.query
	}
	if engineType(v) {
		return v
	}
	return otherToEngine(v)
}

// engineType says whether a value is one of the evaluator's own.
func engineType(v any) bool {
	switch v.(type) {
	case types.LazyExpr, types.LazyRow, types.StoredQuery, types.Materializer, types.Scope, types.StoredExpression, types.PluginGeneratorInterface:
		return true
	}
	return false
}

func sliceToEngine(in []any) any {
	for i, v := range in {
		switch v.(type) {
		case bool, string, int64, uint64, float64, *ordereddict.Dict, types.Null:
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

// otherToEngine is for types that print themselves: they become text.
func otherToEngine(v any) any {
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer && rv.IsNil() {
		return types.Null{}
	}
	switch t := v.(type) {
	case json.RawMessage:
		if decoded, err := ParseJSON(t); err == nil {
			return toEngine(decoded)
		}
		return []byte(t)
	case *time.Time:
		return toEngine(*t)
	case error:
		return t.Error()
	case fmt.Stringer:
		return t.String()
	}
	return reflectToEngine(rv, v)
}

// reflectToEngine is the slow path for named and composed types.
func reflectToEngine(rv reflect.Value, v any) any {
	switch rv.Kind() {
	case reflect.Bool:
		return rv.Bool()
	case reflect.String:
		return rv.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return rv.Int()
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(rv.Uint())
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return rv.Uint()
	case reflect.Float32, reflect.Float64:
		return rv.Float()
	case reflect.Slice, reflect.Array:
		return listToEngine(rv)
	case reflect.Map:
		return mapToEngine(rv)
	case reflect.Pointer:
		if rv.Elem().Kind() == reflect.Struct {
			return &structRow{plan: planRow(rv.Elem().Type()), elem: rv.Elem()}
		}
		return toEngine(rv.Elem().Interface())
	case reflect.Struct:
		return &structRow{plan: planRow(rv.Type()), elem: rv}
	}
	return fmt.Sprint(v)
}

func listToEngine(rv reflect.Value) any {
	if rv.Type().Elem().Kind() == reflect.Uint8 {
		b := make([]byte, rv.Len())
		reflect.Copy(reflect.ValueOf(b), rv)
		return b
	}
	out := make([]any, rv.Len())
	for i := range out {
		out[i] = toEngine(rv.Index(i).Interface())
	}
	return out
}

// mapToEngine makes a dictionary with its keys in order, so that output is
// stable.
func mapToEngine(rv reflect.Value) any {
	keys := make([]string, 0, rv.Len())
	byKey := make(map[string]reflect.Value, rv.Len())
	for _, k := range rv.MapKeys() {
		name := toText(k.Interface())
		keys = append(keys, name)
		byKey[name] = rv.MapIndex(k)
	}
	slices.Sort(keys)
	d := ordereddict.NewDict()
	for _, k := range slices.Compact(keys) {
		d.Set(k, toEngine(byKey[k].Interface()))
	}
	return d
}

// fromEngine turns a value of the evaluator into one for plugins: nil for
// NULL, *Dict for dictionaries, Row for rows, Query for stored queries. Other
// values stay.
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
		return t.row()
	case *sharedRow:
		return t.row()
	case types.LazyExpr:
		return fromEngine(t.Reduce(context.Background()))
	case types.LazyRow:
		return lazyRowDict(t)
	case *rowList:
		return t
	case types.StoredQuery:
		return Query{query: t}
	case []types.Any:
		return plainList(t)
	case []types.Row:
		if t == nil {
			return nil // a subselect without rows
		}
		return plainList(t)
	}
	return v
}

// plainList copies a list of the evaluator's named interface types.
func plainList[T any](in []T) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}

func lazyRowDict(row types.LazyRow) *Dict {
	d := ordereddict.NewDict()
	for _, name := range row.Columns() {
		value, _ := row.Get(name)
		d.Set(name, value)
	}
	return (*Dict)(d)
}
