package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"satchel/artifacts"
	"satchel/cmd/internal/command"
)

func artifactsCommand() *command.Command {
	return &command.Command{
		Name: "artifacts", Usage: "see what can be collected, and check definitions",
		Commands: []*command.Command{
			{
				Name: "list", Usage: "list the artifacts", ArgsUsage: "[WORD...]", MaxArgs: -1,
				Description: "Lists the built-in library and what --definitions adds. WORDs keep those whose name or\n" +
					"description contains all of them.",
				Examples: []command.Example{{Line: "collect artifacts list network"}, {Line: "collect artifacts list --json"}},
				Flags:    definitionsFlags(), Run: listArtifacts,
			},
			{
				Name: "show", Usage: "print a definition", ArgsUsage: "NAME", MinArgs: 1, MaxArgs: 1,
				Examples: []command.Example{{Line: "collect artifacts show Linux.Triage"}},
				Flags:    definitionsFlags(), Run: showArtifact, Complete: completeArtifacts,
			},
			verifyCommand(),
		},
	}
}

// artifactLine is one artifact of the listing.
type artifactLine struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Description string   `json:"description"`
	Sources     []string `json:"sources,omitempty"`
	Parameters  []string `json:"parameters,omitempty"`
	Members     []string `json:"members,omitempty"`
	BuiltIn     bool     `json:"built_in"`
	Path        string   `json:"path,omitempty"`
}

// artifactRow is what a person sees of it.
type artifactRow struct {
	Name        string
	Description string
}

func listArtifacts(_ context.Context, c *command.Context) error {
	r, err := repository(c)
	if err != nil {
		return err
	}
	list := c.Listing()
	for _, name := range r.Names() {
		a, err := r.Get(name)
		if err != nil {
			return fmt.Errorf("artifact %s: %w", name, err)
		}
		if !matches(a, c.Arguments()) {
			continue
		}
		var line any = artifactRow{a.Name, firstSentence(a.Description)}
		if c.JSON() {
			line = describe(a)
		}
		if err := list.Add(line); err != nil {
			return err
		}
	}
	return list.Close()
}

func describe(a *artifacts.Artifact) artifactLine {
	line := artifactLine{Name: a.Name, Type: string(a.Type), Description: strings.TrimSpace(a.Description), BuiltIn: a.BuiltIn}
	if !a.BuiltIn {
		line.Path = a.Path
	}
	for _, s := range a.Sources {
		line.Sources = append(line.Sources, a.FullName(s))
	}
	for _, p := range a.Parameters {
		line.Parameters = append(line.Parameters, p.Name)
	}
	line.Members, _ = a.Members()
	return line
}

func matches(a *artifacts.Artifact, words []string) bool {
	text := strings.ToLower(a.Name + "\n" + a.Description)
	for _, w := range words {
		if !strings.Contains(text, strings.ToLower(w)) {
			return false
		}
	}
	return true
}

// firstSentence is the first sentence of a description on one line.
func firstSentence(text string) string {
	paragraph, _, _ := strings.Cut(strings.TrimSpace(text), "\n\n")
	line := strings.Join(strings.Fields(paragraph), " ")
	if i := strings.Index(line, ". "); i > 0 {
		line = line[:i]
	}
	return strings.TrimSuffix(line, ".")
}

func showArtifact(_ context.Context, c *command.Context) error {
	r, err := repository(c)
	if err != nil {
		return err
	}
	a, err := r.Get(c.Args().First())
	if err != nil {
		return asked(err)
	}
	if c.JSON() {
		data, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("encode %s: %w", a.Name, err)
		}
		_, err = fmt.Fprintf(c.Out(), "%s\n", data)
		return err
	}
	_, err = fmt.Fprintf(c.Out(), "%s\n", strings.TrimRight(string(a.Raw), "\n"))
	return err
}
