package vql

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"www.velocidex.com/golang/vfilter/types"
)

// rowPlan tells how to read the columns of a row struct.
type rowPlan struct {
	columns *Columns
	get     []func(elem reflect.Value) any
}

// structRow shows a pointer to a struct to the evaluator as a row.
type structRow struct {
	plan *rowPlan
	elem reflect.Value
}

var (
	_ types.LazyRow = (*structRow)(nil)
	_ types.LazyRow = (*sharedRow)(nil)
)

func (r *structRow) at(i int) any { return r.plan.get[i](r.elem) }

// row returns the values of the struct.
func (r *structRow) row() Row {
	values := make([]any, len(r.plan.get))
	for i := range values {
		values[i] = r.at(i)
	}
	return Row{Columns: r.plan.columns, Values: values}
}

func (r *structRow) Get(name string) (types.Any, bool) {
	i := r.plan.columns.Index(name)
	if i < 0 {
		return nil, false
	}
	return r.at(i), true
}

func (r *structRow) Has(name string) bool { return r.plan.columns.Index(name) >= 0 }

func (r *structRow) Columns() []string { return r.plan.columns.names }

// AddColumn is part of the evaluator's interface. A row of a plugin has a
// fixed shape, so it does nothing.
func (r *structRow) AddColumn(string, func(context.Context, types.Scope) types.Any) types.LazyRow {
	return r
}

// sharedRow shows a Row to the evaluator.
type sharedRow struct {
	columns *Columns
	values  []any
}

func (r *sharedRow) row() Row { return Row{Columns: r.columns, Values: r.values} }

func (r *sharedRow) Get(name string) (types.Any, bool) {
	i := r.columns.Index(name)
	if i < 0 || i >= len(r.values) {
		return nil, i >= 0
	}
	return toEngine(r.values[i]), true
}

func (r *sharedRow) Has(name string) bool { return r.columns.Index(name) >= 0 }

func (r *sharedRow) Columns() []string { return r.columns.Names() }

// AddColumn is part of the evaluator's interface and does nothing.
func (r *sharedRow) AddColumn(string, func(context.Context, types.Scope) types.Any) types.LazyRow {
	return r
}

// planRow lists the exported fields of a struct, those of embedded structs in
// their place.
func planRow(t reflect.Type) *rowPlan {
	p := &rowPlan{}
	var names []string
	p.add(t, nil, &names, 0)
	p.columns = NewColumns(names...)
	return p
}

func (p *rowPlan) add(t reflect.Type, at []int, names *[]string, depth int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(at[:len(at):len(at)], i)
		tag, _, _ := strings.Cut(f.Tag.Get("vql"), ",")
		switch {
		case tag == "-" || (!f.IsExported() && !f.Anonymous):
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct && depth < maxDepth:
			p.add(f.Type, index, names, depth+1)
		case f.IsExported():
			if tag == "" {
				tag = f.Name
			}
			*names = append(*names, tag)
			p.get = append(p.get, fieldGetter(f.Type, index))
		}
	}
}

// fieldGetter returns how to read one field as a value of the evaluator.
func fieldGetter(t reflect.Type, index []int) func(reflect.Value) any {
	if t.Kind() == reflect.Struct && !isValueType(t) {
		plan := planRow(t)
		return func(elem reflect.Value) any {
			return &structRow{plan: plan, elem: elem.FieldByIndex(index)}
		}
	}
	if !isValueType(t) && len(index) == 1 {
		i := index[0]
		switch t.Kind() {
		case reflect.String:
			return func(elem reflect.Value) any { return elem.Field(i).String() }
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			return func(elem reflect.Value) any { return elem.Field(i).Int() }
		case reflect.Bool:
			return func(elem reflect.Value) any { return elem.Field(i).Bool() }
		case reflect.Float32, reflect.Float64:
			return func(elem reflect.Value) any { return elem.Field(i).Float() }
		}
	}
	return func(elem reflect.Value) any { return toEngine(elem.FieldByIndex(index).Interface()) }
}

// isValueType says whether values of the type are taken whole, not by field.
func isValueType(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[Path]() {
		return true
	}
	return t.Implements(reflect.TypeFor[fmt.Stringer]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[fmt.Stringer]()) ||
		t == reflect.TypeFor[Lazy]() || t == reflect.TypeFor[Query]() || t == reflect.TypeFor[Row]() || t == reflect.TypeFor[json.RawMessage]()
}
