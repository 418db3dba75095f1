// Package store keeps clients and flows in plain files that a person can read:
//
//	DIR/store.json                                 what this directory is, and the version of its layout
//	DIR/clients/<C>/client.json                    the machine
//	DIR/clients/<C>/flows/<F>/flow.json            the flow, for listings: no container is opened for them
//	DIR/clients/<C>/flows/<F>/container.zip        the evidence as it was imported
//	DIR/clients/<C>/flows/<F>/container.zip.spool  its spool, where it was cut
//	DIR/incoming/<T>/                              transactions that are not over
//	DIR/audit.jsonl                                one line for every change
//	DIR/lock, DIR/lock.json                        who writes
//
// A change is staged under incoming/, synced, committed by one rename of
// commit.json, and then moved to its place. A crash before the commit leaves
// only something in incoming/ that the next Open for writing removes; after it,
// that Open finishes the change. Readers need no lock: they see a flow before
// or after a change, never half of one.
//
// Every path below the directory goes through an [os.Root], and every part of
// it that comes from evidence is a checked id, so that no name in a container
// can lead out of the store.
package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"satchel/internal/flow"
)

// Version is the version of the layout that this package writes.
const Version = 1

var (
	// ErrNotFound is returned for a client or flow that the store does not have.
	ErrNotFound = errors.New("not in the store")
	// ErrExists is returned when a new flow has the id of one that is there.
	ErrExists = errors.New("already in the store")
	// ErrNoStore is returned when a directory to be read is no store.
	ErrNoStore = errors.New("no store here")
	// ErrReadOnly is returned for a change to a store that was opened to read.
	ErrReadOnly = errors.New("store is open for reading only")
	// ErrBadID is returned for an id that has not the shape of one.
	ErrBadID = errors.New("not a valid id")
)

// Options tell how to open a store. The zero value reads and writes.
type Options struct {
	ReadOnly bool             // take no lock, change nothing
	Command  string           // told to whoever finds the store locked, and to the audit log
	User     string           // for the audit log
	LockWait time.Duration    // how long to wait for another writer
	Now      func() time.Time // time.Now when nil
	Rand     io.Reader        // crypto/rand when nil
}

// Store is a store on a directory. Its methods may be called by several
// goroutines at once.
type Store struct {
	dir  string
	root *os.Root
	o    Options
	lock *lock

	mu    sync.Mutex          // one change at a time
	index map[string][]string // flow id -> client ids; nil until first asked for

	step func(name string) // tests stop the process here
}

// header is store.json.
type header struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Created time.Time `json:"created"`
}

const headerFormat = "satchel store"

// DefaultDir returns the directory of the user's own store:
// $XDG_DATA_HOME/satchel/store or ~/.local/share/satchel/store,
// %LocalAppData%\satchel\store, ~/Library/Application Support/satchel/store.
// SATCHEL_STORE beats them all. getenv is os.Getenv or a test's own.
func DefaultDir(goos string, getenv func(string) string) (string, error) {
	if d := getenv("SATCHEL_STORE"); d != "" {
		return d, nil
	}
	home := getenv("HOME")
	switch goos {
	case "windows":
		if d := getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "satchel", "store"), nil
		}
		home = getenv("USERPROFILE")
	case "darwin":
		if home != "" {
			return filepath.Join(home, "Library", "Application Support", "satchel", "store"), nil
		}
	default:
		if d := getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
			return filepath.Join(d, "satchel", "store"), nil
		}
	}
	if home == "" {
		return "", errors.New("no home directory to keep a store in: give --store DIR")
	}
	return filepath.Join(home, ".local", "share", "satchel", "store"), nil
}

// Open opens the store in dir. For writing it makes the directory where it is
// missing or empty, takes the lock, and finishes or removes what a crash left.
// The error is a *LockedError when another process writes, and ErrNoStore when
// a directory to be read holds no store.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if !o.ReadOnly {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make store %s: %w", dir, err)
		}
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store %s: %w", dir, ErrNoStore)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{dir: dir, root: root, o: o, step: func(string) {}}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare checks what lies in the directory and, for writing, takes the lock
// and recovers.
func (s *Store) prepare(ctx context.Context) error {
	if s.o.ReadOnly {
		return s.checkHeader()
	}
	if err := s.checkHeader(); errors.Is(err, ErrNoStore) {
		if err := s.checkEmpty(); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	l, err := takeLock(ctx, s.dir, s.root, s.o)
	if err != nil {
		return err
	}
	s.lock = l
	if err := s.checkHeader(); errors.Is(err, ErrNoStore) {
		if err := s.create(); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return s.recover()
}

// checkHeader reads store.json.
func (s *Store) checkHeader() error {
	var h header
	err := readJSON(s.root, "store.json", 1<<16, &h)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store %s: %w", s.dir, ErrNoStore)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	if h.Format != headerFormat {
		return fmt.Errorf("store %s: store.json has the format %q: %w", s.dir, h.Format, ErrNoStore)
	}
	if h.Version > Version {
		return fmt.Errorf("store %s: written by a newer program (layout %d, this one knows %d)", s.dir, h.Version, Version)
	}
	return nil
}

// checkEmpty refuses to make a store among other people's files.
func (s *Store) checkEmpty() error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("read %s: %w", s.dir, err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "lock", "lock.json", "incoming", "clients", "store.json.tmp":
		default:
			return fmt.Errorf("%s is no store and holds other files (%s): give an empty or new directory", s.dir, e.Name())
		}
	}
	return nil
}

// create lays out an empty store. store.json comes last and makes it one.
func (s *Store) create() error {
	for _, d := range []string{clientsDir, incomingDir} {
		if err := s.root.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make store: %w", err)
		}
	}
	b, err := json.MarshalIndent(header{Format: headerFormat, Version: Version, Created: s.o.Now().UTC()}, "", " ")
	if err != nil {
		return fmt.Errorf("make store: %w", err)
	}
	if err := writeFile(s.root, "store.json", append(b, '\n')); err != nil {
		return fmt.Errorf("make store: %w", err)
	}
	return nil
}

// Close gives the lock back. The store cannot be used after it.
func (s *Store) Close() error {
	var err error
	if s.lock != nil {
		err = s.lock.release(s.root)
		s.lock = nil
	}
	return errors.Join(err, s.root.Close())
}

// Dir returns the directory of the store.
func (s *Store) Dir() string { return s.dir }

func checkIDs(clientID, flowID string) error {
	if !flow.ValidClientID(clientID) {
		return fmt.Errorf("client %q: %w", clip(clientID), ErrBadID)
	}
	if !flow.ValidID(flowID) {
		return fmt.Errorf("flow %q: %w", clip(flowID), ErrBadID)
	}
	return nil
}

// clip bounds a hostile id for a message.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
