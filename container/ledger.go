package container

import (
	"fmt"
	"sort"

	"satchel/internal/entry"
	"satchel/internal/flow"
)

// maxSources bounds how many sources a container keeps apart.
const maxSources = 100_000

// ledger is what the closing of a container must know without reading its
// spool again: where the row batches of each source lie, and the sums. It
// grows with the number of batches (8 bytes each), not with their rows.
type ledger struct {
	sources map[string]*sourceLedger
	rows    int64
	logs    int64
	uploads int64
	partial int64
	bytes   int64 // stored by uploads, before compression
	idx     int64 // sparse indexes
	counts  map[flow.Outcome]int64
	reports int64
	members int64
	spooled int64 // bytes of rows in the spool, compressed
}

type sourceLedger struct {
	name    string
	planned bool
	batches []int64 // offsets of Rows frames in the spool, ascending
	rows    int64
	bytes   int64
	logs    int64
	uploads int64
	stored  int64
	report  *flow.Report // the outcome of the source itself, once it has one
}

func newLedger(planned []string) *ledger {
	l := &ledger{sources: map[string]*sourceLedger{}, counts: map[flow.Outcome]int64{}}
	for _, name := range planned {
		if s, err := l.source(name); err == nil {
			s.planned = true
		}
	}
	return l
}

func (l *ledger) source(name string) (*sourceLedger, error) {
	if s := l.sources[name]; s != nil {
		return s, nil
	}
	if len(l.sources) >= maxSources {
		return nil, fmt.Errorf("more than %d sources in one collection", maxSources)
	}
	s := &sourceLedger{name: name}
	l.sources[name] = s
	return s, nil
}

// takesRows says by an error that a source cannot have rows: its name could not
// be read back from that of a member.
func (l *ledger) takesRows(source string) error {
	if l.sources[source] != nil && source != "" {
		return nil
	}
	member := resultMember(source)
	if back, _, ok := sourceOfMember(member); !ok || back != source || source == "" {
		return fmt.Errorf("%.200q is no name of a source", source)
	}
	_, err := l.source(source)
	return err
}

// sorted returns the sources by name.
func (l *ledger) sorted() []*sourceLedger {
	out := make([]*sourceLedger, 0, len(l.sources))
	for _, s := range l.sources {
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

func (l *ledger) addRows(source string, rows, size, offset int64) error {
	s, err := l.source(source)
	if err != nil {
		return err
	}
	s.batches = append(s.batches, offset)
	s.rows += rows
	s.bytes += size
	l.rows += rows
	return nil
}

func (l *ledger) addLog(line flow.LogLine) {
	l.logs++
	if s := l.sources[line.Source]; s != nil {
		s.logs++
	}
}

func (l *ledger) addReport(r flow.Report) error {
	l.reports++
	l.counts[r.Outcome]++
	s, err := l.source(r.Source)
	if err != nil {
		return err
	}
	if r.Target == "" {
		s.report = &r
	}
	return nil
}

func (l *ledger) addUpload(u *entry.Upload) {
	l.uploads++
	l.bytes += u.StoredSize
	if !u.Complete {
		l.partial++
	}
	if u.Upload.Ranges != nil {
		l.idx++
	}
	if s := l.sources[u.Upload.Source]; s != nil {
		s.uploads++
		s.stored += u.StoredSize
	}
}

// failures says how many sources ended with an outcome that is a failure and
// the words of the first.
func (l *ledger) failures() (n int, first string) {
	for _, s := range l.sorted() {
		if s.report == nil || !s.report.Outcome.Failure() {
			continue
		}
		if n++; n == 1 {
			first = fmt.Sprintf("%s: %s", s.name, s.report.Outcome)
			if s.report.Detail != "" {
				first += ": " + s.report.Detail
			}
		}
	}
	return n, first
}
