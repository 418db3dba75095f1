package artifacts

import (
	"regexp"
	"slices"
	"strings"
)

// The kinds of problems that [Check] finds.
const (
	KindSyntax       = "syntax"       // not YAML, or YAML that is refused
	KindField        = "field"        // a field that the schema does not have, or has once
	KindValue        = "value"        // a value of the wrong shape
	KindName         = "name"         // a name that is missing, malformed or taken
	KindParameter    = "parameter"    // a parameter whose default its own type refuses, and the like
	KindPrecondition = "precondition" // one at the top and one in a source
	KindSource       = "source"       // sources that cannot give results
	KindQuery        = "query"        // VQL that is not made of whole statements
)

// Problem is one thing that is wrong with a definition.
type Problem struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"` // of the field, parameter or source, where one is meant
	Line    int    `json:"line"` // in the document, from 1; 0 where it is unknown
	Message string `json:"message"`
	// Warning says that the definition loads all the same.
	Warning bool `json:"-"`
}

// Check reads a definition as [Parse] does and returns all that is wrong or
// doubtful about it, at most 50 problems, in the order of the lines. It looks at
// the schema; whether the VQL would run is not known here.
func Check(data []byte) []Problem {
	_, problems := decode(data)
	slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
	return problems
}

// permissions lists the names of the permissions that Velociraptor knows.
func permissions() []string {
	return []string{
		"ANY_QUERY", "PUBLISH", "READ_RESULTS", "LABEL_CLIENT", "COLLECT_CLIENT", "COLLECT_BASIC", "START_HUNT",
		"COLLECT_SERVER", "ARTIFACT_WRITER", "SERVER_ARTIFACT_WRITER", "EXECVE", "NOTEBOOK_EDITOR", "SERVER_ADMIN",
		"ORG_ADMIN", "IMPERSONATION", "FILESYSTEM_READ", "FILESYSTEM_WRITE", "NETWORK", "MACHINE_STATE",
		"PREPARE_RESULTS", "DELETE_RESULTS", "DATASTORE_ACCESS",
	}
}

// validate checks what the shape of the YAML does not tell.
func (d *decoder) validate(a *Artifact) {
	switch {
	case a.Name == "":
		d.problem(KindName, "name", d.lines["name"], "a definition needs a name")
	case len(a.Name) > 200 || !nameRegex.MatchString(a.Name):
		d.problem(KindName, a.Name, d.lines["name"],
			"the name %q is not made of parts like Linux.Sys.Users: letters, digits and _, each part beginning with a letter", clip(a.Name))
	}
	for _, alias := range a.Aliases {
		if len(alias) > 200 || !nameRegex.MatchString(alias) {
			d.problem(KindName, alias, d.lines["aliases"], "the alias %q is not a name of an artifact", clip(alias))
		}
	}
	for _, name := range a.Imports {
		if !nameRegex.MatchString(name) {
			d.problem(KindName, name, d.lines["imports"], "the import %q is not a name of an artifact", clip(name))
		}
	}
	types := []string{string(Client), string(ClientEvent), string(Server), string(ServerEvent), string(Notebook), string(Internal)}
	if !slices.Contains(types, string(a.Type)) {
		d.problem(KindValue, "type", d.lines["type"], "unknown type %q, it is one of %s", clip(string(a.Type)), strings.Join(types, ", "))
	}
	for _, list := range [][]string{a.RequiredPermissions, a.ImpliedPermissions} {
		for _, p := range list {
			if !slices.Contains(permissions(), p) {
				d.warn(KindValue, p, d.lines["required_permissions"], "unknown permission %q%s", clip(p), didYouMean(p, permissions()))
			}
		}
	}
	d.validateParameters(a)
	d.validateSources(a)
	if a.Export != "" {
		if _, err := split(a.Export); err != nil {
			d.problem(KindQuery, "export", d.lines["export"], "the export: %s", err.message)
		}
	}
	if a.Precondition != "" {
		d.precondition("precondition", a.Precondition, d.lines["precondition"])
	}
}

func (d *decoder) validateParameters(a *Artifact) {
	seen := make(map[string]bool)
	for _, p := range a.Parameters {
		switch {
		case p.Name == "":
			d.problem(KindName, "name", p.Line, "a parameter needs a name")
			continue
		case !identifierRegex.MatchString(p.Name):
			d.problem(KindName, p.Name, p.Line, "the parameter %q cannot be a name in VQL", clip(p.Name))
		case seen[p.Name]:
			d.problem(KindName, p.Name, p.Line, "the parameter %s is declared twice", p.Name)
		}
		seen[p.Name] = true
		if !knownType(p.Type) {
			d.warn(KindParameter, p.Name, p.Line, "the parameter %s has the unknown type %q and is taken as text%s", p.Name, clip(p.Type), didYouMean(p.Type, typeNames()))
		}
		if p.ValidatingRegex != "" {
			if _, err := regexp.Compile(p.ValidatingRegex); err != nil {
				d.warn(KindParameter, p.Name, p.Line, "the validating_regex of %s cannot be used here: %v", p.Name, err)
			}
		}
		if p.Default != "" {
			if reason := p.Validate(p.Default); reason != "" {
				d.warn(KindParameter, p.Name, p.Line, "the default of %s: %s", p.Name, reason)
			}
		}
	}
}

func (d *decoder) validateSources(a *Artifact) {
	if d.lines["sources"] == 0 && d.lines["export"] == 0 && d.lines["parameters"] == 0 {
		d.warn(KindSource, "", d.lines["name"], "the definition has neither sources nor an export")
	}
	seen := make(map[string]bool)
	for _, s := range a.Sources {
		if seen[s.Name] {
			d.problem(KindSource, s.Name, s.Line, "two sources have the same name %q", clip(s.Name))
		}
		seen[s.Name] = true
		if strings.ContainsFunc(s.Name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' }) || len(s.Name) > 200 {
			d.problem(KindName, s.Name, s.Line, "the source name %q has a character that names of results cannot have, or is too long", clip(s.Name))
		}
		if s.Precondition != "" {
			if a.Precondition != "" {
				d.problem(KindPrecondition, s.Name, s.Line, "a precondition stands at the top and in the source %q; only one of the two is allowed", clip(s.Name))
			}
			d.precondition(s.Name, s.Precondition, s.Line)
		}
		d.validateQuery(s)
	}
}

func (d *decoder) precondition(name, text string, line int) {
	list, err := split(text)
	switch {
	case err != nil:
		d.problem(KindQuery, name, line, "the precondition: %s", err.message)
	case len(list) == 0 || list[len(list)-1].let != "":
		d.problem(KindQuery, name, line, "the precondition has no SELECT at its end, so it can never hold")
	}
}

// validateQuery checks that a source is made of LETs and one SELECT at the end.
func (d *decoder) validateQuery(s Source) {
	at := max(s.QueryLine, s.Line)
	switch {
	case s.Query != "" && len(s.Queries) > 0:
		d.problem(KindSource, s.Name, s.Line, "a source has query or queries, not both")
		return
	case strings.TrimSpace(s.VQL()) == "":
		if len(s.Notebook) == 0 {
			d.problem(KindSource, s.Name, s.Line, "a source needs a query")
		}
		return
	}
	text := s.VQL()
	list, err := split(text)
	if err != nil {
		d.problem(KindQuery, s.Name, at+newlines(text, err.at), "%s", err.message)
		return
	}
	for i, st := range list {
		last := i == len(list)-1
		switch {
		case st.let == "" && !last:
			d.problem(KindQuery, s.Name, at+newlines(text, st.at), "only the last statement of a source may be a SELECT, the others must be LET")
		case st.let != "" && last:
			d.warn(KindQuery, s.Name, at+newlines(text, st.at), "the last statement of the source is a LET, so it gives no rows")
		}
	}
	if len(list) == 0 {
		d.problem(KindQuery, s.Name, at, "the query has no statement")
	}
}

func newlines(text string, at int) int { return strings.Count(text[:min(at, len(text))], "\n") }

// clip shortens foreign text for a message.
func clip(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "..."
}
