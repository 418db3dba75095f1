package artifacts

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// artifact reads the top level of a definition.
func (d *decoder) artifact(n ast.Node, a *Artifact) {
	var typ string
	d.lines = make(map[string]int)
	if values, ok := pairs(n); ok {
		for _, v := range values {
			if key, ok := scalar(v.Key); ok && d.lines[key] == 0 {
				d.lines[key] = line(v.Key)
			}
		}
	}
	d.fields(n, "the definition", map[string]func(ast.Node){
		"name":                 d.text(&a.Name, "name"),
		"aliases":              d.texts(&a.Aliases, "aliases"),
		"description":          d.text(&a.Description, "description"),
		"author":               d.text(&a.Author, "author"),
		"reference":            d.texts(&a.References, "reference"),
		"references":           d.texts(&a.References, "references"),
		"type":                 d.text(&typ, "type"),
		"required_permissions": d.texts(&a.RequiredPermissions, "required_permissions"),
		"implied_permissions":  d.texts(&a.ImpliedPermissions, "implied_permissions"),
		"impersonate":          d.text(&a.Impersonate, "impersonate"),
		"resources":            func(n ast.Node) { d.resources(n, &a.Resources) },
		"tools": func(n ast.Node) {
			for _, v := range d.list(n, "tools") {
				a.Tools = append(a.Tools, d.tool(v))
			}
		},
		"precondition": d.text(&a.Precondition, "precondition"),
		"parameters":   func(n ast.Node) { a.Parameters = d.parameters(n) },
		"imports":      d.texts(&a.Imports, "imports"),
		"export":       d.text(&a.Export, "export"),
		"sources": func(n ast.Node) {
			for _, v := range d.list(n, "sources") {
				a.Sources = append(a.Sources, d.source(v))
			}
		},
		"reports": func(n ast.Node) {
			for _, v := range d.list(n, "reports") {
				a.Reports = append(a.Reports, d.report(v))
			}
		},
		"column_types": func(n ast.Node) {
			for _, v := range d.list(n, "column_types") {
				a.ColumnTypes = append(a.ColumnTypes, d.columnType(v))
			}
		},
	})
	a.Type = Type(strings.ToUpper(strings.TrimSpace(typ)))
	if a.Type == "" {
		a.Type = Client
	}
}

func (d *decoder) resources(n ast.Node, r *Resources) {
	d.fields(n, "resources", map[string]func(ast.Node){
		"timeout":               d.float(&r.TimeoutSeconds, "timeout"),
		"ops_per_second":        d.float(&r.OpsPerSecond, "ops_per_second"),
		"cpu_limit":             d.float(&r.CPULimitPercent, "cpu_limit"),
		"iops_limit":            d.float(&r.IOPSLimit, "iops_limit"),
		"max_rows":              d.integer(&r.MaxRows, "max_rows"),
		"max_upload_bytes":      d.integer(&r.MaxUploadBytes, "max_upload_bytes"),
		"max_batch_wait":        d.integer(&r.MaxBatchWaitSeconds, "max_batch_wait"),
		"max_batch_rows":        d.integer(&r.MaxBatchRows, "max_batch_rows"),
		"max_batch_rows_buffer": d.integer(&r.MaxBatchRowsBuffer, "max_batch_rows_buffer"),
	})
}

func (d *decoder) tool(n ast.Node) Tool {
	var t Tool
	d.fields(n, "a tool", map[string]func(ast.Node){
		"name":               d.text(&t.Name, "name"),
		"url":                d.text(&t.URL, "url"),
		"github_project":     d.text(&t.GithubProject, "github_project"),
		"github_asset_regex": d.text(&t.GithubAssetRegex, "github_asset_regex"),
		"serve_locally":      d.boolean(&t.ServeLocally, "serve_locally"),
		"serve_url":          d.text(&t.ServeURL, "serve_url"),
		"admin_override":     d.boolean(&t.AdminOverride, "admin_override"),
		"expected_hash":      d.text(&t.ExpectedHash, "expected_hash"),
		"version":            d.text(&t.Version, "version"),
		"filename":           d.text(&t.Filename, "filename"),
		"hash":               d.text(&t.Hash, "hash"),
		"materialize":        d.boolean(&t.Materialize, "materialize"),
	})
	if t.Name == "" {
		d.problem(KindValue, "name", line(n), "a tool needs a name")
	}
	return t
}

func (d *decoder) parameters(n ast.Node) []Parameter {
	var list []Parameter
	for _, v := range d.list(n, "parameters") {
		list = append(list, d.parameter(v))
	}
	return list
}

func (d *decoder) parameter(n ast.Node) Parameter {
	p := Parameter{Line: line(n)}
	d.fields(n, "a parameter", map[string]func(ast.Node){
		"name":             d.text(&p.Name, "name"),
		"description":      d.text(&p.Description, "description"),
		"default":          d.text(&p.Default, "default"),
		"type":             d.text(&p.Type, "type"),
		"choices":          d.texts(&p.Choices, "choices"),
		"friendly_name":    d.text(&p.FriendlyName, "friendly_name"),
		"validating_regex": d.text(&p.ValidatingRegex, "validating_regex"),
		"artifact_type":    d.text(&p.ArtifactType, "artifact_type"),
		"sources":          d.boolean(&p.Sources, "sources"),
	})
	return p
}

func (d *decoder) source(n ast.Node) Source {
	s := Source{Line: line(n)}
	d.fields(n, "a source", map[string]func(ast.Node){
		"name":         d.text(&s.Name, "name"),
		"description":  d.text(&s.Description, "description"),
		"precondition": d.text(&s.Precondition, "precondition"),
		"query": func(n ast.Node) {
			s.QueryLine = line(n)
			if _, block := n.(*ast.LiteralNode); block {
				s.QueryLine++
			}
			d.text(&s.Query, "query")(n)
		},
		"queries": func(n ast.Node) {
			s.QueryLine = line(n)
			d.texts(&s.Queries, "queries")(n)
		},
		"notebook": func(n ast.Node) {
			for _, v := range d.list(n, "notebook") {
				s.Notebook = append(s.Notebook, d.cell(v))
			}
		},
	})
	return s
}

func (d *decoder) cell(n ast.Node) NotebookCell {
	var c NotebookCell
	d.fields(n, "a notebook cell", map[string]func(ast.Node){
		"type":     d.text(&c.Type, "type"),
		"name":     d.text(&c.Name, "name"),
		"template": d.text(&c.Template, "template"),
		"output":   d.text(&c.Output, "output"),
		"env": func(n ast.Node) {
			for _, v := range d.list(n, "env") {
				var e EnvVar
				d.fields(v, "a variable", map[string]func(ast.Node){
					"key":   d.text(&e.Key, "key"),
					"value": d.text(&e.Value, "value"),
				})
				c.Env = append(c.Env, e)
			}
		},
	})
	return c
}

func (d *decoder) report(n ast.Node) Report {
	var r Report
	d.fields(n, "a report", map[string]func(ast.Node){
		"name":       d.text(&r.Name, "name"),
		"type":       d.text(&r.Type, "type"),
		"template":   d.text(&r.Template, "template"),
		"parameters": func(n ast.Node) { r.Parameters = d.parameters(n) },
	})
	return r
}

func (d *decoder) columnType(n ast.Node) ColumnType {
	var c ColumnType
	d.fields(n, "a column type", map[string]func(ast.Node){
		"name":        d.text(&c.Name, "name"),
		"type":        d.text(&c.Type, "type"),
		"description": d.text(&c.Description, "description"),
	})
	return c
}
