package container

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"time"

	"satchel/internal/entry"
	"satchel/internal/zipx"
)

// streamMember is a member of JSON that is written while its size is not
// known: whole if it stays within a block, else streamed in blocks that
// workers compress. It is used by one goroutine.
type streamMember struct {
	out      *output
	jobs     chan<- job // nil: compress in place
	name     string
	modified time.Time
	level    int
	mw       *memberWriter
	buf      []byte
	ahead    []*block // handed out, oldest first
	sha      hash.Hash
}

func newStreamMember(out *output, jobs chan<- job, name string, modified time.Time, level int) *streamMember {
	return &streamMember{out: out, jobs: jobs, name: name, modified: modified, level: level, sha: sha256.New(), buf: getBuffer(0)}
}

// Write implements io.Writer.
func (s *streamMember) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		if len(s.buf) == blockSize {
			if err := s.flushBlock(); err != nil {
				return 0, err
			}
		}
		n := min(len(p), blockSize-len(s.buf))
		if len(s.buf)+n > cap(s.buf) {
			bigger := append(getBuffer(blockSize), s.buf...)
			putBuffer(s.buf)
			s.buf = bigger
		}
		s.buf = append(s.buf, p[:n]...)
		s.sha.Write(p[:n])
		p = p[n:]
	}
	return written, nil
}

func (s *streamMember) flushBlock() error {
	if s.mw == nil {
		mw, err := beginMember(s.out, s.name, zipx.Deflate, s.modified)
		if err != nil {
			return err
		}
		s.mw = mw
	}
	b := &block{plain: s.buf, level: s.level, method: zipx.Deflate, done: make(chan struct{})}
	s.buf = getBuffer(blockSize)
	if s.jobs == nil {
		b.run(&s.out.c)
	} else {
		s.jobs <- b
	}
	s.ahead = append(s.ahead, b)
	if len(s.ahead) > blocksAhead {
		return s.appendOldest()
	}
	return nil
}

func (s *streamMember) appendOldest() error {
	b := s.ahead[0]
	s.ahead = s.ahead[1:]
	<-b.done
	if b.err != nil {
		return b.err
	}
	s.mw.member.CRC32 = crc32.Update(s.mw.member.CRC32, crc32.IEEETable, b.plain)
	s.mw.member.Size += int64(len(b.plain))
	err := s.mw.data(b.comp)
	putBuffer(b.plain)
	putBuffer(b.comp)
	return err
}

// close ends the member and returns its record.
func (s *streamMember) close() (*entry.Member, error) {
	if s.mw == nil {
		return s.closeWhole()
	}
	if err := s.flushBlock(); err != nil {
		return nil, err
	}
	for len(s.ahead) > 0 {
		if err := s.appendOldest(); err != nil {
			return nil, err
		}
	}
	if err := s.mw.data(streamEnd(zipx.Deflate)); err != nil {
		return nil, err
	}
	s.sha.Sum(s.mw.member.SHA256[:0])
	return s.mw.end()
}

func (s *streamMember) closeWhole() (*entry.Member, error) {
	m := &smallMember{plain: s.buf, level: s.level, method: zipx.Deflate, done: make(chan struct{})}
	m.member = entry.Member{Name: s.name, Modified: s.modified, Offset: s.out.offset()}
	s.sha.Sum(m.member.SHA256[:0])
	m.run(&s.out.c)
	if m.err != nil {
		return nil, m.err
	}
	_, err := s.out.Write(m.raw)
	putBuffer(m.plain)
	putBuffer(m.raw)
	return &m.member, err
}

// indexLimit bounds the index of a JSONL member that is kept in memory while
// the member is written: 131,072 rows. A longer one is made by a second pass.
const indexLimit = 1 << 20

// jsonlMember is a JSONL member with its index: eight bytes a row, the offset
// of the row in the low 40 bits (little endian; the ordinal above is 0, since
// every row has an offset of its own).
type jsonlMember struct {
	*streamMember
	at    int64 // where the next row begins
	pos   int64 // bytes written
	rows  int64
	index []byte
}

// lines writes a piece of JSONL, which ends at a row's end.
func (j *jsonlMember) lines(p []byte) error {
	if len(j.index) <= indexLimit {
		eachRowEnd(p, func(end int) {
			j.index = appendIndex(j.index, j.at)
			j.at = j.pos + int64(end)
			j.rows++
		})
	}
	j.pos += int64(len(p))
	_, err := j.Write(p)
	return err
}

func appendIndex(dst []byte, offset int64) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(offset)&(1<<40-1))
}

// eachRowEnd calls f with the offset after each newline.
func eachRowEnd(p []byte, f func(end int)) {
	for at := 0; ; {
		n := bytes.IndexByte(p[at:], '\n')
		if n < 0 {
			return
		}
		at += n + 1
		f(at)
	}
}

// eachJSONLine calls f with every line of b that is not blank.
func eachJSONLine(b []byte, f func(line []byte) error) error {
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := f(line); err != nil {
			return err
		}
	}
	return nil
}
