package vql

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"www.velocidex.com/golang/vfilter/types"
)

// rowPlan tells how to read the columns of a row struct.
type rowPlan struct {
	columns *Columns
	fields  [][]int
}

// rowPlans caches plans by struct type. It holds only what the types say.
type rowPlans struct {
	plans sync.Map // reflect.Type -> *rowPlan
}

// structRow shows a pointer to a struct to the evaluator as a row.
type structRow struct {
	plan  *rowPlan
	value any // *R
	elem  reflect.Value
}

var _ types.LazyRow = (*structRow)(nil)

func newStructRow(v any) *structRow {
	elem := reflect.ValueOf(v).Elem()
	return &structRow{plan: planRow(elem.Type()), value: v, elem: elem}
}

func (r *structRow) at(i int) any { return toEngine(r.elem.FieldByIndex(r.plan.fields[i]).Interface()) }

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

// planRow lists the exported fields of a struct, those of embedded structs in
// their place.
func planRow(t reflect.Type) *rowPlan {
	var names []string
	var fields [][]int
	addFields(t, nil, &names, &fields)
	return &rowPlan{columns: NewColumns(names...), fields: fields}
}

func addFields(t reflect.Type, at []int, names *[]string, fields *[][]int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(at[:len(at):len(at)], i)
		tag, _, _ := strings.Cut(f.Tag.Get("vql"), ",")
		switch {
		case tag == "-" || (!f.IsExported() && !f.Anonymous):
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct:
			addFields(f.Type, index, names, fields)
		case f.IsExported():
			if tag == "" {
				tag = f.Name
			}
			*names = append(*names, tag)
			*fields = append(*fields, index)
		}
	}
}

// opaque says whether a struct is one value and not a row.
func opaque(v any) bool {
	switch v.(type) {
	case fmt.Stringer, types.LazyExpr, types.LazyRow, types.StoredQuery, types.Materializer, types.Scope, types.StoredExpression:
		return true
	}
	return false
}
