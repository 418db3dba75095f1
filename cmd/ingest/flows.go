package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"satchel/cmd/internal/command"
	"satchel/internal/flow"
	"satchel/server/store"
)

func flowsCommand() *command.Command {
	return &command.Command{
		Name: "flows", Usage: "list the collections in the store",
		Description: "--state takes the state of a flow (finished, error, running ...), or `partial` for those whose\n" +
			"container is cut or damaged.",
		Examples: []command.Example{
			{Line: "ingest flows --client C.4f3a90c1d2e5b678"},
			{Line: "ingest flows --state error --json", What: "collections that ended in error, one JSON object per line"},
		},
		Flags: flags(storeFlag(),
			&cli.StringFlag{Name: "client", Usage: "only those of the client `ID` (or of the machine of that name)"},
			&cli.StringFlag{Name: "state", Usage: "only those in this `STATE`"}),
		Run: listFlows,
	}
}

func flowCommand() *command.Command {
	return &command.Command{
		Name: "flow", Usage: "look at one collection, or remove it",
		Commands: []*command.Command{
			{
				Name: "show", Usage: "tell what is known of a collection", ArgsUsage: "FLOW", MinArgs: 1, MaxArgs: 1,
				Examples: []command.Example{{Line: "ingest flow show F.D0VJ3C0PQ2T1K"}, {Line: "ingest flow show F.D0VJ3C0PQ2T1K --json"}},
				Flags:    flags(storeFlag()), Run: showFlow, Complete: completeFlows,
			},
			{
				Name: "delete", Usage: "remove a collection and its evidence from the store", ArgsUsage: "FLOW", MinArgs: 1, MaxArgs: 1,
				Description: "The container in the store is deleted; the one it was imported from is not touched.\nThe audit log of the store keeps the fact.",
				Examples:    []command.Example{{Line: "ingest flow delete F.D0VJ3C0PQ2T1K"}},
				Flags:       flags(storeFlag()), Run: deleteFlow, Complete: completeFlows,
			},
		},
	}
}

// flowLine is one collection of the listing.
type flowLine struct {
	FlowID      string    `json:"flow_id"`
	ClientID    string    `json:"client_id"`
	Hostname    string    `json:"hostname"`
	State       string    `json:"state"`
	Status      string    `json:"status,omitempty"`
	Complete    bool      `json:"complete"`
	Artifacts   []string  `json:"artifacts"`
	Rows        int64     `json:"rows"`
	Uploads     int64     `json:"uploads"`
	UploadBytes int64     `json:"upload_bytes"`
	Bytes       int64     `json:"bytes"` // of the container and its spool
	Failed      int64     `json:"failed_items"`
	Created     time.Time `json:"created,omitzero"`
	Started     time.Time `json:"started,omitzero"`
	Ended       time.Time `json:"ended,omitzero"`
	Imported    time.Time `json:"imported,omitzero"`
	Case        string    `json:"case,omitempty"`
	Format      string    `json:"format"`
	Original    string    `json:"original_flow_id,omitempty"`
}

// flowRow is what a person sees of it.
type flowRow struct {
	Flow, Client, Hostname, Started, State, Rows, Uploads, Artifacts string
}

func describeFlow(rec flow.Record) flowLine {
	l := flowLine{
		FlowID: rec.FlowID, ClientID: rec.ClientID, Hostname: rec.Host.Hostname, State: rec.State.String(), Status: rec.Status,
		Complete: rec.Complete, Artifacts: rec.Request.Artifacts, Rows: rec.Rows, Uploads: rec.Uploads, UploadBytes: rec.UploadBytes,
		Bytes: rec.Content.Bytes + rec.Content.SpoolBytes, Created: rec.Created, Started: rec.Started, Ended: rec.Ended,
		Imported: rec.Content.Imported, Case: rec.Case, Format: rec.Format, Original: rec.OriginalFlowID,
	}
	if l.Artifacts == nil {
		l.Artifacts = []string{}
	}
	for _, o := range rec.Outcomes {
		if o.Outcome.Failure() {
			l.Failed += o.Items + o.Targets
		}
	}
	return l
}

// flowState is the state with what a person must know of it.
func flowState(l flowLine) string {
	s := l.State
	if l.Failed > 0 {
		s += fmt.Sprintf(", %d failed", l.Failed)
	}
	if !l.Complete {
		s += ", partial"
	}
	return s
}

// inState says whether a flow is in the state that was asked for.
func inState(l flowLine, state string) bool {
	return state == "" || strings.EqualFold(state, l.State) || strings.EqualFold(state, "partial") && !l.Complete
}

// checkState refuses a word that is no state.
func checkState(state string) error {
	if state == "" || strings.EqualFold(state, "partial") {
		return nil
	}
	var words []string
	for s := flow.StateUnset; s <= flow.StateWaiting; s++ {
		if strings.EqualFold(state, s.String()) {
			return nil
		}
		words = append(words, strings.ToLower(s.String()))
	}
	return command.Usagef("--state %q is not one of %s, partial", state, strings.Join(words, ", "))
}

func listFlows(ctx context.Context, c *command.Context) (err error) {
	if err := checkState(c.String("state")); err != nil {
		return err
	}
	s, err := readStore(ctx, c)
	if err != nil {
		return err
	}
	defer closing(&err, s)
	clientID := ""
	if arg := c.String("client"); arg != "" {
		client, err := findClient(ctx, s, arg)
		if err != nil {
			return err
		}
		clientID = client.ClientID
	}
	list := c.Listing()
	var damaged error
	for rec, err := range s.Flows(ctx, clientID) {
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			damaged = errors.Join(damaged, err)
			continue
		}
		line := describeFlow(rec)
		if !inState(line, c.String("state")) {
			continue
		}
		var row any = line
		if !c.JSON() {
			row = flowRow{line.FlowID, line.ClientID, line.Hostname, short(line.Started), flowState(line),
				fmt.Sprint(line.Rows), fmt.Sprint(line.Uploads), joinShort(line.Artifacts)}
		}
		if err := list.Add(row); err != nil {
			return err
		}
	}
	return errors.Join(list.Close(), damaged)
}

func showFlow(ctx context.Context, c *command.Context) (err error) {
	s, err := readStore(ctx, c)
	if err != nil {
		return err
	}
	defer closing(&err, s)
	rec, err := findFlow(ctx, s, c.Args().First())
	if err != nil {
		return err
	}
	if c.JSON() {
		return printJSON(c, rec)
	}
	return printFlow(c, s, rec)
}

// printFlow prints a record for a person.
func printFlow(c *command.Context, s *store.Store, rec flow.Record) error {
	line := describeFlow(rec)
	p := &pairs{w: c.Out()}
	p.add("flow", rec.FlowID)
	if rec.OriginalFlowID != "" {
		p.add("originally", rec.OriginalFlowID)
	}
	p.add("client", rec.ClientID)
	p.add("host", hostName(rec.Host.Hostname, rec.Host.FQDN)+", "+system(rec.Host.OS, rec.Host.Arch))
	p.add("state", flowState(line))
	p.add("status", rec.Status)
	p.add("case", rec.Case)
	p.add("examiner", rec.Examiner)
	p.add("notes", rec.Notes)
	p.add("artifacts", strings.Join(rec.Request.Artifacts, ", "))
	for _, spec := range rec.Request.Specs {
		for _, param := range spec.Parameters {
			p.add("parameter", spec.Artifact+"::"+param.Key+"="+param.Value)
		}
	}
	p.add("started", long(rec.Started))
	p.add("ended", long(rec.Ended))
	p.add("collected", fmt.Sprintf("%d rows, %d uploads (%s), %d log lines", rec.Rows, rec.Uploads, bytesText(rec.UploadBytes), rec.Logs))
	for _, src := range rec.Sources {
		p.add("rows of "+src.Name, fmt.Sprint(src.Rows))
	}
	p.addOutcomes(rec.Outcomes)
	p.add("tool", strings.TrimSpace(rec.Tool.Name+" "+rec.Tool.Version))
	printContent(p, "", rec.Content)
	for _, old := range rec.Replaced {
		printContent(p, "before: ", old)
	}
	for _, problem := range problemsOf(rec) {
		p.add("problem", problem.String())
	}
	p.add("kept as", s.ContainerPath(rec.ClientID, rec.FlowID))
	return p.err
}

func printContent(p *pairs, lead string, c flow.Content) {
	p.add(lead+"imported", long(c.Imported)+" from "+c.From)
	if c.SHA256 != "" {
		p.add(lead+"container", fmt.Sprintf("%s, SHA-256 %s", bytesText(c.Bytes), c.SHA256))
	}
	if c.SpoolSHA256 != "" {
		p.add(lead+"spool", fmt.Sprintf("%s, SHA-256 %s", bytesText(c.SpoolBytes), c.SpoolSHA256))
	}
}

// deleted is the answer of `flow delete`.
type deleted struct {
	FlowID   string `json:"flow_id"`
	ClientID string `json:"client_id"`
	Deleted  bool   `json:"deleted"`
}

func deleteFlow(ctx context.Context, c *command.Context) (err error) {
	// A store that is not there is not made for this.
	reader, err := readStore(ctx, c)
	if err != nil {
		return err
	}
	if err := reader.Close(); err != nil {
		return err
	}
	s, err := writeStore(ctx, c, "flow delete")
	if err != nil {
		return err
	}
	defer closing(&err, s)
	rec, err := findFlow(ctx, s, c.Args().First())
	if err != nil {
		return err
	}
	if err := s.Delete(ctx, rec.ClientID, rec.FlowID); err != nil {
		return err
	}
	if c.JSON() {
		return printJSON(c, deleted{rec.FlowID, rec.ClientID, true})
	}
	_, err = fmt.Fprintf(c.Out(), "deleted %s/%s\n", rec.ClientID, rec.FlowID)
	return err
}
