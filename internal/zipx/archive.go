package zipx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"
)

// Archive reads members of an archive. Its methods may be called by several
// goroutines at once; it keeps no members in memory.
type Archive struct {
	r       io.ReaderAt
	limits  Limits
	comment string
	base    int64 // bytes in front of the archive that its offsets do not count
	end     int64 // where members must have ended: start of the directory, or the cut
	endAt   int64 // of the first end record
	tail    int64 // where the last end record and its comment end

	dir     io.ReaderAt
	dirAt   int64 // of the first record, in dir
	dirSize int64
	count   uint64 // as the end record says
	exact   bool   // count is not modulo 65536

	decoders decoders

	mu    sync.Mutex
	index *nameIndex
	fail  error // of building the index
	seed  maphash.Seed
}

// Open reads the end records of an archive of size bytes. It takes what other
// writers make: ZIP64, foreign bytes in front, a comment. The directory is read
// when it is asked for. Errors are ErrNotZip, a *CorruptError, a *LimitError or
// those of r.
func Open(r io.ReaderAt, size int64, l Limits) (*Archive, error) {
	e, err := findEnd(r, size)
	if err != nil {
		return nil, err
	}
	a := newArchive(r, l)
	if e.count > a.limits.MaxMembers {
		return nil, &LimitError{Limit: "MaxMembers", Value: e.count, Max: a.limits.MaxMembers}
	}
	if e.dirSize > maxDirectory {
		return nil, &LimitError{Limit: "directory bytes", Value: uint64(e.dirSize), Max: maxDirectory}
	}
	a.base, a.comment, a.endAt, a.tail = e.base, e.comment, e.at, e.tail
	a.dir, a.dirAt, a.dirSize = r, e.base+e.dirOffset, e.dirSize
	a.count, a.exact, a.end = e.count, e.wide, a.dirAt
	return a, nil
}

// OpenDirectory reads an archive whose directory is not in the file but in
// memory: dir holds count records of [AppendCentral] for members that lie
// before end in r.
func OpenDirectory(r io.ReaderAt, end int64, dir []byte, count uint64, l Limits) (*Archive, error) {
	a := newArchive(r, l)
	if count > a.limits.MaxMembers {
		return nil, &LimitError{Limit: "MaxMembers", Value: count, Max: a.limits.MaxMembers}
	}
	if count > uint64(len(dir))/centralLen {
		return nil, &CorruptError{Offset: end, Reason: fmt.Sprintf("directory of %d bytes cannot hold %d members", len(dir), count)}
	}
	a.dir, a.dirSize, a.count, a.exact = bytes.NewReader(dir), int64(len(dir)), count, true
	a.end, a.endAt, a.tail = end, end, end
	return a, nil
}

func newArchive(r io.ReaderAt, l Limits) *Archive {
	return &Archive{r: r, limits: l.withDefaults(), seed: maphash.MakeSeed()}
}

// Comment returns the archive comment.
func (a *Archive) Comment() string { return a.comment }

// Base returns how many foreign bytes stand in front of the archive. They are
// not counted in Member.Offset, and are in every other offset.
func (a *Archive) Base() int64 { return a.base }

// DirOffset returns where the central directory begins in the file.
func (a *Archive) DirOffset() int64 { return a.end }

// DirSize returns the length of the central directory in bytes.
func (a *Archive) DirSize() int64 { return a.dirSize }

// EndOffset returns where the end records begin in the file, and EndSize how
// many bytes they and the comment take.
func (a *Archive) EndOffset() int64 { return a.endAt }

// EndSize returns the length of the end records with the comment.
func (a *Archive) EndSize() int64 { return a.tail - a.endAt }

// Count returns the number of members that the end record declares. An archive
// without ZIP64 may declare it modulo 65536.
func (a *Archive) Count() uint64 { return a.count }

// endRecord is what the end records say.
type endRecord struct {
	base, dirOffset, dirSize int64
	at, tail                 int64
	count                    uint64
	wide                     bool // ZIP64
	comment                  string
}

// maxEndTries bounds how many places that look like an end record are examined.
const maxEndTries = 256

// findEnd looks for the end record from the end of the file.
func findEnd(r io.ReaderAt, size int64) (endRecord, error) {
	if size < endLen {
		return endRecord{}, ErrNotZip
	}
	var first error
	tries := 0
	for _, window := range [...]int64{1 << 10, endLen + max16} {
		window = min(window, size)
		b := make([]byte, window)
		if err := readAt(r, b, size-window); err != nil {
			return endRecord{}, fmt.Errorf("read end of archive: %w", err)
		}
		tries, first = 0, nil
		for i := len(b) - endLen; i >= 0 && tries < maxEndTries; i-- {
			i = bytes.LastIndex(b[:i+4], []byte("PK\x05\x06"))
			if i < 0 {
				break
			}
			tries++
			e, err := parseEnd(r, size-window+int64(i), b[i:])
			if err == nil {
				return e, nil
			}
			if first == nil && !errors.Is(err, ErrNotZip) {
				first = err
			}
		}
		if window == size {
			break
		}
	}
	if first != nil {
		return endRecord{}, first
	}
	return endRecord{}, ErrNotZip
}

// parseEnd parses the end record b that stands at offset at, the ZIP64 records
// before it, and checks where they say the directory is.
func parseEnd(r io.ReaderAt, at int64, b []byte) (endRecord, error) {
	le := binary.LittleEndian
	commentLen := int(le.Uint16(b[20:]))
	if commentLen > len(b)-endLen {
		return endRecord{}, ErrNotZip
	}
	e := endRecord{
		at: at, tail: at + endLen + int64(commentLen), comment: string(b[endLen : endLen+commentLen]),
		count: uint64(le.Uint16(b[10:])),
	}
	corrupt := func(reason string) error { return &CorruptError{Offset: at, Reason: reason} }
	if disk, dirDisk := le.Uint16(b[4:]), le.Uint16(b[6:]); disk != dirDisk || disk != 0 && disk != max16 {
		return e, corrupt("archive of several disks")
	}
	if le.Uint16(b[8:]) != le.Uint16(b[10:]) {
		return e, corrupt("archive of several disks")
	}
	size, offset := uint64(le.Uint32(b[12:])), uint64(le.Uint32(b[16:]))
	if err := e.parse64(r, &size, &offset); err != nil {
		return e, err
	}
	if size > uint64(e.at) || offset > uint64(e.at)-size {
		return e, corrupt("directory lies outside of the file")
	}
	if e.count > size/centralLen {
		return e, corrupt(fmt.Sprintf("directory of %d bytes cannot hold %d members", size, e.count))
	}
	e.dirSize, e.dirOffset = int64(size), int64(offset)
	e.base = e.at - e.dirSize - e.dirOffset
	return e, e.settleBase(r)
}

// settleBase decides whether foreign bytes stand in front of the archive or
// between its directory and its end.
func (e *endRecord) settleBase(r io.ReaderAt) error {
	if e.dirSize == 0 {
		return nil
	}
	bases := []int64{e.base}
	if e.base != 0 {
		bases = []int64{0, e.base}
	}
	for _, base := range bases {
		var sig [4]byte
		if err := readAt(r, sig[:], base+e.dirOffset); err != nil {
			return fmt.Errorf("read directory: %w", err)
		}
		if binary.LittleEndian.Uint32(sig[:]) == sigCentral {
			e.base = base
			return nil
		}
	}
	return &CorruptError{Offset: e.base + e.dirOffset, Reason: "no directory where the end record says"}
}

// parse64 takes count, size and offset from the ZIP64 end record if there is a
// locator in front of the end record.
func (e *endRecord) parse64(r io.ReaderAt, size, offset *uint64) error {
	saturated := e.count == max16 || *size == max32 || *offset == max32
	at := e.at - locator64Len
	if at < end64Len {
		return nil
	}
	le := binary.LittleEndian
	var loc [locator64Len]byte
	if err := readAt(r, loc[:], at); err != nil {
		return fmt.Errorf("read ZIP64 locator: %w", err)
	}
	if le.Uint32(loc[:]) != sigLocator64 {
		return nil
	}
	var b [end64Len]byte
	found := int64(-1)
	// Where the locator says, or right in front of it when foreign bytes moved
	// the archive.
	for _, where := range [...]uint64{le.Uint64(loc[8:]), uint64(at) - end64Len} {
		if where > uint64(at)-end64Len {
			continue
		}
		if err := readAt(r, b[:], int64(where)); err != nil {
			return fmt.Errorf("read ZIP64 end record: %w", err)
		}
		if le.Uint32(b[:]) == sigEnd64 {
			found = int64(where)
			break
		}
	}
	corrupt := func(reason string) error { return &CorruptError{Offset: at, Reason: reason} }
	if found < 0 {
		if saturated {
			return corrupt("no ZIP64 end record where its locator says")
		}
		return nil
	}
	if le.Uint32(loc[4:]) != 0 || le.Uint32(b[16:]) != 0 || le.Uint32(b[20:]) != 0 || le.Uint64(b[24:]) != le.Uint64(b[32:]) {
		return corrupt("archive of several disks")
	}
	count, size64, offset64 := le.Uint64(b[32:]), le.Uint64(b[40:]), le.Uint64(b[48:])
	if e.count != max16 && e.count != count || *size != max32 && *size != size64 || *offset != max32 && *offset != offset64 {
		return corrupt("end record and ZIP64 end record disagree")
	}
	e.count, *size, *offset = count, size64, offset64
	e.at, e.wide = found, true
	return nil
}
