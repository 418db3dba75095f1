package zipx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
)

// dirReader hands out consecutive pieces of the directory from one buffer.
type dirReader struct {
	r        io.ReaderAt
	off, end int64 // of what the buffer does not hold yet
	step     int   // least size of the buffer
	buf      []byte
	rest     []byte
}

// dirBuffer is the buffer of a walk over the whole directory.
const dirBuffer = 64 << 10

// left returns how many bytes of the directory were not taken.
func (d *dirReader) left() int64 { return d.end - d.off + int64(len(d.rest)) }

// peek returns the next n bytes without taking them, or io.ErrUnexpectedEOF.
func (d *dirReader) peek(n int) ([]byte, error) {
	if n <= len(d.rest) {
		return d.rest[:n], nil
	}
	if int64(n) > d.left() {
		return nil, io.ErrUnexpectedEOF
	}
	if len(d.buf) < n {
		bigger := make([]byte, max(n, d.step))
		d.rest = bigger[:copy(bigger, d.rest)]
		d.buf = bigger
	} else {
		d.rest = d.buf[:copy(d.buf, d.rest)]
	}
	have := len(d.rest)
	k := int(min(int64(len(d.buf)-have), d.end-d.off))
	if err := readAt(d.r, d.buf[have:have+k], d.off); err != nil {
		return nil, fmt.Errorf("read directory at offset %d: %w", d.off, err)
	}
	d.off += int64(k)
	d.rest = d.buf[:have+k]
	return d.rest[:n], nil
}

// take drops the next n bytes, which were peeked.
func (d *dirReader) take(n int) { d.rest = d.rest[n:] }

// walk calls each for every directory record, with its offset in the directory,
// until it returns false. The record's name is valid during the call.
func (a *Archive) walk(each func(at int64, c *central) bool) error {
	d := dirReader{r: a.dir, off: a.dirAt, end: a.dirAt + a.dirSize, step: dirBuffer}
	if err := a.checkLost(); err != nil {
		return err
	}
	var n, plain uint64
	var c central // one for all, since each may keep it from the stack
	for d.left() > 0 {
		at := a.dirSize - d.left()
		b, err := d.record()
		if errors.Is(err, errDirSignature) {
			break
		}
		if err != nil {
			return a.recordError(at, err)
		}
		var reason string
		if c, reason = parseCentral(b); reason != "" {
			return a.dirError(at, reason)
		}
		n++
		plain += min(c.m.Size, 1<<63-plain) // stays below 1<<63
		if err := a.checkRecord(&c, n, plain); err != nil {
			return err
		}
		if !each(at, &c) {
			return nil
		}
		d.take(len(b))
	}
	if a.exact && n != a.count || n&max16 != a.count&max16 {
		return a.dirError(a.dirSize, fmt.Sprintf("directory has %d members, its end record says %d", n, a.count))
	}
	return nil
}

// sigDirSignature begins the digital signature that may follow the records.
const sigDirSignature = 0x05054b50

var (
	errDirSignature = errors.New("digital signature")
	errNoRecord     = errors.New("no directory record")
)

// record returns the next whole record without taking it.
func (d *dirReader) record() ([]byte, error) {
	b, err := d.peek(4)
	if err != nil {
		return nil, err
	}
	switch binary.LittleEndian.Uint32(b) {
	case sigDirSignature:
		return nil, errDirSignature
	case sigCentral:
	default:
		return nil, errNoRecord
	}
	if b, err = d.peek(centralLen); err != nil {
		return nil, err
	}
	return d.peek(centralSize(b))
}

// recordError returns the error of a record at an offset in the directory.
func (a *Archive) recordError(at int64, err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return a.dirError(at, "directory ends inside a record")
	case errors.Is(err, errNoRecord), errors.Is(err, errDirSignature):
		return a.dirError(at, errNoRecord.Error())
	}
	return err
}

// checkLost refuses a directory that is empty while its end record counts
// members.
func (a *Archive) checkLost() error {
	if a.dirSize == 0 && a.count != 0 {
		return a.dirError(0, "empty directory")
	}
	return nil
}

// checkRecord holds the n-th record, and the plain bytes up to it, to the limits.
func (a *Archive) checkRecord(c *central, n, plain uint64) error {
	switch {
	case n > a.limits.MaxMembers:
		return &LimitError{Limit: "MaxMembers", Value: n, Max: a.limits.MaxMembers}
	case len(c.name) > a.limits.MaxName:
		return &LimitError{Limit: "MaxName", Value: uint64(len(c.name)), Max: uint64(a.limits.MaxName)}
	}
	if ratio, over := a.limits.ratio(plain, uint64(a.tail-a.base)); over {
		return &LimitError{Limit: "MaxRatio", Value: ratio, Max: a.limits.MaxRatio}
	}
	return nil
}

// dirError makes an error for a place in the directory.
func (a *Archive) dirError(at int64, reason string) error {
	return &CorruptError{Offset: a.end + at, Reason: reason}
}

// Members yields the members in directory order, with memory that does not
// depend on how many there are. After an error, which is a *CorruptError, a
// *LimitError or that of the file, it yields no more. The limits on the data of
// a member are checked when it is opened.
func (a *Archive) Members() iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		stopped := false
		err := a.walk(func(_ int64, c *central) bool {
			c.m.Name = string(c.name)
			stopped = !yield(c.m, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(Member{}, err)
		}
	}
}

// Lookup returns the first member of exactly that name, in time that does not
// depend on the number of members; the first call reads the directory and makes
// an index of 11 to 22 bytes a member. The error is ErrNotFound, or what
// [Archive.Members] yields for a damaged directory.
func (a *Archive) Lookup(name string) (Member, error) {
	x, err := a.names()
	if err != nil {
		return Member{}, err
	}
	hash := maphash.String(a.seed, name)
	for slot := x.start(hash); x.slots[slot] != 0; slot = x.next(slot) {
		at, tag := x.entry(slot)
		if tag != tagOf(hash) {
			continue
		}
		m, err := a.memberAt(at)
		if err != nil {
			return Member{}, err
		}
		if m.Name == name {
			return m, nil
		}
	}
	return Member{}, fmt.Errorf("look up %.200q: %w", name, ErrNotFound)
}

// memberAt reads the member whose record is at an offset in the directory.
func (a *Archive) memberAt(at int64) (Member, error) {
	d := dirReader{r: a.dir, off: a.dirAt + at, end: a.dirAt + a.dirSize, step: 256}
	b, err := d.record()
	if err != nil {
		return Member{}, a.recordError(at, err)
	}
	c, reason := parseCentral(b)
	if reason != "" {
		return Member{}, a.dirError(at, reason)
	}
	c.m.Name = string(c.name)
	return c.m, nil
}

// nameIndex finds directory records by the hash of their names: an open
// addressing table of 24 bits of hash and 40 bits of offset + 1.
type nameIndex struct {
	slots []uint64
}

func newNameIndex(n uint64) *nameIndex {
	size := uint64(8)
	for size*3/4 <= n {
		size *= 2
	}
	return &nameIndex{slots: make([]uint64, size)}
}

func tagOf(hash uint64) uint64 { return hash >> 40 }

func (x *nameIndex) start(hash uint64) uint64 { return hash & uint64(len(x.slots)-1) }

func (x *nameIndex) next(slot uint64) uint64 { return (slot + 1) & uint64(len(x.slots)-1) }

func (x *nameIndex) entry(slot uint64) (at int64, tag uint64) {
	v := x.slots[slot]
	return int64(v&maxDirectory) - 1, v >> 40
}

// names returns the index, made on the first call.
func (a *Archive) names() (*nameIndex, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.index == nil && a.fail == nil {
		a.index, a.fail = a.buildIndex()
	}
	return a.index, a.fail
}

func (a *Archive) buildIndex() (*nameIndex, error) {
	n := a.count
	if !a.exact && uint64(a.dirSize)/centralLen > max16 {
		n = 0
		if err := a.walk(func(int64, *central) bool { n++; return true }); err != nil {
			return nil, err
		}
	}
	x := newNameIndex(n)
	var fail error
	err := a.walk(func(at int64, c *central) bool {
		fail = a.insert(x, at, c.name)
		return fail == nil
	})
	if err == nil {
		err = fail
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// insert adds a record unless an earlier one has the same name. Members of the
// same name cost one small read each, so they cannot make the index slow.
func (a *Archive) insert(x *nameIndex, at int64, name []byte) error {
	hash := maphash.Bytes(a.seed, name)
	slot := x.start(hash)
	for probes := 0; x.slots[slot] != 0; slot = x.next(slot) {
		if probes++; probes > len(x.slots) {
			return a.dirError(at, "more members than the end record says")
		}
		earlier, tag := x.entry(slot)
		if tag != tagOf(hash) {
			continue
		}
		m, err := a.memberAt(earlier)
		if err != nil {
			return err
		}
		if m.Name == string(name) {
			return nil
		}
	}
	x.slots[slot] = tagOf(hash)<<40 | uint64(at+1)
	return nil
}
