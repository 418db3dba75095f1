package filesystem

import (
	"io/fs"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// openFlags has nothing to add here: opening a file does not block.
const openFlags = 0

func addSystem(f *fact, i fs.FileInfo) {
	d, ok := i.Sys().(*syscall.Win32FileAttributeData)
	if !ok {
		return
	}
	f.accessed = time.Unix(0, d.LastAccessTime.Nanoseconds()).UTC()
	f.born = time.Unix(0, d.CreationTime.Nanoseconds()).UTC()
}

// joinName puts a path together as the system takes it: a drive alone gets its
// root, and a long path the prefix that lifts the limit on its length.
func joinName(components []string) string {
	name := strings.Join(components, `\`)
	if len(components) == 1 && strings.HasSuffix(name, ":") {
		return name + `\`
	}
	if len(name) >= 240 && len(components[0]) == 2 && components[0][1] == ':' {
		return `\\?\` + name
	}
	return name
}

// drives lists the drives of the system, which stand below the root of paths.
func drives() []entry {
	out := []entry{}
	mask, err := windows.GetLogicalDrives()
	if err != nil {
		return out
	}
	for i := range 26 {
		if mask&(1<<i) != 0 {
			out = append(out, entry{name: string(rune('A'+i)) + ":", fact: fact{mode: fs.ModeDir | 0o555, allocated: -1, uid: -1, gid: -1}})
		}
	}
	return out
}
