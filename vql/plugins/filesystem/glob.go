package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"satchel/internal/flow"
	"satchel/vql"
)

type globArgs struct {
	Globs             []any      `vql:"globs,required"`
	Root              vql.Path   `vql:"root"`
	Accessor          string     `vql:"accessor"`
	NoSymlink         bool       `vql:"nosymlink"`
	RecursionCallback vql.Lambda `vql:"recursion_callback"`
	OneFilesystem     bool       `vql:"one_filesystem"`
}

// fileRow is one thing in a file system. Times that the system does not tell
// are NULL; Uid and Gid are -1 where it has none.
type fileRow struct {
	OSPath vql.Path
	Name   string
	Size   int64
	Mode   fs.FileMode
	IsDir  bool
	IsLink bool
	Mtime  time.Time
	Atime  time.Time
	Ctime  time.Time
	Btime  time.Time
	Inode  uint64
	Device uint64
	Links  uint64
	Uid    int64
	Gid    int64
	Data   *vql.Dict
}

type globRow struct {
	fileRow
	Globs []string
}

func newFileRow(p vql.Path, f *fact, data *vql.Dict) fileRow {
	if f.link != "" {
		if data == nil {
			data = vql.NewDict()
		}
		data.Set("Link", f.link)
	}
	return fileRow{
		OSPath: p, Name: p.Base(), Size: f.size, Mode: f.mode, IsDir: f.mode.IsDir(), IsLink: f.mode&fs.ModeSymlink != 0,
		Mtime: f.modified, Atime: f.accessed, Ctime: f.changed, Btime: f.born,
		Inode: f.inode, Device: f.device, Links: f.links, Uid: f.uid, Gid: f.gid, Data: data,
	}
}

func globPlugin() vql.Plugin {
	return vql.NewPlugin("glob", runGlob, vql.Permission("FILESYSTEM_READ"), vql.Impure(),
		vql.Doc("Finds files by patterns: * and ? within a name, [a-z] and [!a-z] for one character, {a,b} for alternatives, ** for any depth down to 30, **5 down to 5."))
}

// target is one expression that glob was asked for.
type target struct {
	text    string
	globs   []string // the text alone, for the rows
	found   int64
	denied  int64
	failed  int64
	problem error // the first
}

// place is where some patterns start, with their states.
type place struct {
	root   vql.Path
	states []state
	self   []int // targets that are the place itself
}

func runGlob(ctx context.Context, s *vql.Scope, a globArgs, emit func(*globRow) bool) error {
	accessor, err := s.Accessor(ctx, a.Accessor)
	if err != nil {
		return err
	}
	targets, places, err := planGlob(accessor, a)
	if err != nil {
		return err
	}
	g := &globRun{scope: s, targets: targets, started: s.Now()}
	for _, p := range places {
		if err = g.walk(ctx, accessor, a, p, emit); err != nil || g.stopped {
			break
		}
	}
	stop := context.Cause(ctx)
	if stop == nil {
		stop = err
	}
	if outcomeOf(stop) == flow.NotRun || stop == nil && g.stopped {
		return err // nobody wants more, or all of it ends: what was not looked for is not missing
	}
	return errors.Join(err, g.report(ctx, stop))
}

// planGlob compiles the expressions and sorts them by the place they start at.
func planGlob(accessor vql.Accessor, a globArgs) ([]*target, []*place, error) {
	base := a.Root
	if base.IsRoot() && base.Delegate() == nil {
		var err error
		if base, err = accessor.Parse(""); err != nil {
			return nil, nil, err
		}
	}
	var targets []*target
	places := []*place{{root: base}}
	number := 0
	for i, v := range a.Globs {
		where := places[0]
		text, alternatives, err := readGlob(accessor, v)
		if err != nil {
			return nil, nil, fmt.Errorf("glob %q: %w", text, err)
		}
		if p, ok := v.(vql.Path); ok && p.Delegate() != nil && a.Root.Delegate() == nil {
			for !p.IsRoot() {
				p = p.Dir()
			}
			where = &place{root: p}
			places = append(places, where)
		}
		targets = append(targets, &target{text: text, globs: []string{text}})
		fold := where.root.Style() == vql.Windows || where.root.Style() == vql.Registry
		for _, components := range alternatives {
			p, err := compile(i, components, fold)
			if err != nil {
				return nil, nil, fmt.Errorf("glob %q: %w", text, err)
			}
			p.number = number
			number++
			if len(p.parts) == 0 {
				where.self = append(where.self, i)
				continue
			}
			where.states = enter(where.states, p, 0)
		}
	}
	return targets, places, nil
}

// readGlob returns an expression as text, and the components of each of its
// alternatives.
func readGlob(accessor vql.Accessor, v any) (text string, alternatives [][]string, err error) {
	if p, ok := v.(vql.Path); ok {
		return p.String(), [][]string{p.Components()}, nil
	}
	text, ok := v.(string)
	if !ok {
		return "", nil, fmt.Errorf("%T is not text: %w", v, ErrPattern)
	}
	expanded, err := expandBraces(text)
	if err != nil {
		return text, nil, err
	}
	for _, one := range expanded {
		p, err := accessor.Parse(one)
		if err != nil {
			return text, nil, err
		}
		alternatives = append(alternatives, p.Components())
	}
	return text, alternatives, nil
}

// globRun is one call of glob.
type globRun struct {
	scope    *vql.Scope
	targets  []*target
	started  time.Time
	problems int
	stopped  bool // nobody wants more
}

// maxProblems bounds the problems of one call that are logged one by one.
const maxProblems = 100

func (g *globRun) walk(ctx context.Context, accessor vql.Accessor, a globArgs, at *place, emit func(*globRow) bool) error {
	w := &walk{
		accessor: accessor, nosymlink: a.NoSymlink, oneFilesystem: a.OneFilesystem,
		found: func(p vql.Path, e *entry, hits []int) bool {
			row := &globRow{fileRow: newFileRow(p, &e.fact, e.data), Globs: g.hit(hits)}
			g.stopped = !emit(row)
			return !g.stopped
		},
		problem: func(p vql.Path, err error, states []state) { g.fail(err, states) },
		deep: func(p vql.Path) {
			g.scope.Log(flow.LevelWarn, "glob: ** goes %d levels down and no further: %s was not entered, and perhaps others; write **%d for more", defaultDepth, p, 2*defaultDepth)
		},
	}
	if a.RecursionCallback.IsSet() {
		w.enters = func(p vql.Path, e *entry) bool {
			return g.scope.Truth(a.RecursionCallback.Call(ctx, g.scope, &globRow{fileRow: newFileRow(p, &e.fact, e.data)}))
		}
	}
	if len(at.self) > 0 {
		info, err := accessor.Lstat(ctx, at.root)
		if err != nil {
			g.fail(err, nil)
		} else if f := factFrom(info); !w.found(at.root, &entry{fact: f, data: info.Data}, at.self) {
			return nil
		}
	}
	if len(at.states) == 0 {
		return nil
	}
	return w.run(ctx, at.root, at.states)
}

// hit counts a match and returns the texts of the expressions that matched.
func (g *globRun) hit(hits []int) []string {
	if len(hits) == 1 {
		t := g.targets[hits[0]]
		t.found++
		return t.globs
	}
	slices.Sort(hits)
	hits = slices.Compact(hits)
	out := make([]string, len(hits))
	for i, n := range hits {
		g.targets[n].found++
		out[i] = g.targets[n].text
	}
	return out
}

func (g *globRun) fail(err error, states []state) {
	g.problems++
	if g.problems <= maxProblems {
		g.scope.Warn(err)
	} else if g.problems == maxProblems+1 {
		g.scope.Warn(fmt.Errorf("more than %d places could not be read; the report counts them", maxProblems))
	}
	last := -1
	for _, s := range states {
		if s.p.target == last {
			continue
		}
		last = s.p.target
		t := g.targets[last]
		if t.problem == nil {
			t.problem = err
		}
		if errors.Is(err, fs.ErrPermission) {
			t.denied++
		} else {
			t.failed++
		}
	}
}

// report tells the outcome of every expression. stop is the error that ended
// the walk early, nil if it came to its end.
func (g *globRun) report(ctx context.Context, stop error) error {
	ctx = context.WithoutCancel(ctx)
	var all []error
	for _, t := range g.targets {
		r := flow.Report{Target: t.text, Rows: t.found, Started: g.started, Duration: g.scope.Now().Sub(g.started)}
		r.Outcome, r.Detail = t.outcome(stop)
		all = append(all, g.scope.Report(ctx, r))
	}
	return errors.Join(all...)
}

func (t *target) outcome(stop error) (flow.Outcome, string) {
	detail := ""
	if n := t.denied + t.failed; n > 0 {
		detail = fmt.Sprintf("%d places could not be read, the first: %v", n, t.problem)
	}
	switch {
	case stop != nil && t.found > 0:
		return flow.Partial, stop.Error()
	case stop != nil:
		return outcomeOf(stop), stop.Error()
	case t.found > 0 && detail != "":
		return flow.Partial, detail
	case t.found > 0:
		return flow.Collected, ""
	case t.denied > 0:
		return flow.Denied, detail
	case t.failed > 0:
		return outcomeOf(t.problem), detail
	}
	return flow.Missing, "nothing matches"
}
