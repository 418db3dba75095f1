package container

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"satchel/internal/entry"
	"satchel/internal/flow"
	"satchel/internal/zipx"
)

// commentPrefix begins the archive comment of a container: the SHA-256 of all
// bytes before the hash itself follows as 64 hex digits.
const commentPrefix = "satchel-sha256:"

// sealer writes what stands behind the uploads of a container: results, logs,
// records, the manifest and the central directory. Closing a container and
// recovering one do the same, from different evidence.
type sealer struct {
	out           *output
	led           *ledger
	ev            evidence
	head          storedHeader
	level         int
	workers       int
	now           func() time.Time
	problems      func() []Problem // of a recovered container, as far as they are known; nil for others
	reconstructed bool             // not closed by the collector itself
	skip          map[string]bool  // members that are there already

	jobs    chan job
	closing []entry.Member
	ended   time.Time
}

func (s *sealer) seal() error {
	s.jobs = make(chan job, s.workers)
	var bg sync.WaitGroup
	for range s.workers {
		bg.Go(func() {
			for j := range s.jobs {
				j.run(&s.out.c)
			}
		})
	}
	defer bg.Wait()
	defer close(s.jobs)
	s.ended = s.now().UTC()
	for _, src := range s.led.sorted() {
		if src.rows == 0 && !src.planned && src.report == nil || src.name == "" {
			continue
		}
		if err := s.results(src); err != nil {
			return err
		}
	}
	for _, step := range []func() error{s.uploads, s.logs, s.small, s.report, s.manifest, s.directory} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sealer) found() []Problem {
	if s.problems == nil {
		return nil
	}
	return s.problems()
}

// member writes one member through fill.
func (s *sealer) member(name string, fill func(w io.Writer) error) error {
	if s.skip[name] {
		return nil
	}
	sm := newStreamMember(s.out, s.jobs, name, s.ended, s.level)
	err := fill(sm)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	m, err := sm.close()
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	s.closing = append(s.closing, *m)
	return nil
}

// jsonl writes a JSONL member and its index. produce is called again when the
// index is too long to be kept while the rows are written.
func (s *sealer) jsonl(name string, produce func(emit func(lines []byte) error) error) error {
	if s.skip[name] {
		return nil
	}
	j := &jsonlMember{streamMember: newStreamMember(s.out, s.jobs, name, s.ended, s.level)}
	if err := produce(j.lines); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	m, err := j.close()
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	s.closing = append(s.closing, *m)
	return s.member(name+".index", func(w io.Writer) error {
		if len(j.index) <= indexLimit {
			_, err := w.Write(j.index)
			return err
		}
		return writeIndex(w, produce)
	})
}

// writeIndex makes the index of a JSONL member from its rows.
func writeIndex(w io.Writer, produce func(emit func(lines []byte) error) error) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var at, pos int64
	var buf []byte
	err := produce(func(p []byte) (err error) {
		buf = buf[:0]
		eachRowEnd(p, func(end int) {
			buf = appendIndex(buf, at)
			at = pos + int64(end)
		})
		pos += int64(len(p))
		_, err = out.Write(buf)
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

func (s *sealer) results(src *sourceLedger) error {
	return s.jsonl(resultMember(src.name), func(emit func([]byte) error) error { return s.ev.eachBatch(src, emit) })
}

func (s *sealer) uploads() error {
	if s.led.uploads == 0 {
		return nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	return s.jsonl(memberUploads, func(emit func([]byte) error) error {
		return s.ev.eachUpload(func(u *entry.Upload) error {
			buf.Reset()
			for _, row := range uploadRows(u) {
				if err := enc.Encode(row); err != nil {
					return err
				}
			}
			return emit(buf.Bytes())
		})
	})
}

func (s *sealer) logs() error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	return s.jsonl(memberLog, func(emit func([]byte) error) error {
		return s.ev.eachLog(func(l flow.LogLine) error {
			buf.Reset()
			if err := enc.Encode(newLogRow(l)); err != nil {
				return err
			}
			return emit(buf.Bytes())
		})
	})
}

// small writes the members that are one JSON object each.
func (s *sealer) small() error {
	members := []struct {
		name  string
		value any
	}{
		{memberContext, newContext(s.head, s.led, s.ended, s.reconstructed, s.found())},
		{memberRequests, newRequests(s.head)},
		{memberClientInfo, newClientInfo(s.head)},
	}
	if len(s.head.Definitions) > 0 {
		members = append(members, struct {
			name  string
			value any
		}{memberCustom, s.head.Definitions})
	}
	for _, m := range members {
		err := s.member(m.name, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			return enc.Encode(m.value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// report writes the outcome of every planned item.
func (s *sealer) report() error {
	return s.member(memberReport, func(w io.Writer) error {
		head := reportHead{
			Version: 1, FlowID: s.head.Flow.ID, Complete: !s.reconstructed, Outcomes: s.led.counts, Rows: s.led.rows,
			Uploads: s.led.uploads, UploadBytes: s.led.bytes, Problems: s.found(),
		}
		l := listWriter{w: w}
		l.begin(head, "items")
		if err := s.ev.eachReport(func(r flow.Report) error { return l.item(r) }); err != nil {
			return err
		}
		return l.end("")
	})
}

// manifest writes the record of every member before it, with a hash chain in
// the order in which they lie.
func (s *sealer) manifest() error {
	return s.member(memberManifest, func(w io.Writer) error {
		head := manifestHead{
			Format: "satchel-manifest", Version: 1, ContainerID: s.head.ID, FlowID: s.head.Flow.ID, ClientID: s.head.Flow.ClientID,
			Tool: s.head.Tool, Host: s.head.Host, Clock: s.head.Clock, ClosedAt: s.ended, PlanSHA256: s.head.PlanSHA256,
			Reconstructed: s.reconstructed, Problems: s.found(),
		}
		head.Host.Info = nil
		l := listWriter{w: w}
		l.begin(head, "members")
		chain := newChain(s.head.ID)
		err := s.eachMember(func(m *entry.Member) error {
			chain = chain.next(m.RawSHA256)
			return l.item(newManifestMember(m))
		})
		if err != nil {
			return err
		}
		return l.end(fmt.Sprintf("\"count\":%d,\"chain\":%q", l.n, hex.EncodeToString(chain[:])))
	})
}

// eachMember yields the members from the evidence, then those written by the
// sealer, in the order in which they lie.
func (s *sealer) eachMember(yield func(*entry.Member) error) error {
	if err := s.ev.eachMember(yield); err != nil {
		return err
	}
	for i := range s.closing {
		if err := yield(&s.closing[i]); err != nil {
			return err
		}
	}
	return nil
}

// directory streams the central directory and ends the archive with the hash
// of everything before it.
func (s *sealer) directory() error {
	start := s.out.offset()
	var count uint64
	buf := make([]byte, 0, 64<<10)
	err := s.eachMember(func(m *entry.Member) error {
		if m.Name == "" {
			return nil // bytes between members of a recovered container
		}
		z := zipMember(m)
		buf = zipx.AppendCentral(buf, &z)
		count++
		if len(buf) < 60<<10 {
			return nil
		}
		_, err := s.out.Write(buf)
		buf = buf[:0]
		return err
	})
	if err != nil {
		return fmt.Errorf("write the central directory: %w", err)
	}
	if _, err := s.out.Write(buf); err != nil {
		return err
	}
	blank := commentPrefix + string(bytes.Repeat([]byte{'0'}, 2*sha256.Size))
	end := zipx.AppendEnd(nil, count, start, s.out.offset()-start, blank)
	if _, err := s.out.Write(end[:len(end)-2*sha256.Size]); err != nil {
		return err
	}
	_, err = s.out.Write([]byte(hex.EncodeToString(s.out.sum())))
	return err
}

// chain is a running hash over the raw records in the order they lie.
type chain [32]byte

func newChain(containerID string) chain {
	return sha256.Sum256([]byte("satchel chain 1 " + containerID))
}

func (c chain) next(raw [32]byte) chain {
	return sha256.Sum256(append(append(make([]byte, 0, 64), c[:]...), raw[:]...))
}

// listWriter writes an object that ends with a long list, one item a line.
type listWriter struct {
	w   io.Writer
	n   int
	err error
}

func (l *listWriter) begin(head any, list string) {
	b, err := json.Marshal(head)
	if err != nil {
		l.err = err
		return
	}
	_, l.err = fmt.Fprintf(l.w, "%s,\n%q:[", b[:len(b)-1], list)
}

func (l *listWriter) item(v any) error {
	if l.err != nil {
		return l.err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sep := "\n"
	if l.n > 0 {
		sep = ",\n"
	}
	l.n++
	_, l.err = fmt.Fprintf(l.w, "%s%s", sep, b)
	return l.err
}

// end closes the list and adds fields after it.
func (l *listWriter) end(fields string) error {
	if l.err != nil {
		return l.err
	}
	if fields != "" {
		fields = ",\n" + fields
	}
	_, err := fmt.Fprintf(l.w, "\n]%s}\n", fields)
	return err
}
