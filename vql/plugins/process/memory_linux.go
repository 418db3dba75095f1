package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

func memory(ctx context.Context, warn func(error), pid int64, take func(mapping) bool) error {
	return procFS{"/proc"}.memory(ctx, warn, pid, take)
}

func (p procFS) memory(ctx context.Context, warn func(error), pid int64, take func(mapping) bool) error {
	f, err := os.Open(p.path(pid, "maps"))
	if err != nil {
		return err
	}
	defer f.Close()
	for m, err := range mappings(f) {
		if cause := ctx.Err(); cause != nil {
			return cause
		}
		if vanished(err) {
			return nil
		}
		if err != nil {
			warn(fmt.Errorf("process %d: %w", pid, err))
			continue
		}
		if !take(m) {
			return nil
		}
	}
	return nil
}

func handles(ctx context.Context, warn func(error), pid int64, take func(*handleRow) bool) error {
	return procFS{"/proc"}.handles(ctx, warn, pid, take)
}

func (p procFS) handles(ctx context.Context, warn func(error), pid int64, take func(*handleRow) bool) error {
	if pid != 0 {
		_, err := p.descriptors(ctx, pid, take)
		return err
	}
	denied := 0
	for pid, err := range p.pids() {
		if err != nil {
			return err
		}
		goOn, err := p.descriptors(ctx, pid, take)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrPermission):
			denied++
		case err != nil && !vanished(err):
			warn(fmt.Errorf("process %d: %w", pid, err))
		case !goOn:
			return nil
		}
	}
	if denied > 0 {
		warn(fmt.Errorf("%d processes: %w", denied, fs.ErrPermission))
	}
	return nil
}

// descriptors gives the open files of one process.
func (p procFS) descriptors(ctx context.Context, pid int64, take func(*handleRow) bool) (bool, error) {
	d, err := os.Open(p.path(pid, "fd"))
	if err != nil {
		return true, err
	}
	defer d.Close()
	var buf []byte
	for {
		names, err := d.Readdirnames(256)
		for _, name := range names {
			number, bad := strconv.ParseUint(name, 10, 64)
			if bad != nil {
				continue
			}
			to, bad := os.Readlink(p.path(pid, "fd/"+name))
			if bad != nil {
				continue // closed meanwhile
			}
			row := newHandleRow(pid, number, to)
			if b, _, bad := read(p.path(pid, "fdinfo/"+name), buf, maxStat); bad == nil {
				row.addInfo(b)
				buf = b
			}
			if !take(row) {
				return false, nil
			}
		}
		if cause := ctx.Err(); cause != nil {
			return false, cause
		}
		if err != nil {
			return true, nil // the end, or the process has ended
		}
	}
}

func newHandleRow(pid int64, number uint64, to string) *handleRow {
	row := &handleRow{Pid: pid, Handle: number, Name: to, Type: "Anonymous"}
	switch {
	case strings.HasPrefix(to, "socket:["):
		row.Type = "Socket"
	case strings.HasPrefix(to, "pipe:["):
		row.Type = "Pipe"
	case strings.HasPrefix(to, "/dev/"):
		row.Type = "Device"
	case strings.HasPrefix(to, "/memfd:"):
	case strings.HasPrefix(to, "/"):
		row.Type = "File"
	}
	row.Name, row.Deleted = strings.CutSuffix(to, " (deleted)")
	return row
}

func (h *handleRow) addInfo(b []byte) {
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		text := string(bytes.TrimSpace(value))
		switch string(key) {
		case "pos":
			h.Offset, _ = strconv.ParseInt(text, 10, 64)
		case "flags":
			h.Flags, _ = strconv.ParseUint(text, 8, 64)
		}
	}
}
