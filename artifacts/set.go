package artifacts

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"satchel/internal/flow"
)

// setParameter makes an artifact a set: a parameter of this name and of type
// artifactset, whose value is CSV with a column Artifact, names the members.
const setParameter = "Members"

// Members returns the names of the members of a set, as its default gives them;
// false for an artifact that is none.
func (a *Artifact) Members() ([]string, bool) {
	p, ok := a.setParameter()
	if !ok {
		return nil, false
	}
	return memberNames(p.Default), true
}

func (a *Artifact) setParameter() (Parameter, bool) {
	p, ok := a.Parameter(setParameter)
	return p, ok && p.Type == "artifactset"
}

// memberNames reads the value of a set's parameter: CSV with a column Artifact.
func memberNames(value string) []string {
	rows, err := readCSV(value)
	if err != nil {
		return nil
	}
	var names []string
	for _, row := range rows {
		if name := strings.TrimSpace(row["Artifact"]); name != "" && !slices.Contains(names, name) && len(names) < maxMembers {
			names = append(names, name)
		}
	}
	return names
}

// member is one artifact to be planned.
type member struct {
	artifact      *Artifact
	params        []flow.Param
	set           string   // that brought it in, or empty
	weak          bool     // its parameters come from a set and give way to others
	preconditions []string // of the sets around it
	isSet         bool
}

// expansion turns specs into members: sets into theirs, each artifact once.
type expansion struct {
	repository *Repository
	members    []member
	index      map[string]int  // of members, by name
	asked      map[string]bool // names that were asked for by themselves
}

// add takes one spec. inherited are parameters of the sets around it, of which
// an artifact takes those that it declares.
func (e *expansion) add(s flow.Spec, set string, inherited []flow.Param, preconditions []string) error {
	a, err := e.repository.Get(s.Artifact)
	if err != nil {
		return err
	}
	weak := set != ""
	if weak && e.asked[a.Name] {
		// It is asked for by itself: that spec decides, this one adds what it
		// leaves open.
		preconditions, set = nil, ""
	}
	p, isSet := a.setParameter()
	params := s.Parameters
	for _, v := range inherited {
		if _, ok := a.Parameter(v.Key); ok && !has(params, v.Key) && v.Key != setParameter {
			params = append(slices.Clone(params), v)
		}
	}
	own := params
	if isSet {
		own = slices.DeleteFunc(slices.Clone(params), func(v flow.Param) bool {
			_, ok := a.Parameter(v.Key)
			return !ok
		})
	}
	fresh, err := e.keep(member{artifact: a, params: own, set: set, weak: weak, preconditions: preconditions, isSet: isSet})
	if err != nil || !fresh || !isSet {
		return err
	}
	value := p.Default
	for _, v := range params {
		if v.Key == setParameter {
			value = p.Normal(v.Value)
		}
	}
	if a.Precondition != "" {
		preconditions = append(slices.Clone(preconditions), a.Precondition)
	}
	return e.expand(a, memberNames(value), params, preconditions)
}

// expand adds the members of a set and refuses parameters that neither the set
// nor any member declares.
func (e *expansion) expand(set *Artifact, names []string, params []flow.Param, preconditions []string) error {
	var errs []error
	for _, v := range params {
		if accepted := e.repository.acceptedNames(set.Name); !slices.Contains(accepted, v.Key) {
			errs = append(errs, &ParameterError{set.Name, v.Key, "neither the set nor a member of it has such a parameter" +
				didYouMean(v.Key, accepted)})
		}
	}
	for _, name := range names {
		if err := e.add(flow.Spec{Artifact: name}, set.Name, params, preconditions); err != nil {
			errs = append(errs, fmt.Errorf("member of %s: %w", set.Name, err))
		}
	}
	return errors.Join(errs...)
}

// keep adds a member, or merges its parameters into the one that is there. fresh
// is false in the second case.
func (e *expansion) keep(m member) (fresh bool, err error) {
	i, ok := e.index[m.artifact.Name]
	if !ok {
		e.index[m.artifact.Name] = len(e.members)
		e.members = append(e.members, m)
		return true, nil
	}
	old := &e.members[i]
	merged := slices.Clone(old.params)
	for _, v := range m.params {
		j := slices.IndexFunc(merged, func(p flow.Param) bool { return p.Key == v.Key })
		switch {
		case j < 0:
			merged = append(merged, v)
		case merged[j].Value == v.Value || m.weak:
		case old.weak:
			merged[j] = v
		default:
			return false, &ParameterError{m.artifact.Name, v.Key, "given twice with different values; an artifact is collected once"}
		}
	}
	old.params = merged
	if !m.weak {
		old.set, old.weak, old.preconditions = "", false, nil
	}
	return false, nil
}

func has(params []flow.Param, key string) bool {
	return slices.ContainsFunc(params, func(p flow.Param) bool { return p.Key == key })
}

// acceptedNames lists the parameters of an artifact and of the members of a set,
// the members of sets in it included.
func (r *Repository) acceptedNames(artifact string) []string {
	var names []string
	for _, a := range r.tree(artifact) {
		for _, n := range a.parameterNames() {
			if n != setParameter || a.Name == artifact {
				names = append(names, n)
			}
		}
	}
	return names
}

// tree lists the artifact and, where it is a set, all members below it, each
// once. Members that are not known are left out.
func (r *Repository) tree(artifact string) []*Artifact {
	var list []*Artifact
	seen := make(map[string]bool)
	var visit func(name string)
	visit = func(name string) {
		a, err := r.Get(name)
		if err != nil || seen[a.Name] {
			return
		}
		seen[a.Name] = true
		list = append(list, a)
		members, _ := a.Members()
		for _, m := range members {
			visit(m)
		}
	}
	visit(artifact)
	return list
}

// Specs makes the specs of a request from a command line: the names of the
// artifacts, and arguments of the form NAME=VALUE or ARTIFACT::NAME=VALUE. The
// first form goes to every named artifact that takes the parameter (a set takes
// those of its members), the second to that artifact or member of a set.
// The error wraps [ErrNotFound] or [ErrParameter].
func (r *Repository) Specs(names, args []string) ([]flow.Spec, error) {
	var specs []flow.Spec
	var errs []error
	for _, name := range names {
		a, err := r.Get(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !slices.ContainsFunc(specs, func(s flow.Spec) bool { return s.Artifact == a.Name }) {
			specs = append(specs, flow.Spec{Artifact: a.Name})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, arg := range args {
		var err error
		if specs, err = r.argument(specs, arg); err != nil {
			errs = append(errs, err)
		}
	}
	return specs, errors.Join(errs...)
}

func (r *Repository) argument(specs []flow.Spec, arg string) ([]flow.Spec, error) {
	left, value, ok := strings.Cut(arg, "=")
	if !ok {
		return specs, fmt.Errorf("%w: %q is not of the form NAME=VALUE", ErrParameter, clip(arg))
	}
	artifact, name, qualified := strings.Cut(left, "::")
	if !qualified {
		return r.unqualified(specs, flow.Param{Key: left, Value: value})
	}
	a, err := r.Get(artifact)
	if err != nil {
		return specs, err
	}
	p := flow.Param{Key: name, Value: value}
	for i := range specs {
		if specs[i].Artifact == a.Name {
			specs[i].Parameters = append(specs[i].Parameters, p)
			return specs, nil
		}
	}
	for _, s := range specs {
		if slices.ContainsFunc(r.tree(s.Artifact), func(m *Artifact) bool { return m.Name == a.Name }) {
			return append(specs, flow.Spec{Artifact: a.Name, Parameters: []flow.Param{p}}), nil
		}
	}
	return specs, &ParameterError{a.Name, name, "the artifact is not among those to collect"}
}

func (r *Repository) unqualified(specs []flow.Spec, p flow.Param) ([]flow.Spec, error) {
	var known []string
	taken := false
	for i := range specs {
		names := r.acceptedNames(specs[i].Artifact)
		known = append(known, names...)
		if slices.Contains(names, p.Key) {
			specs[i].Parameters = append(specs[i].Parameters, p)
			taken = true
		}
	}
	if !taken {
		return specs, fmt.Errorf("%w: none of the artifacts has a parameter %q%s", ErrParameter, clip(p.Key), didYouMean(p.Key, known))
	}
	return specs, nil
}
