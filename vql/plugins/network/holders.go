package network

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder is a process that holds a socket.
type holder struct {
	Pid int64
	Fd  int64
}

// holders maps the inode of each socket to the processes that hold it, and
// tells one process of each network namespace.
type holders struct {
	byInode map[uint64][]holder
	spaces  []space
	denied  int // processes whose descriptors may not be read
}

// space is a network namespace: its inode, and a process that lives in it.
type space struct {
	Inode uint64
	Pid   int64 // 0 for the namespace of this process
}

// maxHolders bounds what is kept of one socket: a server may hand its listening
// socket to thousands of children.
const maxHolders = 16

// findHolders walks root/PID/fd. Processes that end meanwhile are passed over.
func findHolders(root string) (*holders, error) {
	h := &holders{byInode: make(map[uint64][]holder)}
	seen := make(map[uint64]bool)
	if own, ok := namespace(root + "/self/ns/net"); ok {
		seen[own] = true
		h.spaces = append(h.spaces, space{Inode: own})
	} else {
		h.spaces = append(h.spaces, space{})
	}
	dir, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			pid, bad := strconv.ParseInt(name, 10, 64)
			if bad != nil || pid <= 0 {
				continue
			}
			if ns, ok := namespace(root + "/" + name + "/ns/net"); ok && !seen[ns] {
				seen[ns] = true
				h.spaces = append(h.spaces, space{ns, pid})
			}
			h.addProcess(root+"/"+name+"/fd", pid)
		}
		if err == io.EOF {
			return h, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (h *holders) addProcess(dir string, pid int64) {
	d, err := os.Open(dir)
	if err != nil {
		if os.IsPermission(err) {
			h.denied++
		}
		return
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(256)
		for _, name := range names {
			link, bad := os.Readlink(filepath.Join(dir, name))
			if bad != nil {
				continue
			}
			inode, ok := bracketed(link, "socket:[")
			if !ok || len(h.byInode[inode]) >= maxHolders {
				continue
			}
			fd, _ := strconv.ParseInt(name, 10, 64)
			h.byInode[inode] = append(h.byInode[inode], holder{pid, fd})
		}
		if err != nil {
			return
		}
	}
}

// namespace reads the inode that a link under /proc/PID/ns names.
func namespace(link string) (uint64, bool) {
	text, err := os.Readlink(link)
	if err != nil {
		return 0, false
	}
	return bracketed(text, "net:[")
}

// bracketed reads the number of texts such as socket:[123].
func bracketed(text, prefix string) (uint64, bool) {
	digits, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 64)
	return n, err == nil
}
