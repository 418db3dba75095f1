package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"satchel/cmd/internal/command"
	"satchel/internal/flow"
	"satchel/server/store"
)

func clientsCommand() *command.Command {
	return &command.Command{
		Name: "clients", Usage: "list the machines in the store", ArgsUsage: "[QUERY]", MaxArgs: 1,
		Description: "QUERY keeps the machines whose id, names, system or labels contain it, without regard to case.",
		Examples: []command.Example{
			{Line: "ingest clients"},
			{Line: "ingest clients web --json", What: "machines with `web` in their name, one JSON object per line"},
		},
		Flags: flags(storeFlag()), Run: listClients,
	}
}

func clientCommand() *command.Command {
	return &command.Command{
		Name: "client", Usage: "look at one machine",
		Commands: []*command.Command{{
			Name: "show", Usage: "tell what is known of a machine", ArgsUsage: "ID", MinArgs: 1, MaxArgs: 1,
			Description: "ID is a client id, or the name of a machine where only one has it.",
			Examples:    []command.Example{{Line: "ingest client show C.4f3a90c1d2e5b678"}, {Line: "ingest client show web-03"}},
			Flags:       flags(storeFlag()), Run: showClient, Complete: completeClients,
		}},
	}
}

// clientLine is one machine of the listing.
type clientLine struct {
	ClientID  string    `json:"client_id"`
	Hostname  string    `json:"hostname"`
	FQDN      string    `json:"fqdn"`
	OS        string    `json:"os"`
	Arch      string    `json:"arch"`
	Labels    []string  `json:"labels"`
	FirstSeen time.Time `json:"first_seen,omitzero"`
	LastSeen  time.Time `json:"last_seen,omitzero"`
	Flows     int       `json:"flows"`
}

// clientRow is what a person sees of it.
type clientRow struct {
	Client, Hostname, System, Flows, LastSeen string
}

func matchesClient(c flow.Client, query string) bool {
	text := strings.Join(append([]string{c.ClientID, c.Hostname, c.FQDN, c.OS, c.MachineID}, c.Labels...), "\n")
	return strings.Contains(strings.ToLower(text), strings.ToLower(query))
}

func describeClient(ctx context.Context, s *store.Store, c flow.Client) (clientLine, error) {
	n, err := s.FlowCount(ctx, c.ClientID)
	labels := c.Labels
	if labels == nil {
		labels = []string{}
	}
	return clientLine{c.ClientID, c.Hostname, c.FQDN, c.OS, c.Arch, labels, c.FirstSeen, c.LastSeen, n}, err
}

func listClients(ctx context.Context, c *command.Context) (err error) {
	s, err := readStore(ctx, c)
	if err != nil {
		return err
	}
	defer closing(&err, s)
	list := c.Listing()
	var damaged error
	for client, err := range s.Clients(ctx) {
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			damaged = errors.Join(damaged, err)
			continue
		}
		if !matchesClient(client, c.Args().First()) {
			continue
		}
		line, err := describeClient(ctx, s, client)
		if err != nil {
			return err
		}
		var row any = line
		if !c.JSON() {
			row = clientRow{line.ClientID, hostName(line.Hostname, line.FQDN), system(line.OS, line.Arch), fmt.Sprint(line.Flows), short(line.LastSeen)}
		}
		if err := list.Add(row); err != nil {
			return err
		}
	}
	return errors.Join(list.Close(), damaged)
}

// clientView is a machine with its flows.
type clientView struct {
	flow.Client
	Flows []flowLine `json:"flows"`
}

func showClient(ctx context.Context, c *command.Context) (err error) {
	s, err := readStore(ctx, c)
	if err != nil {
		return err
	}
	defer closing(&err, s)
	client, err := findClient(ctx, s, c.Args().First())
	if err != nil {
		return err
	}
	view := clientView{Client: client, Flows: []flowLine{}}
	for rec, err := range s.Flows(ctx, client.ClientID) {
		if err != nil {
			return err
		}
		view.Flows = append(view.Flows, describeFlow(rec))
	}
	if c.JSON() {
		return printJSON(c, view)
	}
	p := &pairs{w: c.Out()}
	p.add("client", client.ClientID)
	p.add("identity", client.Identity)
	p.add("hostname", hostName(client.Hostname, client.FQDN))
	p.add("system", system(client.OS, client.Arch))
	p.add("machine id", client.MachineID)
	p.add("labels", strings.Join(client.Labels, ", "))
	p.add("first seen", long(client.FirstSeen))
	p.add("last seen", long(client.LastSeen))
	p.addFacts(client.Info)
	for _, f := range view.Flows {
		p.add("flow "+f.FlowID, fmt.Sprintf("%s, %s, %d rows, %d uploads: %s", short(f.Started), flowState(f), f.Rows, f.Uploads, joinShort(f.Artifacts)))
	}
	return p.err
}

// findClient finds a machine by id or by name.
func findClient(ctx context.Context, s *store.Store, arg string) (flow.Client, error) {
	if flow.ValidClientID(arg) {
		client, err := s.Client(ctx, arg)
		return client, command.Hintf(err, "`ingest clients` lists what is there")
	}
	var found []flow.Client
	for client, err := range s.Clients(ctx) {
		if err == nil && (strings.EqualFold(client.Hostname, arg) || strings.EqualFold(client.FQDN, arg)) {
			found = append(found, client)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return flow.Client{}, command.Hintf(fmt.Errorf("no client %q in the store %s", arg, s.Dir()), "`ingest clients` lists what is there")
	}
	var ids []string
	for _, client := range found {
		ids = append(ids, client.ClientID)
	}
	return flow.Client{}, command.Usagef("several clients are called %s: %s", arg, strings.Join(ids, ", "))
}
