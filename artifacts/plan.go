package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"satchel/internal/flow"
)

// Plan is what a collection will run, in order. Its JSON form is complete: it
// holds the VQL, so that it can be run without the definitions.
type Plan struct {
	Items []Item `json:"items"`
	// Notes are things a person should know before: a tool that is wanted, a
	// called artifact that is not known.
	Notes []string `json:"notes,omitempty"`

	definitions []*Artifact
}

// Item is one source of one artifact with its parameters.
type Item struct {
	Artifact string `json:"artifact"`
	Source   string `json:"source,omitempty"`
	// Name is that of the results: Artifact or Artifact/Source.
	Name string `json:"name"`
	// Set is the set that brought the artifact in, empty if it was asked for.
	Set string `json:"set,omitempty"`
	// Preconditions must all hold (give a row) for the item to run. They see
	// Env and Conversions; see [Item.Condition].
	Preconditions []string `json:"preconditions,omitempty"`
	// Conversions are LETs that give the text of Env its types.
	Conversions []string `json:"conversions,omitempty"`
	// Preamble is VQL to run before Query in the same scope: the Conversions,
	// the exports of imports, the own export, and what the query uses of
	// earlier sources. It gives no rows.
	Preamble []string     `json:"preamble,omitempty"`
	Query    string       `json:"query"` // statements of the source; only the last gives rows
	Env      []flow.Param `json:"env,omitempty"`

	Timeout         time.Duration `json:"timeout,omitempty"` // 0: none
	MaxRows         int64         `json:"max_rows,omitempty"`
	MaxUploadBytes  int64         `json:"max_upload_bytes,omitempty"`
	OpsPerSecond    float64       `json:"ops_per_second,omitempty"`
	CPULimitPercent float64       `json:"cpu_limit,omitempty"`

	// Volatility orders the items: lower ones vanish sooner and run first.
	Volatility int `json:"volatility"`
	// Permissions are what the artifact says it needs.
	Permissions []string     `json:"permissions,omitempty"`
	Tools       []Tool       `json:"tools,omitempty"`
	ColumnTypes []ColumnType `json:"column_types,omitempty"`
	// Definition is the hex SHA-256 of the artifact's text.
	Definition string `json:"definition"`
}

// Text is the whole VQL of the item: preamble and query.
func (i Item) Text() string {
	return strings.Join(append(slices.Clone(i.Preamble), i.Query), "\n")
}

// Condition is the whole VQL of the n-th precondition, with the conversions of
// the parameters before it.
func (i Item) Condition(n int) string {
	return strings.Join(append(slices.Clone(i.Conversions), i.Preconditions[n]), "\n")
}

// PlanOptions changes how a plan is made. The zero value is that of an offline
// collection.
type PlanOptions struct {
	// Types of artifacts that may be planned; only Client when empty.
	Types []Type
	// ArtifactTimeout replaces the timeouts of the artifacts when it is not 0.
	ArtifactTimeout time.Duration
}

// NewPlan makes the plan of a request. Sets are expanded to their members; an
// artifact that is asked for several times is planned once, with what was asked
// for by its own name before what a set gives it. All that is wrong is told in
// one error, which wraps [ErrNotFound], [ErrParameter], [ErrType] or
// [ErrInvalid].
func NewPlan(r *Repository, specs []flow.Spec, o PlanOptions) (*Plan, error) {
	if len(o.Types) == 0 {
		o.Types = []Type{Client}
	}
	e := &expansion{repository: r, index: make(map[string]int), asked: make(map[string]bool)}
	var errs []error
	for _, s := range specs {
		if a, err := r.Get(s.Artifact); err == nil {
			e.asked[a.Name] = true
		}
	}
	for _, s := range specs {
		errs = append(errs, e.add(s, "", nil, nil))
	}
	p := &Plan{}
	b := planner{repository: r, options: o, plan: p, seen: make(map[string]bool)}
	for _, m := range e.members {
		errs = append(errs, b.add(m))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(p.Items) == 0 {
		return nil, fmt.Errorf("%w: nothing to collect", ErrNotFound)
	}
	slices.SortStableFunc(p.Items, func(a, b Item) int { return a.Volatility - b.Volatility })
	return p, nil
}

// planner turns members into items.
type planner struct {
	repository *Repository
	options    PlanOptions
	plan       *Plan
	seen       map[string]bool // definitions that are in the plan
}

func (b *planner) add(m member) error {
	c, err := b.repository.Compile(m.artifact.Name, m.params)
	if err != nil {
		return err
	}
	a := c.Artifact
	if !slices.Contains(b.options.Types, a.Type) {
		return fmt.Errorf("%w: %s is %s and is not collected from a host", ErrType, a.Name, a.Type)
	}
	if len(c.Sources) == 0 {
		if m.isSet {
			b.define(a)
			return nil
		}
		return fmt.Errorf("%w: %s has no sources, so it cannot be collected", ErrType, a.Name)
	}
	for _, s := range c.Sources {
		b.plan.Items = append(b.plan.Items, b.item(c, s, m))
	}
	b.define(a)
	for _, t := range a.Tools {
		b.plan.Notes = append(b.plan.Notes, fmt.Sprintf("%s wants the tool %s, which is not carried", a.Name, t.Name))
	}
	return nil
}

func (b *planner) item(c *Compiled, s CompiledSource, m member) Item {
	a := c.Artifact
	i := Item{
		Artifact: a.Name, Source: s.Name, Name: s.FullName, Set: m.set, Query: s.Query, Env: c.Env,
		Timeout: a.Resources.Timeout(), MaxRows: a.Resources.MaxRows, MaxUploadBytes: a.Resources.MaxUploadBytes,
		OpsPerSecond: a.Resources.OpsPerSecond, CPULimitPercent: a.Resources.CPULimitPercent,
		Permissions: a.RequiredPermissions, Tools: a.Tools, ColumnTypes: a.ColumnTypes, Definition: a.Hash(),
	}
	if b.options.ArtifactTimeout > 0 {
		i.Timeout = b.options.ArtifactTimeout
	}
	for _, v := range c.Conversions {
		i.Conversions = append(i.Conversions, v.VQL)
	}
	i.Preamble = slices.Concat(i.Conversions, c.Exports, s.Lets)
	i.Preconditions = slices.Clone(m.preconditions)
	for _, p := range []string{a.Precondition, s.Precondition} {
		if p != "" && !slices.Contains(i.Preconditions, p) {
			i.Preconditions = append(i.Preconditions, p)
		}
	}
	i.Volatility = volatility(a.Name, i.Text())
	return i
}

// define keeps the definition of the artifact and of all that it calls or
// imports.
func (b *planner) define(a *Artifact) {
	if b.seen[a.Name] || len(b.seen) > maxDependency {
		return
	}
	b.seen[a.Name] = true
	b.plan.definitions = append(b.plan.definitions, a)
	for _, name := range a.Dependencies() {
		d, err := b.repository.Get(name)
		if err != nil {
			if !b.seen[name] {
				b.seen[name] = true
				b.plan.Notes = append(b.plan.Notes, fmt.Sprintf("%s calls %s: %v", a.Name, name, err))
			}
			continue
		}
		b.define(d)
	}
}

// Dependencies returns the names of the artifacts that a imports, or calls in
// its queries, exports and preconditions, each once, in order of appearance.
func (a *Artifact) Dependencies() []string {
	names := slices.Clone(a.Imports)
	texts := []string{a.Precondition, a.Export}
	for _, s := range a.Sources {
		texts = append(texts, s.Precondition, s.VQL())
	}
	for _, t := range texts {
		for _, n := range Calls(t) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// Hash is the lower-case hex SHA-256 of the plan's JSON without its notes: two
// plans of the same hash run the same VQL with the same values, limits and
// order.
func (p *Plan) Hash() string {
	data, err := json.Marshal(Plan{Items: p.Items})
	if err != nil { // cannot be: an Item is made of text and numbers
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Names returns the names of the items' results in order.
func (p *Plan) Names() []string {
	names := make([]string, 0, len(p.Items))
	for _, i := range p.Items {
		names = append(names, i.Name)
	}
	return names
}

// Definitions returns the artifacts of the plan, and those that they call, as
// JSON objects with the field names of the YAML, as custom_artifacts.json holds
// them. A plan that was read back from JSON has none.
func (p *Plan) Definitions() ([]json.RawMessage, error) {
	var list []json.RawMessage
	for _, a := range p.definitions {
		data, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("encode definition of %s: %w", a.Name, err)
		}
		list = append(list, data)
	}
	return list, nil
}
