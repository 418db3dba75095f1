package vql

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter"
	"www.velocidex.com/golang/vfilter/types"
)

// plans are what a plugin or function knows of its types, made when first
// used.
type plans struct {
	argsOnce sync.Once
	argPlan  *argPlan
	err      error
	rowOnce  sync.Once
	rowPlan  *rowPlan
}

func (p *plans) args(t reflect.Type) (*argPlan, error) {
	p.argsOnce.Do(func() { p.argPlan, p.err = planArgs(t) })
	return p.argPlan, p.err
}

func (p *plans) row(t reflect.Type) *rowPlan {
	p.rowOnce.Do(func() { p.rowPlan = planRow(t) })
	return p.rowPlan
}

// argPlan tells how to fill an argument struct.
type argPlan struct {
	fields []argField
	rest   []int // field for further arguments, nil if there is none
}

type argField struct {
	name     string
	required bool
	index    []int
	kind     argKind
}

type argKind uint8

const (
	argString argKind = iota
	argStrings
	argInt
	argUint
	argFloat
	argBool
	argTime
	argAny
	argAnys
	argPath
	argPaths
	argLazy
	argQuery
	argLambda
	argDict
	argDicts
)

// argKinds holds the types that an argument field may have.
func kindOf(t reflect.Type) (argKind, bool) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return argTime, true
	case reflect.TypeFor[Path]():
		return argPath, true
	case reflect.TypeFor[[]Path]():
		return argPaths, true
	case reflect.TypeFor[Lazy]():
		return argLazy, true
	case reflect.TypeFor[Query]():
		return argQuery, true
	case reflect.TypeFor[Lambda]():
		return argLambda, true
	case reflect.TypeFor[*Dict]():
		return argDict, true
	case reflect.TypeFor[[]*Dict]():
		return argDicts, true
	case reflect.TypeFor[any]():
		return argAny, true
	case reflect.TypeFor[[]any]():
		return argAnys, true
	case reflect.TypeFor[[]string]():
		return argStrings, true
	}
	switch t.Kind() {
	case reflect.String:
		return argString, true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return argInt, true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return argUint, true
	case reflect.Float32, reflect.Float64:
		return argFloat, true
	case reflect.Bool:
		return argBool, true
	}
	return 0, false
}

func planArgs(t reflect.Type) (*argPlan, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("arguments must be a struct, not %s", t)
	}
	p := &argPlan{}
	return p, p.add(t, nil)
}

func (p *argPlan) add(t reflect.Type, at []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(at[:len(at):len(at)], i)
		tag, options, _ := strings.Cut(f.Tag.Get("vql"), ",")
		if tag == "-" || (!f.IsExported() && !f.Anonymous) {
			continue
		}
		if f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct {
			if err := p.add(f.Type, index); err != nil {
				return err
			}
			continue
		}
		if options == "rest" {
			p.rest = index
			continue
		}
		if tag == "" {
			tag = strings.ToLower(f.Name)
		}
		kind, ok := kindOf(f.Type)
		if !ok {
			return fmt.Errorf("argument %s: type %s is not supported", tag, f.Type)
		}
		p.fields = append(p.fields, argField{name: tag, required: options == "required", index: index, kind: kind})
	}
	return nil
}

func (p *argPlan) names() []string {
	names := make([]string, len(p.fields))
	for i := range p.fields {
		names[i] = p.fields[i].name
	}
	return names
}

// bind makes an argument struct of the arguments of a call. It returns a
// pointer to a new value of type t.
func (p *argPlan) bind(ctx context.Context, s *Scope, t reflect.Type, freeArgs bool, args *ordereddict.Dict) (any, error) {
	target := reflect.New(t)
	elem := target.Elem()
	var deferred []*argField
	used := 0
	for i := range p.fields {
		f := &p.fields[i]
		raw, found := args.Get(f.name)
		if !found {
			if f.required {
				return nil, p.missing(f.name, freeArgs, args)
			}
			continue
		}
		used++
		if f.kind == argPath || f.kind == argPaths {
			deferred = append(deferred, f)
			continue
		}
		if err := p.set(ctx, s, f, elem.FieldByIndex(f.index), raw); err != nil {
			return nil, fmt.Errorf("argument %s: %w", f.name, err)
		}
	}
	for _, f := range deferred {
		raw, _ := args.Get(f.name)
		if err := p.setPath(ctx, s, f, elem, raw); err != nil {
			return nil, fmt.Errorf("argument %s: %w", f.name, err)
		}
	}
	if used == args.Len() {
		return target.Interface(), nil
	}
	if !freeArgs {
		return nil, p.unknown(args)
	}
	return target.Interface(), p.bindRest(ctx, elem, args)
}

func (p *argPlan) bindRest(ctx context.Context, elem reflect.Value, args *ordereddict.Dict) error {
	if p.rest == nil {
		return nil
	}
	rest := ordereddict.NewDict()
	for _, item := range args.Items() {
		if p.field(item.Key) == nil {
			rest.Set(item.Key, reduce(ctx, item.Value))
		}
	}
	elem.FieldByIndex(p.rest).Set(reflect.ValueOf((*Dict)(rest)))
	return nil
}

func (p *argPlan) field(name string) *argField {
	for i := range p.fields {
		if p.fields[i].name == name {
			return &p.fields[i]
		}
	}
	return nil
}

// missing tells of a misspelt argument rather than of the one that is missing
// for it.
func (p *argPlan) missing(name string, freeArgs bool, args *ordereddict.Dict) error {
	if !freeArgs {
		if err := p.unknown(args); err != nil {
			return err
		}
	}
	return fmt.Errorf("argument %s is required", name)
}

func (p *argPlan) unknown(args *ordereddict.Dict) error {
	names := p.names()
	for _, name := range args.Keys() {
		switch {
		case p.field(name) != nil:
		case len(names) == 0:
			return fmt.Errorf("unknown argument %s: there are none", name)
		case Nearest(name, names) == "":
			return fmt.Errorf("unknown argument %s: there are %s", name, strings.Join(names, ", "))
		default:
			return fmt.Errorf("unknown argument %s%s", name, didYouMean(name, names))
		}
	}
	return nil
}

// reduce evaluates a lazy expression. A stored query stays one.
func reduce(ctx context.Context, v any) any {
	if e, ok := v.(types.LazyExpr); ok {
		return e.Reduce(ctx)
	}
	return v
}

func (p *argPlan) set(ctx context.Context, s *Scope, f *argField, to reflect.Value, raw any) error {
	switch f.kind {
	case argLazy:
		assign(to, Lazy{scope: s, expr: raw})
		return nil
	case argQuery:
		q, err := toQuery(ctx, raw)
		assign(to, q)
		return err
	}
	v := fromEngine(reduce(ctx, raw))
	if v == nil {
		if f.required && f.kind != argAny && f.kind != argBool && f.kind != argString {
			return fmt.Errorf("is required, not NULL")
		}
		return nil
	}
	return setValue(ctx, s, f.kind, to, v)
}

// assign sets a field of type T without making a copy on the heap.
func assign[T any](to reflect.Value, v T) {
	if p, ok := to.Addr().Interface().(*T); ok {
		*p = v
	}
}

func setValue(ctx context.Context, s *Scope, kind argKind, to reflect.Value, v any) error {
	switch kind {
	case argString:
		to.SetString(toText(single(s.materialize(ctx, v))))
	case argStrings:
		var out []string
		for _, item := range toList(ctx, s, v) {
			out = append(out, toText(item))
		}
		assign(to, out)
	case argInt:
		n, err := toInt(single(s.materialize(ctx, v)))
		if err != nil {
			return err
		}
		if to.OverflowInt(n) {
			return fmt.Errorf("%d is out of range", n)
		}
		to.SetInt(n)
	case argUint:
		n, err := toUint(single(s.materialize(ctx, v)))
		if err != nil {
			return err
		}
		if to.OverflowUint(n) {
			return fmt.Errorf("%d is out of range", n)
		}
		to.SetUint(n)
	case argFloat:
		n, err := toFloat(single(s.materialize(ctx, v)))
		if err != nil {
			return err
		}
		to.SetFloat(n)
	case argBool:
		to.SetBool(s.scope.Bool(toEngine(v)))
	default:
		return setComposed(ctx, s, kind, to, v)
	}
	return nil
}

func setComposed(ctx context.Context, s *Scope, kind argKind, to reflect.Value, v any) error {
	switch kind {
	case argTime:
		t, err := ToTime(single(s.materialize(ctx, v)))
		if err != nil {
			return err
		}
		assign(to, t)
	case argAny:
		if v = s.materialize(ctx, v); v != nil {
			assign(to, v)
		}
	case argAnys:
		assign(to, toList(ctx, s, v))
	case argLambda:
		l, err := vfilter.ParseLambda(toText(v))
		if err != nil {
			return fmt.Errorf("parse lambda: %w", err)
		}
		assign(to, Lambda{lambda: l, text: toText(v)})
	case argDict:
		d, err := toDict(s, single(s.materialize(ctx, v)))
		if err != nil {
			return err
		}
		assign(to, d)
	case argDicts:
		var out []*Dict
		for _, item := range listItems(s.materialize(ctx, v)) {
			d, err := toDict(s, item)
			if err != nil {
				return err
			}
			out = append(out, d)
		}
		assign(to, out)
	}
	return nil
}

func (p *argPlan) setPath(ctx context.Context, s *Scope, f *argField, elem reflect.Value, raw any) error {
	accessor := ""
	if a := p.field("accessor"); a != nil && a.kind == argString {
		accessor = elem.FieldByIndex(a.index).String()
	}
	v := fromEngine(reduce(ctx, raw))
	if v == nil {
		if f.required {
			return fmt.Errorf("is required, not NULL")
		}
		return nil
	}
	to := elem.FieldByIndex(f.index)
	if f.kind == argPath {
		path, err := s.ToPath(ctx, accessor, single(s.materialize(ctx, v)))
		if err != nil {
			return err
		}
		assign(to, path)
		return nil
	}
	var out []Path
	for _, item := range toList(ctx, s, v) {
		path, err := s.ToPath(ctx, accessor, item)
		if err != nil {
			return err
		}
		out = append(out, path)
	}
	assign(to, out)
	return nil
}
