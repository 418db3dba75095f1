package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/internal/flow"
	"satchel/server/store"
)

func flags(f ...cli.Flag) []cli.Flag { return f }

// printJSON writes one object on a line.
func printJSON(c *command.Context, v any) error {
	e := json.NewEncoder(c.Out())
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// pairs prints names and values in two columns. Its first error sticks.
type pairs struct {
	w   io.Writer
	err error
}

// add prints a pair, unless the value is empty.
func (p *pairs) add(name, value string) {
	if p.err != nil || strings.Trim(value, " ,") == "" {
		return
	}
	value = strings.ReplaceAll(command.Printable(strings.TrimSpace(value)), "\n", "\n"+strings.Repeat(" ", 22))
	_, p.err = fmt.Fprintf(p.w, "%-20s  %s\n", command.Printable(name), value)
}

// addFacts prints the members of an object of host facts.
func (p *pairs) addFacts(object json.RawMessage) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return
	}
	for n := 0; d.More() && n < 100; n++ {
		key, err := d.Token()
		if err != nil {
			return
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		p.add(fmt.Sprint(key), text)
	}
}

// addOutcomes adds how the planned items ended, and the targets within them.
func (p *pairs) addOutcomes(stats []flow.OutcomeStat) {
	for _, o := range stats {
		if o.Items > 0 {
			p.add("items "+string(o.Outcome), fmt.Sprint(o.Items))
		}
	}
	for _, o := range stats {
		if o.Targets > 0 {
			p.add("targets "+string(o.Outcome), fmt.Sprint(o.Targets))
		}
	}
}

func hostName(hostname, fqdn string) string {
	switch {
	case hostname == "":
		return fqdn
	case fqdn == "" || strings.EqualFold(hostname, fqdn):
		return hostname
	}
	return hostname + " (" + fqdn + ")"
}

func system(goos, arch string) string { return strings.Trim(goos+"/"+arch, "/") }

// short is a time for a table, in UTC.
func short(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// long is a time for one line.
func long(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// joinShort joins words and leaves out what does not fit in a cell.
func joinShort(words []string) string {
	text := strings.Join(words[:min(len(words), 3)], ", ")
	if len(words) > 3 {
		text += fmt.Sprintf(" and %d more", len(words)-3)
	}
	return text
}

// problem is a problem as --json tells it: with all three members, always.
type problem struct {
	Member  string `json:"member"`
	Problem string `json:"problem"`
	Offset  int64  `json:"offset"` // -1 when it has no place
}

// problemLines gives problems for --json, never null.
func problemLines(found []container.Problem) []problem {
	out := make([]problem, 0, len(found))
	for _, p := range found {
		out = append(out, problem(p))
	}
	return out
}

func problemsOf(rec flow.Record) []container.Problem {
	out := make([]container.Problem, 0, len(rec.Problems))
	for _, p := range rec.Problems {
		out = append(out, container.Problem(p))
	}
	return out
}

// storeWords runs f on the store that a completion would use; a store that
// cannot be read has no words.
func storeWords(ctx context.Context, f func(*store.Store) []string) []string {
	dir, err := store.DefaultDir(runtime.GOOS, os.Getenv)
	if err != nil {
		return nil
	}
	s, err := store.Open(ctx, dir, store.Options{ReadOnly: true})
	if err != nil {
		return nil
	}
	words := f(s)
	if s.Close() != nil {
		return nil
	}
	return words
}
