package vql

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Set is the plugins, functions and accessors that queries may use. Fill it
// before the first run; after that it may be shared.
type Set struct {
	plugins   map[string]*plugin
	functions map[string]*function
	accessors map[string]*accessorDef
}

// NewSet returns an empty set.
func NewSet() *Set {
	return &Set{
		plugins:   make(map[string]*plugin),
		functions: make(map[string]*function),
		accessors: make(map[string]*accessorDef),
	}
}

// Add takes registrations in. A name that is taken is an error; the others are
// added all the same.
func (s *Set) Add(registrations ...Registration) error {
	var first error
	for _, r := range registrations {
		if err := r.addTo(s); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func addNamed[T any](m map[string]T, kind, name string, v T) error {
	if _, taken := m[name]; taken {
		return fmt.Errorf("add %s %s: the name is taken", kind, name)
	}
	m[name] = v
	return nil
}

// Plugins returns the names of the plugins in order.
func (s *Set) Plugins() []string { return slices.Sorted(maps.Keys(s.plugins)) }

// Functions returns the names of the functions in order.
func (s *Set) Functions() []string { return slices.Sorted(maps.Keys(s.functions)) }

// Accessors returns the names of the accessors in order.
func (s *Set) Accessors() []string { return slices.Sorted(maps.Keys(s.accessors)) }

// Check tells what is wrong with the argument and row types of the set, which
// queries find out only when they use them.
func (s *Set) Check() error {
	var errs []error
	for _, name := range s.Plugins() {
		p := s.plugins[name]
		if _, err := p.plans.args(p.args); err != nil {
			errs = append(errs, fmt.Errorf("plugin %s: %w", name, err))
		}
		if p.row != nil && p.row.Kind() != reflect.Struct {
			errs = append(errs, fmt.Errorf("plugin %s: rows must be structs, not %s", name, p.row))
		}
	}
	for _, name := range s.Functions() {
		f := s.functions[name]
		if _, err := f.plans.args(f.args); err != nil {
			errs = append(errs, fmt.Errorf("function %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
