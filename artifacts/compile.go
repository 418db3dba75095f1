package artifacts

import (
	"errors"
	"fmt"
	"strings"

	"satchel/internal/flow"
)

// Compiled is an artifact made ready to run: what is prepended to its sources
// and the text variables that they see.
type Compiled struct {
	Artifact *Artifact
	// Env holds every declared parameter with its default or the given value,
	// in the order of the declaration.
	Env []flow.Param
	// Conversions are the LETs that give parameters their types.
	Conversions []Conversion
	// Exports are the export sections of the imports, in order, and then the
	// artifact's own.
	Exports []string
	Sources []CompiledSource
}

// Conversion gives one parameter its type. An engine that was handed a value
// which is not text (by a call from VQL) leaves the conversion of it out.
type Conversion struct {
	Name string
	VQL  string // a LET statement
}

// CompiledSource is one source of a compiled artifact.
type CompiledSource struct {
	Source
	FullName string // Artifact or Artifact/Source
	// Lets are the statements of earlier sources that this one uses.
	Lets  []string
	Query string
}

// ParameterError is a value or a name that an artifact does not take. It unwraps
// to [ErrParameter].
type ParameterError struct {
	Artifact, Name string
	Reason         string
}

// Error names artifact and parameter and says why.
func (e *ParameterError) Error() string {
	return fmt.Sprintf("%s: parameter %s: %s", e.Artifact, clip(e.Name), e.Reason)
}

// Unwrap returns [ErrParameter].
func (e *ParameterError) Unwrap() error { return ErrParameter }

// Compile makes the named artifact ready to run with the given parameters. It
// refuses, each as a *[ParameterError] and all in one error, names that are not
// declared and values that are not of the declared type, the choices, or the
// validating regex. Of a name given twice the last value counts.
func (r *Repository) Compile(name string, params []flow.Param) (*Compiled, error) {
	a, err := r.Get(name)
	if err != nil {
		return nil, err
	}
	c := &Compiled{Artifact: a}
	if c.Env, err = a.environment(params); err != nil {
		return nil, err
	}
	for _, p := range a.Parameters {
		if let := p.Let(); let != "" {
			c.Conversions = append(c.Conversions, Conversion{Name: p.Name, VQL: let})
		}
	}
	if c.Exports, err = r.exports(a); err != nil {
		return nil, err
	}
	c.Sources = compileSources(a)
	return c, nil
}

// environment gives each declared parameter its value.
func (a *Artifact) environment(params []flow.Param) ([]flow.Param, error) {
	given := make(map[string]string, len(params))
	var errs []error
	for _, p := range params {
		decl, ok := a.Parameter(p.Key)
		if !ok {
			errs = append(errs, &ParameterError{a.Name, p.Key, "the artifact has no such parameter" + didYouMean(p.Key, a.parameterNames())})
			continue
		}
		value := decl.Normal(p.Value)
		if reason := decl.Validate(value); reason != "" {
			errs = append(errs, &ParameterError{a.Name, p.Key, reason})
			continue
		}
		given[p.Key] = value
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var env []flow.Param
	for _, p := range a.Parameters {
		value, ok := given[p.Name]
		if !ok {
			value = p.Default
		}
		env = append(env, flow.Param{Key: p.Name, Value: value})
	}
	return env, nil
}

func (a *Artifact) parameterNames() []string {
	names := make([]string, 0, len(a.Parameters))
	for _, p := range a.Parameters {
		names = append(names, p.Name)
	}
	return names
}

// exports collects the exports of the imports, theirs first, and the own one.
// Each artifact counts once, so that a circle of imports ends.
func (r *Repository) exports(a *Artifact) ([]string, error) {
	var list []string
	seen := make(map[string]bool)
	var visit func(a *Artifact) error
	visit = func(a *Artifact) error {
		if seen[a.Name] || len(seen) > maxDependency {
			return nil
		}
		seen[a.Name] = true
		for _, name := range a.Imports {
			imported, err := r.Get(name)
			if err != nil {
				return fmt.Errorf("import of %s: %w", a.Name, err)
			}
			if err := visit(imported); err != nil {
				return err
			}
		}
		if a.Export != "" {
			list = append(list, a.Export)
		}
		return nil
	}
	if err := visit(a); err != nil {
		return nil, err
	}
	return list, nil
}

// compileSources finds for each source the LETs of the sources before it that it
// uses. Where a source has a precondition of its own the sources are separate
// and see nothing of each other.
func compileSources(a *Artifact) []CompiledSource {
	shared := true
	for _, s := range a.Sources {
		shared = shared && s.Precondition == ""
	}
	var out []CompiledSource
	var earlier []statement
	for _, s := range a.Sources {
		if strings.TrimSpace(s.VQL()) == "" {
			continue // only a notebook
		}
		c := CompiledSource{Source: s, FullName: a.FullName(s), Query: s.VQL()}
		list, err := split(c.Query)
		if shared && err == nil {
			c.Lets = used(earlier, list)
			for _, st := range list {
				if st.let != "" {
					earlier = append(earlier, st)
				}
			}
		}
		out = append(out, c)
	}
	return out
}

// used returns the texts of those earlier statements whose names the later ones
// use, directly or through each other, in their order. What the later ones
// define themselves before use is included needlessly, which does no harm.
func used(earlier, later []statement) []string {
	want := make(map[string]bool)
	for _, st := range later {
		for name := range st.uses {
			want[name] = true
		}
	}
	keep := make([]bool, len(earlier))
	for i := len(earlier) - 1; i >= 0; i-- {
		if keep[i] = want[earlier[i].let]; keep[i] {
			for name := range earlier[i].uses {
				want[name] = true
			}
		}
	}
	// A LET may use a name that is only defined after it: VQL looks names up
	// when it runs. Go on until nothing is added.
	for changed := true; changed; {
		changed = false
		for i, st := range earlier {
			if keep[i] || !want[st.let] {
				continue
			}
			keep[i], changed = true, true
			for name := range st.uses {
				want[name] = true
			}
		}
	}
	var texts []string
	for i, st := range earlier {
		if keep[i] {
			texts = append(texts, st.text)
		}
	}
	return texts
}
