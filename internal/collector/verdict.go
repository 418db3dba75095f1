package collector

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"satchel/internal/flow"
	"satchel/vql"
)

// verdict is how an item ended, and why.
type verdict struct {
	outcome flow.Outcome
	detail  string
}

// cause is what open uploads of the item are ended with.
func (v verdict) cause() error {
	if v.outcome == flow.Abandoned {
		return errAbandoned
	}
	return errSealed
}

func notRun(cause error) verdict {
	return verdict{flow.NotRun, fmt.Sprintf("the collection ended before it: %v", cause)}
}

// stopped is the verdict on an item that was told to end.
func stopped(cause error, g *guard) verdict {
	switch {
	case errors.Is(cause, errItemTime), errors.Is(cause, ErrDeadline), errors.Is(cause, vql.ErrTimeout):
		return verdict{flow.TimedOut, fmt.Sprintf("%v; what it had found is kept: %s", cause, g.found())}
	case errors.Is(cause, ErrSink):
		return verdict{flow.Partial, cause.Error()}
	}
	return verdict{flow.Partial, fmt.Sprintf("%v; what it had found is kept: %s", cause, g.found())}
}

// judge tells how an item ended from how its query went. cause is nil unless
// it was told to end.
func judge(cause error, stats vql.Stats, err error, g *guard) verdict {
	g.mu.Lock()
	sinkErr, over, large, first := g.sinkErr, g.over, g.large, g.first
	found := g.rows > 0 || g.uploads > 0
	g.mu.Unlock()
	targets, failing, detail := g.outlook()
	var parse *vql.ParseError
	switch {
	case sinkErr != nil:
		return verdict{flow.Failed, sinkErr.Error()}
	case errors.Is(err, vql.ErrTimeout):
		return stopped(err, g)
	case cause != nil:
		return stopped(cause, g)
	case errors.As(err, &parse):
		return verdict{flow.Failed, parse.Error()}
	case err != nil:
		return either(found, flow.Failed, err.Error())
	case stats.Limited:
		return verdict{flow.OverLimit, fmt.Sprintf("stopped after %d rows, the limit of the artifact", stats.Rows)}
	case over != "":
		return verdict{flow.OverLimit, over}
	}
	if text, fatal := queryErrors(stats, found); fatal {
		return either(found, flow.Failed, text)
	}
	switch {
	case failing > 0:
		return either(found, onlyOutcome(targets), detail)
	case large > 0:
		return either(found, flow.OverLimit, andMore(first, large-1))
	case found:
		return verdict{flow.Collected, ""}
	case len(targets) == 1 && targets[0].outcome == flow.Missing:
		return verdict{flow.Missing, detail}
	}
	return verdict{flow.Empty, detail}
}

// either is partial when something was found, else the outcome for nothing.
func either(found bool, nothing flow.Outcome, detail string) verdict {
	if found {
		return verdict{flow.Partial, detail}
	}
	return verdict{nothing, detail}
}

// queryErrors says what plugins and functions complained about, and whether it
// makes the result incomplete. A name that is not known in the row at hand does
// not where rows were found all the same: artifacts probe for columns.
func queryErrors(stats vql.Stats, found bool) (text string, fatal bool) {
	var count int64
	for i := range stats.Errors {
		e := &stats.Errors[i]
		if e.Kind == vql.KindSymbol && found {
			continue
		}
		if count == 0 {
			text = e.Error()
		}
		count += max(1, e.Count)
	}
	return andMore(text, count-1+stats.Dropped), count > 0
}

func andMore(text string, n int64) string {
	if n <= 0 {
		return text
	}
	return fmt.Sprintf("%s (and %d more)", text, n)
}

// tally is an outcome and how many targets had it.
type tally struct {
	outcome flow.Outcome
	count   int
}

// outlook counts the outcomes of the item's targets, those of released reports
// included. Some outcomes are failures; detail names how many of each.
func (g *guard) outlook() (all []tally, failing int, detail string) {
	g.mu.Lock()
	counts := map[flow.Outcome]int{}
	for o, n := range g.outcomes {
		counts[o] += n
	}
	example := ""
	for _, name := range g.order {
		r := g.targets[name]
		counts[r.Outcome]++
		if example == "" && r.Outcome.Failure() {
			example = clip(name, 80)
			if r.Detail != "" {
				example += ": " + clip(r.Detail, 200)
			}
		}
	}
	g.mu.Unlock()
	total := 0
	for o, n := range counts {
		all = append(all, tally{o, n})
		total += n
		if o.Failure() {
			failing += n
		}
	}
	slices.SortFunc(all, func(a, b tally) int { return strings.Compare(string(a.outcome), string(b.outcome)) })
	var parts []string
	for _, t := range all {
		if t.outcome.Failure() || failing == 0 && t.outcome != flow.Collected {
			parts = append(parts, fmt.Sprintf("%d %s", t.count, t.outcome))
		}
	}
	if len(parts) > 0 {
		noun := "targets"
		if total == 1 {
			noun = "target"
		}
		detail = fmt.Sprintf("of %d %s: %s", total, noun, strings.Join(parts, ", "))
	}
	if example != "" {
		detail += " (" + example + ")"
	}
	return all, failing, detail
}

// clip shortens text for a message to about n bytes.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "..."
}

// onlyOutcome is the one failing outcome of all failing targets, or failed
// where they differ.
func onlyOutcome(all []tally) flow.Outcome {
	only := flow.Outcome("")
	for _, t := range all {
		if !t.outcome.Failure() {
			continue
		}
		if only != "" {
			return flow.Failed
		}
		only = t.outcome
	}
	return only
}

// found says in words what an item had found when it ended.
func (g *guard) found() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Sprintf("%d rows, %d files", g.rows, g.uploads)
}
