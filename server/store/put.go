package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"satchel/internal/flow"
)

// Fill copies evidence into an empty directory, as ContainerName, SpoolName or
// both, and returns what is known about it. With replace the flow must be there
// and its evidence gives way; without, it must not. Any error leaves the store
// as it was.
type Fill = func(ctx context.Context, stage *os.Root) (rec flow.Record, replace bool, err error)

// The actions of a transaction and of the audit log.
const (
	actionImport = "import"
	actionExtend = "extend"
	actionDelete = "delete"
)

// commit is commit.json: its presence in a transaction's directory means that
// the change is to be done, whatever happens.
type commit struct {
	Version  int        `json:"version"`
	Action   string     `json:"action"`
	ClientID string     `json:"client_id"`
	FlowID   string     `json:"flow_id"`
	Files    []string   `json:"files,omitempty"` // of the evidence
	Audit    AuditEntry `json:"audit"`
}

// Put adds a flow, or replaces the evidence of one by a longer version, all or
// nothing. It returns the record as it is kept, or the error of fill unchanged,
// or ErrExists or ErrNotFound (see Fill).
func (s *Store) Put(ctx context.Context, fill Fill) (flow.Record, error) {
	if s.o.ReadOnly {
		return flow.Record{}, ErrReadOnly
	}
	tx, dir, err := s.begin()
	if err != nil {
		return flow.Record{}, err
	}
	rec, committed, err := s.put(ctx, tx, dir, fill)
	if err != nil && !committed {
		// Nothing was promised: leave nothing. A failure here is for the next Open.
		err = errors.Join(err, s.root.RemoveAll(dir))
	}
	return rec, err
}

// begin makes the directory of a new transaction.
func (s *Store) begin() (tx, dir string, err error) {
	var raw [6]byte
	if _, err := io.ReadFull(s.o.Rand, raw[:]); err != nil {
		return "", "", fmt.Errorf("name a transaction: %w", err)
	}
	tx = s.o.Now().UTC().Format("20060102T150405Z-") + hex.EncodeToString(raw[:])
	dir = path.Join(incomingDir, tx)
	if err := s.root.MkdirAll(incomingDir, 0o700); err != nil {
		return "", "", fmt.Errorf("begin transaction: %w", err)
	}
	if err := s.root.Mkdir(dir, 0o700); err != nil {
		return "", "", fmt.Errorf("begin transaction: %w", err)
	}
	s.step("begun")
	return tx, dir, nil
}

// put stages, commits and applies. committed tells that a failure must be left
// for the next Open to finish.
func (s *Store) put(ctx context.Context, tx, dir string, fill Fill) (rec flow.Record, committed bool, err error) {
	stageDir := path.Join(dir, stagedFlowDir)
	if err := s.root.Mkdir(stageDir, 0o700); err != nil {
		return rec, false, fmt.Errorf("begin transaction: %w", err)
	}
	stage, err := s.root.OpenRoot(stageDir)
	if err != nil {
		return rec, false, fmt.Errorf("begin transaction: %w", err)
	}
	rec, replace, err := fill(ctx, stage)
	if cerr := stage.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close staging directory: %w", cerr)
	}
	if err != nil {
		return flow.Record{}, false, err
	}
	s.step("filled")
	if err := checkIDs(rec.ClientID, rec.FlowID); err != nil {
		return rec, false, err
	}
	files, err := s.checkStage(stageDir, rec.Content)
	if err != nil {
		return rec, false, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	rec.Version = Version
	c := commit{Version: Version, Action: actionImport, ClientID: rec.ClientID, FlowID: rec.FlowID, Files: files}
	if replace {
		c.Action = actionExtend
	}
	if err := s.stageRecords(ctx, dir, &rec, replace); err != nil {
		return rec, false, err
	}
	c.Audit = s.entry(tx, c.Action, rec)
	for _, d := range []string{stageDir, dir, incomingDir} {
		if err := syncDir(s.root, d); err != nil {
			return rec, false, err
		}
	}
	s.step("staged")
	if err := writeJSON(s.root, path.Join(dir, commitFile), c); err != nil {
		return rec, false, fmt.Errorf("commit: %w", err)
	}
	s.step("committed")
	if err := s.apply(dir, c); err != nil {
		return rec, true, fmt.Errorf("finish import of %s/%s (the next command on this store tries again): %w", rec.ClientID, rec.FlowID, err)
	}
	return rec, true, nil
}

// checkStage holds what fill left against what it said, syncs it, and returns
// the names of the evidence.
func (s *Store) checkStage(stageDir string, c flow.Content) ([]string, error) {
	entries, err := fs.ReadDir(s.root.FS(), stageDir)
	if err != nil {
		return nil, fmt.Errorf("read staging directory: %w", err)
	}
	want := map[string]int64{}
	if c.SHA256 != "" {
		want[ContainerName] = c.Bytes
	}
	if c.SpoolSHA256 != "" {
		want[SpoolName] = c.SpoolBytes
	}
	if len(want) == 0 {
		return nil, errors.New("no evidence was staged")
	}
	var files []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("read staging directory: %w", err)
		}
		size, ok := want[e.Name()]
		if !ok || !info.Mode().IsRegular() || info.Size() != size {
			return nil, fmt.Errorf("staged %s is not what was announced", clip(e.Name()))
		}
		files = append(files, e.Name())
	}
	if len(files) != len(want) {
		return nil, errors.New("staged evidence is not complete")
	}
	slices.Sort(files) // the container before its spool: see OpenContainer
	for _, f := range files {
		if err := syncFile(s.root, path.Join(stageDir, f)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// stageRecords writes flow.json and client.json into the transaction.
func (s *Store) stageRecords(ctx context.Context, dir string, rec *flow.Record, replace bool) error {
	old, err := s.Flow(ctx, rec.ClientID, rec.FlowID)
	switch {
	case replace && err != nil:
		return err
	case replace:
		rec.Replaced = append(slices.Clone(old.Replaced), old.Content)
	case err == nil:
		return fmt.Errorf("flow %s/%s: %w", rec.ClientID, rec.FlowID, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if err := writeJSON(s.root, path.Join(dir, stagedFlowDir, flowFile), rec); err != nil {
		return err
	}
	client, err := s.Client(ctx, rec.ClientID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return writeJSON(s.root, path.Join(dir, clientFile), client.Merge(*rec))
}

// Delete removes a flow and its evidence, or returns ErrNotFound. The client stays.
func (s *Store) Delete(ctx context.Context, clientID, flowID string) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	if err := checkIDs(clientID, flowID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	there, err := exists(s.root, flowDir(clientID, flowID))
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("flow %s/%s: %w", clientID, flowID, ErrNotFound)
	}
	rec, err := s.Flow(ctx, clientID, flowID)
	if err != nil {
		rec = flow.Record{ClientID: clientID, FlowID: flowID} // deleting a damaged one is fine
	}
	tx, dir, err := s.begin()
	if err != nil {
		return err
	}
	c := commit{Version: Version, Action: actionDelete, ClientID: clientID, FlowID: flowID}
	c.Audit = s.entry(tx, c.Action, rec)
	if err := errors.Join(syncDir(s.root, incomingDir), writeJSON(s.root, path.Join(dir, commitFile), c)); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), s.root.RemoveAll(dir))
	}
	s.step("committed")
	if err := s.apply(dir, c); err != nil {
		return fmt.Errorf("finish deletion of %s/%s: %w", clientID, flowID, err)
	}
	return nil
}
