package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

// mapping is one line of /proc/PID/maps.
type mapping struct {
	Start, End  uint64
	Permissions string // rwxp
	Offset      uint64
	Device      string // major:minor in hex
	Inode       uint64
	Path        string // unescaped; [heap], [stack]... as the kernel names them
	Deleted     bool
}

// mappings yields the lines of a maps file. A line that cannot be read yields
// an error that wraps ErrProc, and reading goes on.
func mappings(r io.Reader) iter.Seq2[mapping, error] {
	return func(yield func(mapping, error) bool) {
		in := bufio.NewReaderSize(r, maxLine)
		for {
			line, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				yield(mapping{}, fmt.Errorf("maps: line beyond %d bytes: %w", maxLine, ErrProc))
				return
			}
			if text := strings.TrimSuffix(string(line), "\n"); text != "" {
				if !yield(parseMapping(text)) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(mapping{}, err)
				return
			}
		}
	}
}

func parseMapping(line string) (mapping, error) {
	var f [5]string
	rest := line
	for i := range f {
		rest = strings.TrimLeft(rest, " ")
		f[i], rest, _ = strings.Cut(rest, " ")
	}
	from, to, ok := strings.Cut(f[0], "-")
	start, e1 := strconv.ParseUint(from, 16, 64)
	end, e2 := strconv.ParseUint(to, 16, 64)
	offset, e3 := strconv.ParseUint(f[2], 16, 64)
	inode, e4 := strconv.ParseUint(f[4], 10, 64)
	if !ok || len(f[1]) != 4 || end < start || errors.Join(e1, e2, e3, e4) != nil {
		return mapping{}, fmt.Errorf("maps: %.80q: %w", line, ErrProc)
	}
	path := strings.ReplaceAll(strings.TrimLeft(rest, " "), `\012`, "\n")
	path, deleted := strings.CutSuffix(path, " (deleted)")
	return mapping{start, end, f[1], offset, f[3], inode, path, deleted}, nil
}
