package importer

import (
	"context"
	"fmt"
	"slices"

	"satchel/container"
	"satchel/internal/flow"
)

// Bounds of what flow.json holds of a container, whose counts are hostile.
const (
	maxProblems  = 100
	maxSources   = 10_000
	maxArtifacts = 10_000
	maxText      = 64 << 10 // of notes, status and other texts
	maxInfo      = 256 << 10
)

// describeFlow makes the record of a container from what it says about itself.
func describeFlow(ctx context.Context, ev Evidence) (flow.Record, error) {
	info := ev.Info()
	rec := flow.Record{
		FlowID: info.Flow.ID, ClientID: info.Flow.ClientID,
		Format: info.Format, State: info.State, StateStr: info.State.String(), Status: bound(info.Status),
		Complete: info.Complete, Request: info.Flow.Request,
		Case: bound(info.Flow.Case), Examiner: bound(info.Flow.Examiner), Notes: bound(info.Flow.Notes),
		Host: info.Host, Tool: info.Tool,
		Created: info.Flow.Created, Started: info.Started, Ended: info.Ended,
		Rows: info.Rows, Uploads: info.Uploads, UploadBytes: info.UploadBytes, Logs: info.Logs,
	}
	boundFlow(&rec)
	for _, s := range ev.Sources() {
		if len(rec.Sources) == maxSources {
			break
		}
		rec.Sources = append(rec.Sources, flow.SourceStat{Name: bound(s.Name), Rows: s.Rows})
	}
	addProblems(&rec, info.Problems)
	for r, err := range ev.Reports(ctx) {
		if err != nil {
			addProblems(&rec, []container.Problem{{Member: "report.json", Problem: err.Error(), Offset: -1}})
			rec.Complete = false
			break
		}
		rec.Outcomes = flow.CountOutcome(rec.Outcomes, r)
	}
	if ctx.Err() != nil {
		return rec, context.Cause(ctx)
	}
	for i, o := range rec.Outcomes {
		rec.Outcomes[i].Outcome = flow.Outcome(bound(string(o.Outcome)))
	}
	slices.SortFunc(rec.Outcomes, func(a, b flow.OutcomeStat) int {
		if a.Items != b.Items {
			return int(min(max(b.Items-a.Items, -1), 1))
		}
		if a.Outcome < b.Outcome {
			return -1
		}
		return 1
	})
	return rec, nil
}

// boundFlow cuts texts and lists that no honest container has.
func boundFlow(rec *flow.Record) {
	h := &rec.Host
	for _, s := range []*string{&h.HostID, &h.RawID, &h.Hostname, &h.FQDN, &h.OS, &h.Arch,
		&rec.Format, &rec.Tool.Name, &rec.Tool.Version, &rec.Tool.SHA256, &rec.Request.Creator} {
		*s = boundTo(*s, 1<<10)
	}
	if len(h.Info) > maxInfo {
		h.Info = nil
	}
	r := &rec.Request
	r.Artifacts = r.Artifacts[:min(len(r.Artifacts), maxArtifacts)]
	r.Specs = r.Specs[:min(len(r.Specs), maxArtifacts)]
	size := 0
	for i, s := range r.Specs {
		size += len(s.Artifact)
		for _, p := range s.Parameters {
			size += len(p.Key) + len(p.Value)
		}
		if size > 4<<20 {
			r.Specs = r.Specs[:i]
			break
		}
	}
	size = 0
	for i, a := range r.Artifacts {
		if size += len(a); size > 1<<20 {
			r.Artifacts = r.Artifacts[:i]
			break
		}
	}
}

// addProblems keeps a bounded number of problems and counts the rest.
func addProblems(rec *flow.Record, problems []container.Problem) {
	for _, p := range problems {
		q := flow.Problem{Member: boundTo(p.Member, 1<<10), Problem: boundTo(p.Problem, 1<<10), Offset: p.Offset}
		if slices.Contains(rec.Problems, q) {
			continue
		}
		if len(rec.Problems) == maxProblems {
			rec.ProblemsCut++
			continue
		}
		rec.Problems = append(rec.Problems, q)
	}
}

// problemsOf gives the problems of a record as a result shows them.
func problemsOf(rec flow.Record) []container.Problem {
	out := make([]container.Problem, 0, len(rec.Problems)+1)
	for _, p := range rec.Problems {
		out = append(out, container.Problem(p))
	}
	if rec.ProblemsCut > 0 {
		out = append(out, container.Problem{Problem: fmt.Sprintf("and %d more", rec.ProblemsCut), Offset: -1})
	}
	return out
}

func bound(s string) string { return boundTo(s, maxText) }

func boundTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
