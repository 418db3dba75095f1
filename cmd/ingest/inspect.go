package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/internal/flow"
)

func inspectCommand() *command.Command {
	return &command.Command{
		Name: "inspect", Usage: "tell what a container is, without importing it", ArgsUsage: "FILE", MinArgs: 1, MaxArgs: 1,
		Description: "FILE is a container, or the spool that a collection left beside one. A cut container is read as far as\n" +
			"it goes and nothing of it is changed. The exit code is 4 when something is cut or damaged. What is in the\n" +
			"files is not read for that: `ingest verify` checks every byte.",
		Examples: []command.Example{
			{Line: "ingest inspect Collection-web-03.zip"},
			{Line: "ingest inspect Collection-web-03.zip --json"},
		},
		Run: inspect,
	}
}

// inspection is what inspect tells with --json.
type inspection struct {
	Path      string   `json:"path"`
	FlowID    string   `json:"flow_id"`
	ClientID  string   `json:"client_id"`
	Hostname  string   `json:"hostname"`
	Artifacts []string `json:"artifacts"`
	StateName string   `json:"state_name"`
	container.Info
	Sources  []container.SourceInfo `json:"sources"`
	Outcomes []flow.OutcomeStat     `json:"outcomes"`
	Problems []problem              `json:"problems"`
}

func inspect(ctx context.Context, c *command.Context) (err error) {
	path := c.Args().First()
	r, err := container.OpenFile(path, container.ReadOptions{})
	if err != nil {
		return unreadable(err)
	}
	defer closing(&err, r)
	in := inspection{Path: path, Info: r.Info(), Sources: r.Sources()}
	in.FlowID, in.ClientID, in.Hostname, in.StateName = in.Flow.ID, in.Flow.ClientID, in.Host.Hostname, in.State.String()
	in.Artifacts = append([]string{}, in.Flow.Request.Artifacts...)
	in.Outcomes, err = outcomes(ctx, r)
	if err != nil {
		in.Info.Problems = append(in.Info.Problems, container.Problem{Member: "report.json", Problem: err.Error(), Offset: -1})
		in.Complete = false
	}
	in.Problems = problemLines(in.Info.Problems)
	damaged := !in.Complete || len(in.Problems) > 0
	if c.JSON() {
		err = printJSON(c, in)
	} else {
		err = printInspection(c, in)
	}
	if err == nil && damaged {
		return command.Exit(command.Salvaged, nil)
	}
	return err
}

// outcomes counts the planned items, and the targets they looked for, by how they
// ended.
func outcomes(ctx context.Context, r *container.Reader) ([]flow.OutcomeStat, error) {
	out := []flow.OutcomeStat{}
	for rep, err := range r.Reports(ctx) {
		if err != nil {
			return out, err
		}
		out = flow.CountOutcome(out, rep)
	}
	return out, nil
}

func printInspection(c *command.Context, in inspection) error {
	p := &pairs{w: c.Out()}
	p.add("file", in.Path)
	p.add("format", strings.TrimSpace(fmt.Sprintf("%s, %s", in.Format, bytesText(in.Bytes))))
	state := "whole (`ingest verify` checks its bytes)"
	switch {
	case !in.Complete:
		state = "cut or damaged: this is what was saved"
	case len(in.Problems) > 0:
		state = "damaged: see the problems below"
	}
	p.add("container", state)
	p.add("flow", in.Flow.ID)
	p.add("client", in.Flow.ClientID)
	p.add("host", hostName(in.Host.Hostname, in.Host.FQDN)+", "+system(in.Host.OS, in.Host.Arch))
	p.add("state", strings.TrimRight(in.StateName+", "+in.Status, ", "))
	p.add("case", in.Flow.Case)
	p.add("examiner", in.Flow.Examiner)
	p.add("notes", in.Flow.Notes)
	p.add("started", long(in.Started))
	p.add("ended", long(in.Ended))
	p.add("tool", strings.TrimSpace(in.Tool.Name+" "+in.Tool.Version))
	p.add("artifacts", strings.Join(in.Flow.Request.Artifacts, ", "))
	p.add("collected", fmt.Sprintf("%d rows, %d uploads (%s), %d log lines", in.Rows, in.Uploads, bytesText(in.UploadBytes), in.Logs))
	for _, s := range in.Sources {
		p.add("rows of "+s.Name, fmt.Sprint(s.Rows))
	}
	p.addOutcomes(in.Outcomes)
	for _, found := range in.Info.Problems {
		p.add("problem", found.String())
	}
	return p.err
}

// unreadable gives an error of opening a container its exit code and a hint.
func unreadable(err error) error {
	switch {
	case errors.Is(err, container.ErrEncrypted):
		return command.Exit(command.NoKey, err)
	case errors.Is(err, container.ErrNotContainer):
		return command.Hintf(err, "`ingest` reads containers of `collect` and plain collections of Velociraptor")
	}
	return err
}
