package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/internal/collector"
	"satchel/internal/flow"
)

// finished is a collection that has ended with a closed container.
type finished struct {
	flow      flow.Flow
	host      flow.Host
	summary   collector.Summary
	container container.Summary
}

// summaryLine is what --json prints at the end.
type summaryLine struct {
	Path        string               `json:"path"`
	SHA256      string               `json:"sha256"`
	Bytes       int64                `json:"bytes"`
	FlowID      string               `json:"flow_id"`
	ClientID    string               `json:"client_id"`
	Hostname    string               `json:"hostname"`
	Items       int                  `json:"items"`
	Outcomes    map[flow.Outcome]int `json:"outcomes"`
	Targets     map[flow.Outcome]int `json:"targets"`
	Rows        int64                `json:"rows"`
	Uploads     int64                `json:"uploads"`
	UploadBytes int64                `json:"upload_bytes"`
	Seconds     float64              `json:"seconds"`
	Stopped     string               `json:"stopped,omitempty"`
	Failed      []failedItem         `json:"failed"`
}

type failedItem struct {
	Item    string       `json:"item"`
	Outcome flow.Outcome `json:"outcome"`
	Detail  string       `json:"detail"`
}

// printSummary says what was found, what failed and why, where it lies and what
// to do next.
func printSummary(c *command.Context, f finished) error {
	if c.JSON() {
		line := summaryLine{
			Path: f.container.Path, SHA256: f.container.SHA256, Bytes: f.container.Bytes, FlowID: f.flow.ID, ClientID: f.flow.ClientID,
			Hostname: f.host.Hostname, Items: len(f.summary.Items), Outcomes: f.summary.Outcomes, Targets: f.summary.Targets,
			Rows: f.summary.Rows, Uploads: f.summary.Uploads, UploadBytes: f.summary.Bytes, Seconds: f.summary.Duration.Seconds(),
			Stopped: f.summary.Stopped, Failed: failedItems(f.summary),
		}
		return c.Listing().Add(line)
	}
	_, err := fmt.Fprint(c.Out(), command.Printable(summaryText(f)))
	return err
}

func failedItems(s collector.Summary) []failedItem {
	failed := []failedItem{}
	for _, r := range s.Items {
		if r.Outcome.Failure() {
			failed = append(failed, failedItem{r.Source, r.Outcome, r.Detail})
		}
	}
	return failed
}

// maxFailedLines is how many failed items are named for people.
const maxFailedLines = 40

func summaryText(f finished) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s), flow %s\n\n", f.host.Hostname, f.flow.ClientID, f.flow.ID)
	fmt.Fprintf(&b, "  items      %d: %s\n", len(f.summary.Items), outcomeText(f.summary.Outcomes))
	fmt.Fprintf(&b, "  rows       %d\n", f.summary.Rows)
	fmt.Fprintf(&b, "  files      %d, %s\n", f.summary.Uploads, command.FormatSize(f.summary.Bytes))
	fmt.Fprintf(&b, "  time       %s\n", f.summary.Duration.Round(10*time.Millisecond))
	if f.summary.Stopped != "" {
		fmt.Fprintf(&b, "  stopped    %s\n", f.summary.Stopped)
	}
	failed := failedItems(f.summary)
	if len(failed) > 0 {
		b.WriteString("\nNot complete:\n")
	}
	for i, item := range failed {
		if i == maxFailedLines {
			fmt.Fprintf(&b, "  ... and %d more, in report.json of the container\n", len(failed)-i)
			break
		}
		fmt.Fprintf(&b, "  %-10s %s", item.Outcome, item.Item)
		if item.Detail != "" {
			fmt.Fprintf(&b, ": %s", strings.ReplaceAll(item.Detail, "\n", "; "))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n  container  %s\n  size       %s (%d bytes)\n  SHA-256    %s\n             (also in %s.sha256)\n",
		f.container.Path, command.FormatSize(f.container.Bytes), f.container.Bytes, f.container.SHA256, f.container.Path)
	fmt.Fprintf(&b, "\nNext: ingest import %s\n", shellWord(f.container.Path))
	return b.String()
}

// outcomeText names outcomes with their counts, the most frequent first.
func outcomeText(counts map[flow.Outcome]int) string {
	outcomes := make([]flow.Outcome, 0, len(counts))
	for o := range counts {
		outcomes = append(outcomes, o)
	}
	sort.Slice(outcomes, func(i, j int) bool {
		if counts[outcomes[i]] != counts[outcomes[j]] {
			return counts[outcomes[i]] > counts[outcomes[j]]
		}
		return outcomes[i] < outcomes[j]
	})
	parts := make([]string, 0, len(outcomes))
	for _, o := range outcomes {
		parts = append(parts, fmt.Sprintf("%d %s", counts[o], strings.ReplaceAll(string(o), "_", " ")))
	}
	return strings.Join(parts, ", ")
}

// shellWord quotes a path where a shell would take it apart.
func shellWord(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("/._-:\\", r))
	}) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// showProgress draws the state of the collection, and tells of items as they
// end when asked to be verbose.
func showProgress(console *command.Console) func(collector.Progress) {
	return func(p collector.Progress) {
		if r := p.Ended; r != nil {
			text := fmt.Sprintf("%-14s %7.2f s %7d rows %5d files  %s", r.Outcome, r.Duration.Seconds(), r.Rows, r.Uploads, r.Source)
			if r.Detail != "" {
				text += ": " + strings.ReplaceAll(r.Detail, "\n", "; ")
			}
			console.Debugf("%s", text)
		}
		running := ""
		if len(p.Running) > 0 {
			running = ": " + strings.Join(p.Running, ", ")
		}
		console.Progress("%d of %d items, %d rows, %d files, %s%s", p.Done, p.Total, p.Rows, p.Uploads, command.FormatSize(p.Bytes), running)
	}
}
