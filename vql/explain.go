package vql

import (
	"strings"

	"www.velocidex.com/golang/vfilter"
)

// explain answers EXPLAIN: it does not run the query but tells what it would
// use, one row for each, outer before inner.
func (r *run) explain(s *vfilter.VQL, rows func(Row) error) error {
	columns := NewColumns("Step", "Kind", "Name", "Args", "Known", "Permissions", "Engine")
	step := int64(0)
	for _, c := range calls(s) {
		if c.Kind == "symbol" && r.isColumn(c.Name) {
			continue
		}
		step++
		known, permissions := r.known(c)
		args := make([]any, len(c.Args))
		for i, a := range c.Args {
			args[i] = a
		}
		row := NewRow(columns, step, explainKind(c), c.Name, args, known, permissions, "vfilter")
		more, err := r.deliver(row, rows)
		if err != nil || !more {
			return err
		}
	}
	return r.ended()
}

func explainKind(c Call) string {
	if strings.HasPrefix(c.Name, "Artifact.") {
		return "artifact"
	}
	if c.Kind == "symbol" {
		return "variable"
	}
	return c.Kind
}

// isColumn says whether a name is not a variable of the scope, and so likely a
// column of the rows.
func (r *run) isColumn(name string) bool {
	first, _, _ := strings.Cut(name, ".")
	_, found := r.scope.Resolve(first)
	return !found
}

func (r *run) known(c Call) (known bool, permissions []any) {
	permissions = []any{}
	var m *meta
	switch c.Kind {
	case "plugin":
		if p, found := r.set.plugins[c.Name]; found {
			m = &p.meta
		} else if name, isArtifact := strings.CutPrefix(c.Name, "Artifact."); isArtifact && r.options.Artifacts != nil {
			_, err := r.options.Artifacts.Get(name)
			return err == nil, permissions
		}
	case "function":
		if f, found := r.set.functions[c.Name]; found {
			m = &f.meta
		}
	}
	if m == nil {
		_, isVariable := r.scope.Resolve(c.Name)
		return isVariable || c.Name == "scope", permissions
	}
	for _, p := range m.permissions {
		permissions = append(permissions, p)
	}
	return true, permissions
}
