package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// apply does a committed change. Every step may have been done before a crash,
// so each first looks whether it is still to do.
func (s *Store) apply(dir string, c commit) error {
	var err error
	switch c.Action {
	case actionImport:
		err = s.applyImport(dir, c)
	case actionExtend:
		err = s.applyExtend(dir, c)
	case actionDelete:
		err = s.applyDelete(dir, c)
	default:
		err = fmt.Errorf("%s: unknown action %q", commitFile, clip(c.Action))
	}
	if err != nil {
		return err
	}
	s.step("applied")
	if err := s.audit(c.Audit); err != nil {
		return err
	}
	s.step("audited")
	if err := s.root.RemoveAll(dir); err != nil {
		return fmt.Errorf("end transaction: %w", err)
	}
	s.step("ended")
	return nil
}

// applyImport moves the whole flow directory to its place by one rename.
func (s *Store) applyImport(dir string, c commit) error {
	target := flowDir(c.ClientID, c.FlowID)
	if err := s.makeDirs(flowsDir(c.ClientID)); err != nil {
		return err
	}
	if err := s.moveClient(dir, c.ClientID); err != nil {
		return err
	}
	if err := s.move(path.Join(dir, stagedFlowDir), target); err != nil {
		return err
	}
	if err := syncDir(s.root, flowsDir(c.ClientID)); err != nil {
		return err
	}
	if s.index != nil && !slices.Contains(s.index[c.FlowID], c.ClientID) {
		s.index[c.FlowID] = append(s.index[c.FlowID], c.ClientID)
	}
	return nil
}

// applyExtend moves file by file: the container, its spool, the record. The
// longer container holds all that the old spool and record tell of, so a reader
// in between finds nothing missing.
func (s *Store) applyExtend(dir string, c commit) error {
	target := flowDir(c.ClientID, c.FlowID)
	stage := path.Join(dir, stagedFlowDir)
	for _, name := range []string{ContainerName, SpoolName} {
		if !slices.Contains(c.Files, name) {
			continue
		}
		if err := s.move(path.Join(stage, name), path.Join(target, name)); err != nil {
			return err
		}
		s.step("moved " + name)
	}
	if err := s.move(path.Join(stage, flowFile), path.Join(target, flowFile)); err != nil {
		return err
	}
	s.step("moved " + flowFile)
	for _, name := range []string{ContainerName, SpoolName} {
		if slices.Contains(c.Files, name) {
			continue
		}
		if err := removeIfThere(s.root, path.Join(target, name)); err != nil {
			return fmt.Errorf("remove replaced %s: %w", name, err)
		}
	}
	if err := syncDir(s.root, target); err != nil {
		return err
	}
	return s.moveClient(dir, c.ClientID)
}

// applyDelete takes the flow out of sight by one rename; the files go with the
// transaction.
func (s *Store) applyDelete(dir string, c commit) error {
	if err := s.move(flowDir(c.ClientID, c.FlowID), path.Join(dir, stagedFlowDir)); err != nil {
		return err
	}
	if err := syncDir(s.root, flowsDir(c.ClientID)); err != nil {
		return err
	}
	if s.index != nil {
		s.index[c.FlowID] = slices.DeleteFunc(s.index[c.FlowID], func(id string) bool { return id == c.ClientID })
	}
	return nil
}

// move renames unless it was done before.
func (s *Store) move(from, to string) error {
	there, err := exists(s.root, from)
	if err != nil {
		return err
	}
	if !there {
		return nil
	}
	if err := s.root.Rename(from, to); err != nil {
		return fmt.Errorf("move to %s: %w", to, err)
	}
	return nil
}

// moveClient puts the staged client.json in place.
func (s *Store) moveClient(dir, clientID string) error {
	target := clientDir(clientID)
	if err := s.move(path.Join(dir, clientFile), path.Join(target, clientFile)); err != nil {
		return err
	}
	s.step("moved " + clientFile)
	return syncDir(s.root, target)
}

// makeDirs makes clients/<C>/flows with every name in it durable.
func (s *Store) makeDirs(dir string) error {
	if there, err := exists(s.root, dir); err != nil || there {
		return err
	}
	if err := s.root.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	for d := path.Dir(dir); ; d = path.Dir(d) {
		if err := syncDir(s.root, d); err != nil {
			return err
		}
		if d == "." {
			return nil
		}
	}
}

// recover finishes what was committed and removes what was not. The lock is
// held, so nobody is at work in incoming/.
func (s *Store) recover() error {
	entries, err := fs.ReadDir(s.root.FS(), incomingDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recover store: %w", err)
	}
	for _, e := range entries {
		dir := path.Join(incomingDir, e.Name())
		var c commit
		err := readJSON(s.root, path.Join(dir, commitFile), maxCommitFile, &c)
		if err == nil {
			err = checkIDs(c.ClientID, c.FlowID)
		}
		if err == nil {
			if err := s.apply(dir, c); err != nil {
				return fmt.Errorf("finish %s of %s/%s: %w", c.Action, c.ClientID, c.FlowID, err)
			}
			continue
		}
		if err := s.root.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove unfinished %s: %w", dir, err)
		}
	}
	return nil
}
