package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
)

// Names below the store's directory. All are joined by slashes for os.Root.
const (
	clientsDir    = "clients"
	incomingDir   = "incoming"
	auditFile     = "audit.jsonl"
	clientFile    = "client.json"
	flowFile      = "flow.json"
	commitFile    = "commit.json"
	stagedFlowDir = "flow"

	// ContainerName and SpoolName are the files of the evidence in a flow's
	// directory, and in the directory that a Put fills.
	ContainerName = "container.zip"
	SpoolName     = ContainerName + ".spool"
)

// Sizes that no honest file of the store reaches.
const (
	maxFlowFile   = 64 << 20
	maxClientFile = 16 << 20
	maxCommitFile = 1 << 20
)

func clientDir(clientID string) string { return path.Join(clientsDir, clientID) }
func flowsDir(clientID string) string  { return path.Join(clientsDir, clientID, "flows") }
func flowDir(clientID, flowID string) string {
	return path.Join(clientsDir, clientID, "flows", flowID)
}

// readJSON decodes a file of at most limit bytes.
func readJSON(root *os.Root, name string, limit int64, into any) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return fmt.Errorf("read %s: larger than %d bytes", name, limit)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// encode gives the indented form in which the store keeps its objects.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// writeFile puts a whole, synced file in place of name, or leaves name as it was.
func writeFile(root *os.Root, name string, data []byte) error {
	tmp := name + ".tmp"
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), removeIfThere(root, tmp))
	}
	return syncDir(root, path.Dir(name))
}

// writeJSON is writeFile of an encoded object.
func writeJSON(root *os.Root, name string, v any) error {
	b, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return writeFile(root, name, b)
}

// syncFile makes the bytes of a file durable.
func syncFile(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}

// syncDir makes the names in a directory durable. Windows keeps them with the
// files and has no such call.
func syncDir(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", name, err)
	}
	return nil
}

func removeIfThere(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(root *os.Root, name string) (bool, error) {
	_, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
