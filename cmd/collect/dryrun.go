package main

import (
	"context"

	"satchel/artifacts"
	"satchel/cmd/internal/command"
	"satchel/internal/flow"
)

// plannedItem is one line of a dry run.
type plannedItem struct {
	Number       int          `json:"number"`
	Name         string       `json:"name"`
	Set          string       `json:"set,omitempty"`
	Runs         string       `json:"runs"` // yes, no, or why it could not be told
	Precondition string       `json:"precondition,omitempty"`
	Parameters   []flow.Param `json:"parameters"`
	Timeout      string       `json:"timeout,omitempty"`
	Volatility   int          `json:"volatility"`
}

// plannedRow is what a person sees of it.
type plannedRow struct {
	Nr, Item, Runs, Parameters any
}

// dryRun prints the items in the order in which they would run, with the
// verdict of their preconditions. Nothing is collected.
func dryRun(ctx context.Context, c *command.Context, r *request) error {
	engine := r.engine(c)
	list := c.Listing()
	for i := range r.plan.Items {
		it := &r.plan.Items[i]
		line := plannedItem{
			Number: i + 1, Name: it.Name, Set: it.Set, Runs: "yes", Parameters: it.Env, Volatility: it.Volatility,
		}
		if line.Parameters == nil {
			line.Parameters = []flow.Param{}
		}
		if it.Timeout > 0 {
			line.Timeout = it.Timeout.String()
		}
		for n := range it.Preconditions {
			holds, err := engine.Holds(ctx, it, n)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				line.Runs, line.Precondition = "unknown: "+err.Error(), it.Preconditions[n]
				break
			}
			if !holds {
				line.Runs, line.Precondition = "no", it.Preconditions[n]
				break
			}
		}
		var row any = line
		if !c.JSON() {
			row = plannedRow{line.Number, line.Name, line.Runs, parameterText(it)}
		}
		if err := list.Add(row); err != nil {
			return err
		}
	}
	return list.Close()
}

func parameterText(it *artifacts.Item) string {
	text := ""
	for _, p := range it.Env {
		if text != "" {
			text += " "
		}
		value := p.Value
		if len(value) > 40 {
			value = value[:37] + "..."
		}
		text += p.Key + "=" + value
	}
	return text
}
