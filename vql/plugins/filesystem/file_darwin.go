package filesystem

import (
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// openFlags never block on a FIFO and never make a terminal ours.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOCTTY

func addSystem(f *fact, i fs.FileInfo) {
	st, ok := i.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	f.allocated = st.Blocks * 512
	f.accessed = time.Unix(st.Atimespec.Unix()).UTC()
	f.changed = time.Unix(st.Ctimespec.Unix()).UTC()
	f.born = time.Unix(st.Birthtimespec.Unix()).UTC()
	f.inode, f.device, f.special = st.Ino, uint64(uint32(st.Dev)), uint64(uint32(st.Rdev))
	f.links, f.uid, f.gid = uint64(st.Nlink), int64(st.Uid), int64(st.Gid)
}

// joinName puts a path together as the system takes it.
func joinName(components []string) string { return "/" + strings.Join(components, "/") }

// drives is for systems whose paths begin with a drive.
func drives() []entry { return nil }
