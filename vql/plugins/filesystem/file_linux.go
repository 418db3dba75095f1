package filesystem

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"satchel/internal/flow"
)

// posixHandle is an open file descriptor. It is not an os.File: regular files
// need no poller, and at tens of thousands of files its calls add up.
type posixHandle struct {
	fd int
}

// openFlags never block on a FIFO, never make a terminal ours, and leave the
// access time alone where the system permits that.
const openFlags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

func openHandle(name string) (handle, error) {
	flags := openFlags | unix.O_NOATIME
	for {
		fd, err := unix.Open(name, flags, 0)
		switch {
		case err == nil:
			return posixHandle{fd}, nil
		case err == unix.EINTR:
		case err == unix.EPERM && flags&unix.O_NOATIME != 0:
			flags &^= unix.O_NOATIME // only the owner may ask for it
		default:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

func (h posixHandle) read(p []byte, at int64) (int, error) {
	for {
		n, err := unix.Pread(h.fd, p, at)
		switch {
		case err == unix.EINTR:
		case err == unix.ESPIPE: // a character device that cannot seek
			n, err = unix.Read(h.fd, p)
			return ended(n, err)
		default:
			return ended(n, err)
		}
	}
}

func ended(n int, err error) (int, error) {
	switch {
	case err != nil:
		return max(n, 0), err
	case n <= 0:
		return 0, io.EOF
	}
	return n, nil
}

func (h posixHandle) fact() (fact, error) { return statAt(h.fd, "", unix.AT_EMPTY_PATH) }

func (h posixHandle) close() error { return unix.Close(h.fd) }

func (h posixHandle) ranges(size int64) ([]flow.Range, error) {
	r, err := sparseRanges(size, func(at int64) (int64, int64, bool, error) {
		from, err := unix.Seek(h.fd, at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return 0, 0, false, nil
		}
		if err != nil {
			return 0, 0, false, err
		}
		to, err := unix.Seek(h.fd, from, unix.SEEK_HOLE)
		return from, to, true, err
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil, nil // this file system does not tell
	}
	return r, err
}

// statAt describes a name below an open directory. flags are those of statx.
func statAt(dir int, name string, flags int) (fact, error) {
	const mask = unix.STATX_BASIC_STATS | unix.STATX_BTIME
	var st unix.Statx_t
	for {
		err := unix.Statx(dir, name, flags|unix.AT_NO_AUTOMOUNT, mask, &st)
		switch err {
		case nil:
			return fromStatx(&st), nil
		case unix.EINTR:
			continue
		case unix.ENOSYS, unix.EPERM: // an old kernel, or a sandbox that does not know it
			return fstatAt(dir, name, flags)
		}
		return fact{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
}

func fromStatx(st *unix.Statx_t) fact {
	at := func(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }
	f := fact{
		size: int64(st.Size), allocated: int64(st.Blocks) * 512, mode: fileMode(uint32(st.Mode)),
		modified: at(st.Mtime), accessed: at(st.Atime), changed: at(st.Ctime),
		inode: st.Ino, device: unix.Mkdev(st.Dev_major, st.Dev_minor), special: unix.Mkdev(st.Rdev_major, st.Rdev_minor),
		links: uint64(st.Nlink), uid: int64(st.Uid), gid: int64(st.Gid),
	}
	if st.Mask&unix.STATX_BTIME != 0 && (st.Btime.Sec != 0 || st.Btime.Nsec != 0) {
		f.born = at(st.Btime)
	}
	return f
}

func fstatAt(dir int, name string, flags int) (fact, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, flags); err != nil {
		return fact{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return fact{
		size: st.Size, allocated: st.Blocks * 512, mode: fileMode(st.Mode),
		modified: time.Unix(st.Mtim.Unix()).UTC(), accessed: time.Unix(st.Atim.Unix()).UTC(), changed: time.Unix(st.Ctim.Unix()).UTC(),
		inode: st.Ino, device: uint64(st.Dev), special: uint64(st.Rdev), links: uint64(st.Nlink), uid: int64(st.Uid), gid: int64(st.Gid),
	}, nil
}

func fileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	}
	if m&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if m&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if m&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// lstat describes what is at the path without following a link.
func lstat(name string) (fact, error) {
	f, err := statAt(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && f.mode&fs.ModeSymlink != 0 {
		f.link, _ = os.Readlink(name)
	}
	return f, err
}

// followed describes what a path leads to.
func followed(name string) (fact, error) { return statAt(unix.AT_FDCWD, name, 0) }

// unreliableSize says whether files of the file system that holds the path have
// sizes that say nothing about what can be read.
func unreliableSize(name string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.CGROUP_SUPER_MAGIC,
		unix.CGROUP2_SUPER_MAGIC, unix.SECURITYFS_MAGIC, unix.SELINUX_MAGIC, unix.SMACK_MAGIC, unix.PSTOREFS_MAGIC, unix.EFIVARFS_MAGIC,
		unix.BPF_FS_MAGIC, unix.BINFMTFS_MAGIC, unix.NSFS_MAGIC:
		return true
	}
	return false
}

// dir is an open directory.
type dir struct {
	f    *os.File
	fd   int
	self fact
}

func openDir(name string) (*dir, error) {
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_DIRECTORY | unix.O_NOATIME
	fd, err := unix.Open(name, flags, 0)
	if err == unix.EPERM {
		fd, err = unix.Open(name, flags&^unix.O_NOATIME, 0)
	}
	for err == unix.EINTR {
		fd, err = unix.Open(name, flags&^unix.O_NOATIME, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	d := &dir{f: os.NewFile(uintptr(fd), name), fd: fd}
	d.self, err = statAt(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		_ = d.close()
		return nil, err
	}
	return d, nil
}

func (d *dir) close() error { return d.f.Close() }

// describe describes an entry of the directory without following a link.
func (d *dir) describe(name string) (fact, error) {
	f, err := statAt(d.fd, name, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && f.mode&fs.ModeSymlink != 0 {
		f.link = readlinkAt(d.fd, name)
	}
	runtime.KeepAlive(d.f)
	return f, err
}

func readlinkAt(dir int, name string) string {
	for size := 256; size <= 1<<16; size *= 4 {
		b := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, b)
		if err != nil {
			return ""
		}
		if n < size {
			return string(b[:n])
		}
	}
	return ""
}

// joinName puts a path together as the system takes it.
func joinName(components []string) string { return "/" + strings.Join(components, "/") }

// isNull says whether a file is the null device, which reads as an empty file:
// links to it stand for things that are switched off.
func isNull(f *fact) bool { return f.mode&fs.ModeCharDevice != 0 && f.special == unix.Mkdev(1, 3) }

// drives is for systems whose paths begin with a drive.
func drives() []entry { return nil }
