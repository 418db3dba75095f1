package main

import (
	"strings"
	"testing"
	"time"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/internal/collector"
	"satchel/internal/flow"
)

// TestEveryCommandExplainsItself holds every verb to a line of use and an
// example that begins with the verb itself.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	seen := 0
	var walk func(path string, commands []*command.Command)
	walk = func(path string, commands []*command.Command) {
		for _, c := range commands {
			name := path + " " + c.Name
			if c.Usage == "" || strings.HasSuffix(c.Usage, ".") {
				t.Errorf("%s: usage %q", name, c.Usage)
			}
			if len(c.Commands) > 0 {
				walk(name, c.Commands)
				continue
			}
			seen++
			if len(c.Examples) == 0 || !strings.Contains(c.Examples[0].Line, name) {
				t.Errorf("%s has no example of itself", name)
			}
		}
	}
	walk("collect", program().Commands)
	if seen < 6 {
		t.Errorf("only %d commands", seen)
	}
}

func TestFileName(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"web-1.example.org": "web-1.example.org", "": "host", "..": "host", "a/b\\c": "a_b_c", "名前": "__", ".hidden": "hidden",
		strings.Repeat("x", 300): strings.Repeat("x", 100),
	} {
		if got := fileName(host); got != want {
			t.Errorf("fileName(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/a/b-1.zip": "/a/b-1.zip", "a b.zip": "'a b.zip'", "it's": `'it'\''s'`} {
		if got := shellWord(path); got != want {
			t.Errorf("shellWord(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestSummaryText(t *testing.T) {
	t.Parallel()
	f := finished{
		flow: flow.Flow{ID: "F.1", ClientID: "C.1"}, host: flow.Host{Hostname: "h"},
		container: container.Summary{Path: "x.zip", Bytes: 2048, SHA256: "ab"},
		summary: collector.Summary{
			Outcomes: map[flow.Outcome]int{flow.Collected: 2, flow.Denied: 50}, Rows: 7, Duration: time.Second, Stopped: "interrupted",
		},
	}
	for range 50 {
		f.summary.Items = append(f.summary.Items, flow.Report{Source: "A/B", Outcome: flow.Denied, Detail: "line\nbreak"})
	}
	text := summaryText(f)
	for _, want := range []string{
		"h (C.1), flow F.1\n", "items      50: 50 denied, 2 collected\n", "stopped    interrupted\n", "denied     A/B: line; break\n",
		"... and 10 more, in report.json", "size       2.0 KiB (2048 bytes)\n", "Next: ingest import x.zip\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
