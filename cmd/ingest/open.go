package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/internal/flow"
	"satchel/server/store"
)

// lockWait is how long a command waits for another that writes.
const lockWait = 5 * time.Second

func storeFlag() cli.Flag {
	return &cli.StringFlag{Name: "store", Usage: "use the store in `DIR` (default $SATCHEL_STORE, else a directory of the user's data)"}
}

func storeDir(c *command.Context) (string, error) {
	if dir := c.String("store"); dir != "" {
		return dir, nil
	}
	return store.DefaultDir(runtime.GOOS, c.Env.Getenv)
}

// readStore opens the store to read from.
func readStore(ctx context.Context, c *command.Context) (*store.Store, error) {
	dir, err := storeDir(c)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, dir, store.Options{ReadOnly: true})
	if errors.Is(err, store.ErrNoStore) {
		return nil, command.Hintf(err, "`ingest import FILE` makes a store; --store DIR or $SATCHEL_STORE names another")
	}
	return s, err
}

// writeStore opens the store to change it.
func writeStore(ctx context.Context, c *command.Context, name string) (*store.Store, error) {
	dir, err := storeDir(c)
	if err != nil {
		return nil, err
	}
	user := c.Env.Getenv("USER")
	if user == "" {
		user = c.Env.Getenv("USERNAME")
	}
	return store.Open(ctx, dir, store.Options{Command: "ingest " + name, User: user, LockWait: lockWait, Now: c.Env.Now})
}

// closing closes c; its error counts when there is no other.
func closing(err *error, c io.Closer) {
	if cerr := c.Close(); *err == nil {
		*err = cerr
	}
}

// findFlow finds the flow that an argument names: FLOW or CLIENT/FLOW.
func findFlow(ctx context.Context, s *store.Store, arg string) (flow.Record, error) {
	client, id, both := strings.Cut(arg, "/")
	if !both {
		client, id = "", arg
	}
	if !flow.ValidID(id) || both && !flow.ValidClientID(client) {
		e := command.Usagef("%q is not the id of a flow", arg)
		e.Hint = "an id looks like F.D0VJ3C0PQ2T1K; `ingest flows` lists them"
		return flow.Record{}, e
	}
	found, err := s.Find(ctx, id)
	if err != nil {
		return flow.Record{}, err
	}
	var names []string
	for _, rec := range found {
		if both && rec.ClientID == client || !both && len(found) == 1 {
			return rec, nil
		}
		names = append(names, rec.ClientID+"/"+rec.FlowID)
	}
	if both || len(found) == 0 {
		return flow.Record{}, command.Hintf(fmt.Errorf("no flow %s in the store %s", arg, s.Dir()), "`ingest flows` lists what is there")
	}
	e := command.Usagef("several clients have the flow %s: %s", arg, strings.Join(names, ", "))
	e.Hint = "name one of them as CLIENT/FLOW"
	return flow.Record{}, e
}

// evidence is the container of a flow, open in the store.
type evidence struct {
	*container.Reader
	rec   flow.Record
	files io.Closer
}

// Close closes the container and its files.
func (e *evidence) Close() error { return errors.Join(e.Reader.Close(), e.files.Close()) }

// openEvidence opens the container of a flow where it lies.
func openEvidence(ctx context.Context, s *store.Store, rec flow.Record) (*evidence, error) {
	zip, spool, files, err := s.OpenContainer(ctx, rec.ClientID, rec.FlowID)
	if err != nil {
		return nil, err
	}
	var z, sp io.ReaderAt
	var zn, sn int64
	if zip != nil {
		z, zn = zip, zip.Size()
	}
	if spool != nil {
		sp, sn = spool, spool.Size()
	}
	r, err := container.Open(z, zn, sp, sn, container.ReadOptions{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the container of flow %s: %w", rec.FlowID, err), files.Close())
	}
	return &evidence{Reader: r, rec: rec, files: files}, nil
}

// withFlow opens the store and the container of the flow that the first
// argument names, and runs do.
func withFlow(ctx context.Context, c *command.Context, do func(*store.Store, *evidence) error) (err error) {
	s, err := readStore(ctx, c)
	if err != nil {
		return err
	}
	defer closing(&err, s)
	rec, err := findFlow(ctx, s, c.Args().First())
	if err != nil {
		return err
	}
	ev, err := openEvidence(ctx, s, rec)
	if err != nil {
		return err
	}
	defer closing(&err, ev)
	if !rec.Complete {
		c.Console.Warnf("the container of flow %s is cut or damaged: this is what was saved (`ingest flow show %s` tells more)", rec.FlowID, rec.FlowID)
	}
	return do(s, ev)
}

// completeFlows offers the flow ids of the store.
func completeFlows(ctx context.Context, args []string, prefix string) []string {
	if len(args) > 0 {
		return nil
	}
	return storeWords(ctx, func(s *store.Store) []string {
		var ids []string
		for rec, err := range s.Flows(ctx, "") {
			if err == nil && strings.HasPrefix(rec.FlowID, prefix) && len(ids) < 1000 {
				ids = append(ids, rec.FlowID)
			}
		}
		return ids
	})
}

// completeClients offers the client ids of the store.
func completeClients(ctx context.Context, args []string, prefix string) []string {
	if len(args) > 0 {
		return nil
	}
	return storeWords(ctx, func(s *store.Store) []string {
		var ids []string
		for client, err := range s.Clients(ctx) {
			if err == nil && strings.HasPrefix(client.ClientID, prefix) && len(ids) < 1000 {
				ids = append(ids, client.ClientID)
			}
		}
		return ids
	})
}
