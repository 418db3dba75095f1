package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Limits of what is read from one file of procfs, in bytes.
const (
	maxStat    = 64 << 10
	maxCmdline = 2 << 20
	maxLine    = 16 << 10
)

// ErrProc says that a file of procfs has not the form that the kernel writes.
var ErrProc = errors.New("malformed procfs file")

// procFS reads a procfs that is mounted, or lies as plain files, at root.
type procFS struct {
	root string
}

// stat is /proc/PID/stat: times in clock ticks since boot.
type stat struct {
	Pid, Ppid    int64
	Name         string
	State        string
	Session      int64
	Tty          int64
	Flags        uint64
	UTime, STime uint64
	Threads      int64
	StartTicks   uint64
	VMSize       uint64 // bytes
	RSSPages     int64
}

// kernelThread is the flag PF_KTHREAD.
const kernelThread = 0x00200000

// parseStat reads the one line of /proc/PID/stat. The name stands in brackets
// and may hold any byte, brackets and newlines included.
func parseStat(b []byte) (stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("stat: no name: %w", ErrProc)
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 22 {
		return stat{}, fmt.Errorf("stat: %d fields: %w", len(f), ErrProc)
	}
	p := fields{f: f}
	s := stat{Name: string(b[open+1 : end]), State: f[0]}
	pid, err := strconv.ParseInt(strings.TrimSpace(string(b[:open])), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("stat: pid: %w", ErrProc)
	}
	s.Pid, s.Ppid, s.Session, s.Tty = pid, p.int(1), p.int(3), p.int(4)
	s.Flags, s.UTime, s.STime = p.uint(6), p.uint(11), p.uint(12)
	s.Threads, s.StartTicks, s.VMSize, s.RSSPages = p.int(17), p.uint(19), p.uint(20), p.int(21)
	return s, p.err
}

// fields converts numbers and keeps the first error.
type fields struct {
	f   []string
	err error
}

func (p *fields) int(i int) int64 {
	n, err := strconv.ParseInt(p.f[i], 10, 64)
	p.fail(i, err)
	return n
}

func (p *fields) uint(i int) uint64 {
	n, err := strconv.ParseUint(p.f[i], 10, 64)
	p.fail(i, err)
	return n
}

func (p *fields) fail(i int, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("stat: field %d: %w", i+3, ErrProc)
	}
}

// status is the part of /proc/PID/status that stat lacks.
type status struct {
	UID, EUID, GID, EGID uint32
	TracerPid            int64
	CapEff               uint64
	NoNewPrivs           bool
	Seccomp              int64
	NSpid                []int64 // the pid in each pid namespace, outermost first
}

func parseStatus(b []byte) (status, error) {
	var s status
	seen := false
	for line := range bytes.Lines(b) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		f := strings.Fields(string(value))
		if len(f) == 0 {
			continue
		}
		switch string(key) {
		case "Uid", "Gid":
			if len(f) < 2 {
				return s, fmt.Errorf("status: %s: %w", key, ErrProc)
			}
			real, err := strconv.ParseUint(f[0], 10, 32)
			effective, err2 := strconv.ParseUint(f[1], 10, 32)
			if err != nil || err2 != nil {
				return s, fmt.Errorf("status: %s: %w", key, ErrProc)
			}
			if key[0] == 'U' {
				s.UID, s.EUID, seen = uint32(real), uint32(effective), true
			} else {
				s.GID, s.EGID = uint32(real), uint32(effective)
			}
		case "TracerPid":
			s.TracerPid, _ = strconv.ParseInt(f[0], 10, 64)
		case "CapEff":
			s.CapEff, _ = strconv.ParseUint(f[0], 16, 64)
		case "NoNewPrivs":
			s.NoNewPrivs = f[0] == "1"
		case "Seccomp":
			s.Seccomp, _ = strconv.ParseInt(f[0], 10, 64)
		case "NSpid":
			for _, v := range f[:min(len(f), 33)] { // the kernel nests at most 32 deep
				if n, err := strconv.ParseInt(v, 10, 64); err == nil {
					s.NSpid = append(s.NSpid, n)
				}
			}
		}
	}
	if !seen {
		return s, fmt.Errorf("status: no Uid: %w", ErrProc)
	}
	return s, nil
}

// splitArgs splits /proc/PID/cmdline at its NUL bytes. A process that wrote
// over its arguments has one argument without NUL.
func splitArgs(b []byte) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), "\x00")
}

// pids yields the process ids under root in the order of the directory.
func (p procFS) pids() iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		d, err := os.Open(p.root)
		if err != nil {
			yield(0, err)
			return
		}
		defer d.Close()
		for {
			names, err := d.Readdirnames(512)
			for _, name := range names {
				pid, bad := strconv.ParseInt(name, 10, 64)
				if bad != nil || pid <= 0 {
					continue
				}
				if !yield(pid, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(0, err)
				return
			}
		}
	}
}

// path names a file of a process.
func (p procFS) path(pid int64, name string) string {
	return p.root + "/" + strconv.FormatInt(pid, 10) + "/" + name
}

// read reads at most limit bytes of a file of procfs into buf, which grows as
// needed, and says whether there was more.
func read(name string, buf []byte, limit int) (b []byte, cut bool, err error) {
	f, err := os.OpenFile(filepath.FromSlash(name), os.O_RDONLY, 0)
	if err != nil {
		return buf[:0], false, err
	}
	defer f.Close()
	b = buf[:0]
	if cap(b) < 4096 {
		b = make([]byte, 0, 4096)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := f.Read(b[len(b):min(cap(b), limit+1)])
		b = b[:len(b)+n]
		switch {
		case len(b) > limit:
			return b[:limit], true, nil
		case err == io.EOF:
			return b, false, nil
		case err != nil:
			return b, false, err
		}
	}
}

// bootTime is the time of boot in seconds since 1970, from root/stat.
func (p procFS) bootTime() (int64, error) {
	b, _, err := read(p.root+"/stat", nil, 4<<20)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
			if err != nil || n < 0 || n > 1<<40 {
				return 0, fmt.Errorf("stat: btime: %w", ErrProc)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("stat: no btime: %w", ErrProc)
}
