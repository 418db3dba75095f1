package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"satchel/internal/flow"
)

// AuditEntry is one line of audit.jsonl: one change of the store, by whom.
type AuditEntry struct {
	Time        time.Time `json:"time"`
	Tx          string    `json:"tx"` // of the transaction, unique
	Action      string    `json:"action"`
	User        string    `json:"user,omitempty"`
	Command     string    `json:"command,omitempty"`
	ClientID    string    `json:"client_id"`
	FlowID      string    `json:"flow_id"`
	From        string    `json:"from,omitempty"`
	SHA256      string    `json:"sha256,omitempty"`
	SpoolSHA256 string    `json:"spool_sha256,omitempty"`
	Complete    bool      `json:"complete"`
}

func (s *Store) entry(tx, action string, rec flow.Record) AuditEntry {
	return AuditEntry{
		Time: s.o.Now().UTC(), Tx: tx, Action: action, User: s.o.User, Command: s.o.Command,
		ClientID: rec.ClientID, FlowID: rec.FlowID, From: rec.Content.From,
		SHA256: rec.Content.SHA256, SpoolSHA256: rec.Content.SpoolSHA256, Complete: rec.Complete,
	}
}

// auditTail is how far back a line of the same transaction is looked for: a
// transaction that is finished after a crash was the last one before it.
const auditTail = 64 << 10

// audit appends the entry durably, unless a crash came between the line and the
// end of its transaction. A line that a crash tore is ended first.
func (s *Store) audit(e AuditEntry) (err error) {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	f, err := s.root.OpenFile(auditFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("audit: %w", cerr)
		}
	}()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	tail := make([]byte, min(size, auditTail))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("audit: %w", err)
	}
	if torn := len(tail) > 0 && tail[len(tail)-1] != '\n'; torn {
		line = append([]byte{'\n'}, line...)
	} else if bytes.Contains(tail, []byte(`"tx":"`+e.Tx+`"`)) {
		return nil
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if size == 0 {
		return syncDir(s.root, ".")
	}
	return nil
}
