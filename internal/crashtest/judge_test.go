package crashtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// evidence is what a reader found, already held against itself: rows follow one
// another without gap, and every byte of a file is the one that its name demands.
type evidence struct {
	rows     map[string]int64 // rows of each source, numbered from 1 without gap
	logs     int64            // highest number of a log line
	files    map[string]file
	named    map[string]int64 // sizes of the files that a row names
	complete bool             // the reader says that nothing is cut off
	problems int              // the reader's own words on what is wrong
}

type file struct {
	size  int64
	whole bool // as the reader says
}

func newEvidence() *evidence {
	return &evidence{rows: map[string]int64{}, files: map[string]file{}, named: map[string]int64{}}
}

// row is one row of the load.
type row struct {
	Seq  int64
	Made int64 // nanoseconds
}

// addRows reads the rows of one source as JSONL.
func (e *evidence) addRows(source string, r io.Reader, dead time.Time) error {
	lines := bufio.NewScanner(r)
	last := row{}
	for lines.Scan() {
		var now row
		if err := json.Unmarshal(lines.Bytes(), &now); err != nil {
			return fmt.Errorf("%s after row %d: %w", source, last.Seq, err)
		}
		switch {
		case now.Seq != last.Seq+1:
			return fmt.Errorf("%s: row %d follows row %d", source, now.Seq, last.Seq)
		case now.Made < last.Made || now.Made > dead.Add(time.Second).UnixNano():
			return fmt.Errorf("%s: row %d was made at %d, after %d", source, now.Seq, now.Made, last.Made)
		}
		last = now
	}
	e.rows[source] = last.Seq
	return lines.Err()
}

// addLog takes one log line; other lines than those of the load pass.
func (e *evidence) addLog(message string) error {
	var n int64
	if _, err := fmt.Sscanf(message, "log %d", &n); err != nil {
		return nil
	}
	if n != e.logs+1 {
		return fmt.Errorf("log line %d follows %d", n, e.logs)
	}
	e.logs = n
	return nil
}

// addFile reads one file to its end.
func (e *evidence) addFile(path string, whole bool, r io.Reader) error {
	name := path[strings.LastIndexByte(path, '/')+1:]
	announced, err := sizeOf(name)
	if err != nil {
		return err
	}
	if _, again := e.files[name]; again {
		return fmt.Errorf("%s is there twice", name)
	}
	want, size := content(name), int64(0)
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, a)
		if _, err := io.ReadFull(want, b[:n]); err != nil {
			return err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return fmt.Errorf("%s differs from what was written, after offset %d", name, size)
		}
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s after %d bytes: %w", name, size, err)
		}
	}
	switch {
	case whole && size != announced:
		return fmt.Errorf("%s counts as whole with %d bytes of %d", name, size, announced)
	case announced >= 0 && size > announced:
		return fmt.Errorf("%s has %d bytes, more than its %d", name, size, announced)
	}
	e.files[name] = file{size, whole}
	return nil
}

// judge returns what the evidence lacks of the facts that were older than the
// promise when the writer died.
func judge(facts []fact, e *evidence, dead time.Time, promise time.Duration) error {
	var lost []error
	owed := 0
	for _, f := range facts {
		age := dead.Sub(f.At)
		if age < promise {
			continue
		}
		owed++
		if why := e.lacks(f); why != "" {
			lost = append(lost, fmt.Errorf("%s %s %d, accepted %v before the end: %s", f.Kind, f.Name, f.N, age.Round(time.Millisecond), why))
		}
	}
	if len(lost) > 5 {
		lost = append(lost[:5], fmt.Errorf("and %d more", len(lost)-5))
	}
	if len(lost) > 0 {
		return fmt.Errorf("lost, of %d owed: %w", owed, errors.Join(lost...))
	}
	return nil
}

func (e *evidence) lacks(f fact) string {
	switch f.Kind {
	case "rows":
		if e.rows[f.Name] < f.N {
			return fmt.Sprintf("rows up to %d are there", e.rows[f.Name])
		}
	case "row":
		if _, ok := e.named[f.Name]; !ok {
			return "no row names it"
		}
	case "log":
		if e.logs < f.N {
			return fmt.Sprintf("lines up to %d are there", e.logs)
		}
	case "file":
		if got, ok := e.files[f.Name]; !ok || !got.whole || got.size != f.N {
			return fmt.Sprintf("there: %v, %+v", ok, got)
		}
	case "part":
		if got := e.files[f.Name]; got.size < f.N {
			return fmt.Sprintf("%d bytes are there", got.size)
		}
	default:
		return "a fact of no known kind"
	}
	return ""
}
