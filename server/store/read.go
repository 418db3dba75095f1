package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"

	"satchel/internal/flow"
)

// Clients gives every client in the order of the ids. An error names the client
// whose file cannot be read; the next ones follow.
func (s *Store) Clients(ctx context.Context) iter.Seq2[flow.Client, error] {
	return func(yield func(flow.Client, error) bool) {
		ids, err := s.names(clientsDir, flow.ValidClientID)
		if err != nil {
			yield(flow.Client{}, err)
			return
		}
		for _, id := range ids {
			if ctx.Err() != nil {
				yield(flow.Client{}, ctx.Err())
				return
			}
			c, err := s.Client(ctx, id)
			if errors.Is(err, ErrNotFound) {
				continue // its first import is under way
			}
			if err != nil {
				c.ClientID = id
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// Client returns one client, or ErrNotFound.
func (s *Store) Client(_ context.Context, id string) (flow.Client, error) {
	if !flow.ValidClientID(id) {
		return flow.Client{}, fmt.Errorf("client %q: %w", clip(id), ErrBadID)
	}
	var c flow.Client
	err := readJSON(s.root, path.Join(clientDir(id), clientFile), maxClientFile, &c)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("client %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return c, fmt.Errorf("client %s: %w", id, err)
	}
	c.ClientID = id
	return c, nil
}

// FlowCount returns how many flows a client has, without reading them.
func (s *Store) FlowCount(_ context.Context, clientID string) (int, error) {
	if !flow.ValidClientID(clientID) {
		return 0, fmt.Errorf("client %q: %w", clip(clientID), ErrBadID)
	}
	ids, err := s.names(flowsDir(clientID), flow.ValidID)
	return len(ids), err
}

// Flows gives the flows of one client, or of all when clientID is empty, in the
// order of client and flow id, which is the order of their making. An error
// names the flow whose file cannot be read; the next ones follow.
func (s *Store) Flows(ctx context.Context, clientID string) iter.Seq2[flow.Record, error] {
	return func(yield func(flow.Record, error) bool) {
		clients := []string{clientID}
		if clientID == "" {
			ids, err := s.names(clientsDir, flow.ValidClientID)
			if err != nil {
				yield(flow.Record{}, err)
				return
			}
			clients = ids
		} else if !flow.ValidClientID(clientID) {
			yield(flow.Record{}, fmt.Errorf("client %q: %w", clip(clientID), ErrBadID))
			return
		}
		for _, c := range clients {
			if !s.clientFlows(ctx, c, yield) {
				return
			}
		}
	}
}

// clientFlows yields the flows of one client and says whether to go on.
func (s *Store) clientFlows(ctx context.Context, clientID string, yield func(flow.Record, error) bool) bool {
	ids, err := s.names(flowsDir(clientID), flow.ValidID)
	if err != nil {
		return yield(flow.Record{ClientID: clientID}, err)
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			yield(flow.Record{}, ctx.Err())
			return false
		}
		rec, err := s.Flow(ctx, clientID, id)
		if errors.Is(err, ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			rec.ClientID, rec.FlowID = clientID, id
		}
		if !yield(rec, err) {
			return false
		}
	}
	return true
}

// Flow returns one flow, or ErrNotFound.
func (s *Store) Flow(_ context.Context, clientID, flowID string) (flow.Record, error) {
	if err := checkIDs(clientID, flowID); err != nil {
		return flow.Record{}, err
	}
	var rec flow.Record
	err := readJSON(s.root, path.Join(flowDir(clientID, flowID), flowFile), maxFlowFile, &rec)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, fmt.Errorf("flow %s/%s: %w", clientID, flowID, ErrNotFound)
	}
	if err != nil {
		return rec, fmt.Errorf("flow %s/%s: %w", clientID, flowID, err)
	}
	rec.ClientID, rec.FlowID = clientID, flowID
	return rec, nil
}

// Find returns the flows of that id, one for each client that has it; none is
// no error.
func (s *Store) Find(ctx context.Context, flowID string) ([]flow.Record, error) {
	if !flow.ValidID(flowID) {
		return nil, fmt.Errorf("flow %q: %w", clip(flowID), ErrBadID)
	}
	owners, err := s.owners(flowID)
	if err != nil {
		return nil, err
	}
	var found []flow.Record
	for _, c := range owners {
		rec, err := s.Flow(ctx, c, flowID)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, rec)
	}
	return found, nil
}

// owners returns the clients that have a flow of that id. A writer knows all
// ids after its first look, as nobody else changes them.
func (s *Store) owners(flowID string) ([]string, error) {
	if s.o.ReadOnly {
		clients, err := s.names(clientsDir, flow.ValidClientID)
		if err != nil {
			return nil, err
		}
		var owners []string
		for _, c := range clients {
			ok, err := exists(s.root, flowDir(c, flowID))
			if err != nil {
				return nil, err
			}
			if ok {
				owners = append(owners, c)
			}
		}
		return owners, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index == nil {
		clients, err := s.names(clientsDir, flow.ValidClientID)
		if err != nil {
			return nil, err
		}
		index := make(map[string][]string)
		for _, c := range clients {
			ids, err := s.names(flowsDir(c), flow.ValidID)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				index[id] = append(index[id], c)
			}
		}
		s.index = index
	}
	return append([]string(nil), s.index[flowID]...), nil
}

// OpenContainer opens the evidence of a flow: its container and the spool that
// was imported with it, either of which is nil where there is none. Closing
// the closer ends both.
func (s *Store) OpenContainer(_ context.Context, clientID, flowID string) (zip, spool *io.SectionReader, c io.Closer, err error) {
	if err := checkIDs(clientID, flowID); err != nil {
		return nil, nil, nil, err
	}
	// The spool first: while a longer version comes in, this reader may meet the
	// old spool with the new container, which holds all that the spool tells of,
	// and never the other way round.
	dir := flowDir(clientID, flowID)
	spool, sf, err := openSection(s.root, path.Join(dir, SpoolName))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("flow %s/%s: %w", clientID, flowID, err)
	}
	zip, zf, err := openSection(s.root, path.Join(dir, ContainerName))
	files := closers{zf, sf}
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("flow %s/%s: %w", clientID, flowID, err), files.Close())
	}
	if zip == nil && spool == nil {
		return nil, nil, nil, fmt.Errorf("container of flow %s/%s: %w", clientID, flowID, ErrNotFound)
	}
	return zip, spool, files, nil
}

// openSection opens a regular file whole; all results are nil when it is not there.
func openSection(root *os.Root, name string) (*io.SectionReader, *os.File, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return io.NewSectionReader(f, 0, info.Size()), f, nil
}

type closers []*os.File

// Close closes all that are open.
func (c closers) Close() error {
	var err error
	for _, f := range c {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// names returns the sorted names in a directory that are ids; a missing
// directory has none.
func (s *Store) names(dir string, valid func(string) bool) ([]string, error) {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.IsDir() && valid(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// ContainerPath returns where the evidence of a flow lies, for a person to look
// at: the container, which may be missing when only a spool was imported.
func (s *Store) ContainerPath(clientID, flowID string) string {
	if checkIDs(clientID, flowID) != nil {
		return ""
	}
	return filepath.Join(s.dir, filepath.FromSlash(flowDir(clientID, flowID)), ContainerName)
}
