package container

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"satchel/internal/entry"
	"satchel/internal/zipx"
)

// outputBuffer is how much the output holds back before it writes.
const outputBuffer = 1 << 20

// output appends to the container and hashes what it appends. The first error
// sticks. It is used by one goroutine at a time; offset and flush may be
// called by others.
type output struct {
	mu    sync.Mutex
	w     io.Writer
	buf   []byte
	off   int64 // of the next byte, the buffer included
	dirty bool
	whole hash.Hash // of everything
	c     zipx.Compressor
	err   error
}

func newOutput(w io.Writer) *output {
	return &output{w: w, buf: make([]byte, 0, outputBuffer), whole: sha256.New()}
}

// Write appends p.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	o.whole.Write(p)
	o.off += int64(len(p))
	o.dirty = true
	if len(o.buf)+len(p) > cap(o.buf) {
		if err := o.flushLocked(); err != nil {
			return 0, err
		}
		if len(p) >= cap(o.buf) {
			return len(p), o.writeLocked(p)
		}
	}
	o.buf = append(o.buf, p...)
	return len(p), nil
}

func (o *output) writeLocked(p []byte) error {
	n, err := o.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.err = fmt.Errorf("write the container: %w", err)
	}
	return o.err
}

func (o *output) flushLocked() error {
	if o.err != nil || len(o.buf) == 0 {
		return o.err
	}
	err := o.writeLocked(o.buf)
	o.buf = o.buf[:0]
	return err
}

// flush hands the buffer to the file. It says whether anything was written
// since the last flush.
func (o *output) flush() (dirty bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	dirty, o.dirty = o.dirty, false
	return dirty, o.flushLocked()
}

func (o *output) offset() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.off
}

// sum returns the hash of everything written so far.
func (o *output) sum() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.whole.Sum(nil)
}

// memberWriter appends one streamed member: local header without sizes, the
// compressed bytes, descriptor.
type memberWriter struct {
	out    *output
	raw    hash.Hash
	member entry.Member
}

// beginMember writes the local header of a streamed member.
func beginMember(out *output, name string, method uint16, modified time.Time) (*memberWriter, error) {
	m := &memberWriter{out: out, raw: sha256.New(), member: entry.Member{
		Name: name, Method: method, Modified: modified, Descriptor: true, Offset: out.offset(),
	}}
	z := zipMember(&m.member)
	head := zipx.AppendLocal(nil, &z)
	m.member.Flags = z.Flags
	return m, m.append(head)
}

func (m *memberWriter) append(p []byte) error {
	m.raw.Write(p)
	m.member.Length += int64(len(p))
	_, err := m.out.Write(p)
	return err
}

// data appends compressed bytes.
func (m *memberWriter) data(p []byte) error {
	m.member.Stored += int64(len(p))
	return m.append(p)
}

// end writes the descriptor; CRC32 and Size of the member must be set.
func (m *memberWriter) end() (*entry.Member, error) {
	z := zipMember(&m.member)
	if err := m.append(zipx.AppendDescriptor(nil, &z)); err != nil {
		return nil, err
	}
	m.raw.Sum(m.member.RawSHA256[:0])
	return &m.member, nil
}

// zipMember is the ZIP side of a member record.
func zipMember(m *entry.Member) zipx.Member {
	return zipx.Member{
		Name: m.Name, Method: m.Method, Flags: m.Flags, CRC32: m.CRC32,
		CompressedSize: uint64(m.Stored), Size: uint64(m.Size), Offset: uint64(m.Offset),
		Modified: m.Modified, Descriptor: m.Descriptor,
	}
}
