package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// host is what must be known of a host to make rows of its procfs.
type host struct {
	names map[uint32]string
	ticks uint64 // per second
	page  uint64 // bytes
}

// list emits the processes, or the one with that pid unless it is 0.
func (p procFS) list(ctx context.Context, h host, warn func(error), pid int64, emit func(*processRow) bool) error {
	boot, err := p.bootTime()
	if err != nil {
		return fmt.Errorf("time of boot: %w", err)
	}
	r := &reader{procFS: p, host: h, boot: boot}
	defer func() {
		if r.denied > 0 {
			warn(fmt.Errorf("parts of %d processes may not be read: %w", r.denied, fs.ErrPermission))
		}
	}()
	if pid != 0 {
		row, err := r.row(pid)
		if err != nil && !vanished(err) {
			return err
		}
		if err == nil {
			emit(row)
		}
		return nil
	}
	for pid, err := range p.pids() {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := r.row(pid)
		switch {
		case vanished(err):
		case err != nil:
			warn(fmt.Errorf("process %d: %w", pid, err))
		case !emit(row):
			return nil
		}
	}
	return nil
}

// vanished says whether an error means that the process has ended.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// reader makes rows and reuses its buffer.
type reader struct {
	procFS
	host
	boot   int64
	buf    []byte
	denied int
}

func (r *reader) file(pid int64, name string, limit int) ([]byte, error) {
	b, _, err := read(r.path(pid, name), r.buf, limit)
	r.buf = b
	return b, err
}

func (r *reader) row(pid int64) (*processRow, error) {
	b, err := r.file(pid, "stat", maxStat)
	if err != nil {
		return nil, err
	}
	st, err := parseStat(b)
	if err != nil {
		return nil, err
	}
	row := &processRow{
		Pid: st.Pid, Ppid: st.Ppid, Name: st.Name, State: st.State, Tty: st.Tty, Session: st.Session, Threads: st.Threads,
		RSS: uint64(max(st.RSSPages, 0)) * r.page, VMS: st.VMSize, Kernel: st.Flags&kernelThread != 0,
		UserTime: float64(st.UTime) / float64(r.ticks), SystemTime: float64(st.STime) / float64(r.ticks),
		CreateTime: r.since(st.StartTicks), Uid: -1, Gid: -1, EffectiveUid: -1,
	}
	if b, err = r.file(pid, "status", maxStat); err != nil {
		return nil, err
	}
	more, err := parseStatus(b)
	if err != nil {
		return nil, err
	}
	row.Uid, row.Gid, row.EffectiveUid, row.TracerPid = int64(more.UID), int64(more.GID), int64(more.EUID), more.TracerPid
	row.Username = r.names[more.UID]
	if n := len(more.NSpid); n > 1 {
		row.NsPid = more.NSpid[n-1]
	}
	if row.Kernel {
		return row, nil
	}
	denied := false
	if b, err = r.file(pid, "cmdline", maxCmdline); err == nil {
		row.Argv = splitArgs(b)
		row.CommandLine = strings.Join(row.Argv, " ")
	}
	denied = denied || errors.Is(err, fs.ErrPermission)
	if b, err = r.file(pid, "cgroup", maxStat); err == nil {
		row.Container = containerID(b)
	}
	row.Exe = r.link(pid, "exe", &denied)
	row.Exe, row.Deleted = strings.CutSuffix(row.Exe, " (deleted)")
	row.Cwd = r.link(pid, "cwd", &denied)
	row.Root = r.link(pid, "root", &denied)
	if denied {
		r.denied++
	}
	return row, nil
}

func (r *reader) link(pid int64, name string, denied *bool) string {
	to, err := os.Readlink(r.path(pid, name))
	*denied = *denied || errors.Is(err, fs.ErrPermission)
	return to
}

// since turns ticks since boot into a time.
func (r *reader) since(ticks uint64) time.Time {
	seconds := ticks / r.ticks
	if seconds > 1<<40 {
		return time.Time{}
	}
	part := ticks % r.ticks * uint64(time.Second) / r.ticks
	return time.Unix(r.boot+int64(seconds), int64(part)).UTC()
}

// containerPattern finds the id that container engines put into the name of a
// control group: docker-<id>.scope, /docker/<id>, cri-containerd-<id>.scope,
// libpod-<id>.scope, crio-<id>, and lxc names.
var containerPattern = regexp.MustCompile(`(?:[/:-])([0-9a-f]{64})(?:\.scope|/|$)|/(?:lxc\.payload[./]|lxc/)([^/]+)`)

// containerID reads the id of the container from /proc/PID/cgroup, "" if the
// process is in none.
func containerID(b []byte) string {
	for line := range bytes.Lines(b) {
		if m := containerPattern.FindSubmatch(bytes.TrimRight(line, "\n")); m != nil {
			if len(m[1]) > 0 {
				return string(m[1])
			}
			return string(m[2])
		}
	}
	return ""
}
