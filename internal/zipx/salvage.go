package zipx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Found is a member that was found by its local header.
type Found struct {
	// Member has the CRC and the sizes of what is there, and the offset in the
	// file. For one that is not complete they are those of the prefix.
	Member Member
	// Start is where its record begins in the file, Data where its data does,
	// and End where the walk went on.
	Start, Data, End int64
	// Complete means that data, CRC and sizes agree.
	Complete bool
	// Cut means that the file ends inside the record, or was not written from some
	// place in it on, and that the data up to there shows no damage.
	Cut bool
	// Resynced means that the record does not follow another, but was found by
	// searching behind damage. It may be a member of an archive that is stored
	// inside of the damaged one.
	Resynced bool
	// Skipped is how many bytes in front of Start belong to no record.
	Skipped int64
	// Prefix is how many plain bytes Salvager.Open yields. Of a member that is
	// damaged rather than cut, some of them may be wrong.
	Prefix uint64
	// Declared is the plain size that the local header gives, 0 when it does
	// not.
	Declared uint64
	// Reason tells why the member is not complete.
	Reason string
}

// Salvager walks the local headers of an archive whose directory is missing or
// not to be trusted. One goroutine at a time may walk; Open may be called by any
// number.
type Salvager struct {
	r      io.ReaderAt
	from   int64
	size   int64
	limits Limits
	a      *Archive // for its decoders and checked readers

	w       window
	members uint64
	scanned int64 // bytes looked at in vain
	decoded int64 // bytes decoded in vain
	budget  int64 // of each of them
	scratch []byte

	directory int64
	trailing  int64
}

// NewSalvager returns a salvager of the first size bytes of r that begins at
// offset from, which should be the start of a local header.
func NewSalvager(r io.ReaderAt, from, size int64, l Limits) *Salvager {
	a := newArchive(r, l)
	a.end, a.endAt, a.tail = size, size, size
	from = max(from, 0)
	return &Salvager{
		r: r, from: from, size: size, limits: a.limits, a: a,
		w:         window{r: r, from: from, size: size},
		budget:    8*max(size-from, 0) + 32<<20,
		directory: -1,
	}
}

// Salvage yields the members that local headers from offset from on lead to; see
// [Salvager.Members].
func Salvage(r io.ReaderAt, from, size int64, l Limits) iter.Seq2[Found, error] {
	return NewSalvager(r, from, size, l).Members()
}

// Directory returns where the walk met a central directory, or -1. A directory
// inside of a member that was searched is not taken for one.
func (s *Salvager) Directory() int64 { return s.directory }

// Trailing returns how many bytes behind the last record belong to none and to
// no directory.
func (s *Salvager) Trailing() int64 { return s.trailing }

// Members yields what is found, in file order, with memory that does not depend
// on the file. Each record is decoded to prove it. Where a record is damaged and
// its end cannot be told, the file is searched for the next local header whose
// content proves itself. Work in vain is bounded: once it exceeds 8 times the file,
// what was decoded is not searched again.
//
// Members ends at the central directory, at the end of the file, or with an
// error: that of the file, or a *LimitError.
func (s *Salvager) Members() iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		if err := s.walk(func(f *Found) bool { return yield(*f, nil) }); err != nil {
			yield(Found{}, err)
		}
	}
}

// Verdicts on a place in the file.
type verdict int

const (
	none  verdict = iota // no plausible local header
	whole                // proven
	cut                  // sound up to the end of the file
	bad                  // a header, but what follows does not prove itself
)

// walk emits records until emit returns false.
func (s *Salvager) walk(emit func(*Found) bool) error {
	pos, resynced := s.from, false
	var next *Found // found already by a search
	for pos < s.size {
		var err error
		f, v := next, verdictOf(next)
		if next = nil; f == nil {
			if f, v, err = s.attempt(pos); err != nil {
				return err
			}
			f.Resynced = resynced
		}
		switch v {
		case none:
			if found, err := s.atDirectory(pos, resynced); found || err != nil {
				s.directory = pos
				return err
			}
			if next, err = s.search(pos + 1); err != nil {
				return err
			}
			if next == nil {
				return s.finish(pos)
			}
			next.Skipped = next.Start - pos
			pos, resynced = next.Start, true
			continue
		case bad, cut:
			if next, err = s.settle(f, v); err != nil {
				return err
			}
			resynced = resynced || next != nil
		}
		if s.members++; s.members > s.limits.MaxMembers {
			return &LimitError{Limit: "MaxMembers", Value: s.members, Max: s.limits.MaxMembers}
		}
		if !emit(f) {
			return nil
		}
		pos = f.End
	}
	return nil
}

// atDirectory tells whether a directory begins at pos. Behind a search it must
// prove itself, since it may be that of an archive inside of this one.
func (s *Salvager) atDirectory(pos int64, resynced bool) (bool, error) {
	sig, err := s.signature(pos)
	if err != nil {
		return false, fmt.Errorf("read offset %d: %w", pos, err)
	}
	switch {
	case sig == sigCentral && resynced:
		return s.provenDirectory(pos)
	case sig == sigCentral, sig == sigEnd, sig == sigEnd64:
		return !resynced, nil
	}
	return false, nil
}

// provenDirectory tells whether the directory record at pos leads to a local
// header of the same name.
func (s *Salvager) provenDirectory(pos int64) (bool, error) {
	b, err := s.w.view(pos, centralLen)
	if err != nil || len(b) < centralLen {
		return false, err
	}
	if b, err = s.w.view(pos, centralSize(b)); err != nil || len(b) < centralLen || len(b) < centralSize(b) {
		return false, err
	}
	s.scanned += int64(len(b))
	c, reason := parseCentral(b)
	if reason != "" || c.m.Offset > uint64(pos) {
		return false, nil
	}
	header := make([]byte, localLen+len(c.name))
	if err := readAt(s.r, header, int64(c.m.Offset)); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		return false, err
	}
	h := parseLocal(header)
	return string(header[:4]) == "PK\x03\x04" && h.nameLen == len(c.name) && string(header[localLen:]) == string(c.name), nil
}

// findDirectory returns where a proven directory begins from pos on, or -1.
func (s *Salvager) findDirectory(pos int64) (int64, error) {
	for s.scanned <= s.budget {
		at, err := s.w.find("PK\x01\x02", pos, s.size)
		if err != nil || at < 0 {
			return -1, err
		}
		if ok, err := s.provenDirectory(at); err != nil || ok {
			return at, err
		}
		pos = at + 4
	}
	return -1, nil
}

// finish ends a walk that found no more records behind pos.
func (s *Salvager) finish(pos int64) error {
	at, err := s.findDirectory(pos)
	if err != nil {
		return fmt.Errorf("search for a directory from offset %d: %w", pos, err)
	}
	end := s.size
	if at >= 0 {
		s.directory, end = at, at
	}
	s.trailing = end - pos
	return nil
}

// signature returns the four bytes at pos, 0 where the file ends.
func (s *Salvager) signature(pos int64) (uint32, error) {
	b, err := s.w.view(pos, 4)
	if err != nil || len(b) < 4 {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// search returns the first record from pos on that proves itself, or else the
// first that is sound up to the end of the file, or nil.
func (s *Salvager) search(pos int64) (*Found, error) {
	var torn *Found
	for pos < s.size {
		at, err := s.w.find("PK\x03\x04", pos, s.size)
		if err != nil {
			return nil, fmt.Errorf("search for a local header from offset %d: %w", pos, err)
		}
		if at < 0 {
			break
		}
		f, v, err := s.attempt(at)
		if err != nil {
			return nil, err
		}
		f.Resynced = true
		if v == whole {
			return f, nil
		}
		if v == cut && torn == nil && f.Prefix > 0 && f.Member.Method != Store {
			torn = f
		}
		pos = at + 4
		if s.scanned > s.budget || s.decoded > s.budget {
			pos = max(pos, f.End)
		}
	}
	return torn, nil
}

// verdictOf returns what a search thought of f, which may be nil.
func verdictOf(f *Found) verdict {
	if f != nil && f.Cut {
		return cut
	}
	return whole
}

// settle finds the end of the damaged or cut record f: where its header or a
// matching descriptor says, if another record or the directory follows there.
// Otherwise a cut record ends where the file does, or where a part of the file
// begins that was never written, and a damaged one at the next record, for which
// the rest is searched. A record that was found by that is returned.
func (s *Salvager) settle(f *Found, v verdict) (next *Found, err error) {
	end, dataEnd := int64(-1), int64(-1)
	if v == bad || f.Member.Descriptor {
		if end, dataEnd, err = s.damagedEnd(f); err != nil {
			return nil, err
		}
	}
	if end >= 0 {
		if f.Cut = false; v == cut {
			f.Reason = "data is damaged"
		}
		f.End = end
		return nil, s.measure(f, dataEnd)
	}
	from, hole := f.Start+4, int64(-1)
	if v == cut {
		if f.Member.Method != Store {
			hole, err = s.findHole(f.Data)
		}
		if err != nil || hole < 0 {
			return nil, err
		}
		from = hole
	}
	if next, err = s.search(from); err != nil {
		return nil, err
	}
	if end, err = s.searchedEnd(f, next); err != nil {
		return nil, err
	}
	f.End, f.Data = end, min(f.Data, end)
	if f.Member.Method == Store && f.Member.Descriptor && end == s.size {
		f.Cut, f.Reason = true, "the file ends inside the member"
	}
	if hole >= 0 {
		f.Reason, end = "the file was not written inside the member", hole
	}
	return next, s.measure(f, end)
}

// holeSize is how many zero bytes in compressed data are taken for a part of the
// file that was never written.
const holeSize = 4096

// findHole returns where the first hole begins from pos on, or -1.
func (s *Salvager) findHole(pos int64) (int64, error) {
	for pos+holeSize <= s.size {
		b, err := s.w.view(pos, holeSize)
		if err != nil {
			return -1, fmt.Errorf("search for a hole from offset %d: %w", pos, err)
		}
		last := len(b) - 1
		for last >= 0 && b[last] == 0 {
			last--
		}
		if last < 0 {
			return pos, nil
		}
		pos += int64(last) + 1
	}
	return -1, nil
}

// searchedEnd returns where the record f must have ended, given what was found
// behind it.
func (s *Salvager) searchedEnd(f, next *Found) (int64, error) {
	if next != nil {
		return next.Start, nil
	}
	at, err := s.findDirectory(f.Data)
	if err != nil {
		return 0, fmt.Errorf("search for a directory from offset %d: %w", f.Data, err)
	}
	if at >= 0 {
		return at, nil
	}
	return s.size, nil
}

// damagedEnd returns where a damaged record and its data end, or -1.
func (s *Salvager) damagedEnd(f *Found) (end, dataEnd int64, err error) {
	if !f.Member.Descriptor {
		sizes := []uint64{f.Member.CompressedSize}
		if f.Member.Method == Store { // both say the same, unless one is damaged
			sizes = append(sizes, f.Declared)
		}
		for _, size := range sizes {
			if size > uint64(s.size-f.Data) {
				continue
			}
			end = f.Data + int64(size)
			if ok, err := s.boundary(end); err != nil || ok {
				return end, end, err
			}
		}
		return -1, -1, nil
	}
	for pos := f.Data; s.scanned <= s.budget; {
		at, err := s.w.find("PK\x07\x08", pos, s.size)
		if err != nil {
			return -1, -1, fmt.Errorf("search for the descriptor of %.200q: %w", f.Member.Name, err)
		}
		if at < 0 {
			s.scanned += s.size - pos
			break
		}
		s.scanned += at + 4 - pos + signatureCost
		b, err := s.w.view(at, maxDescriptor)
		if err != nil {
			return -1, -1, err
		}
		for _, n := range [...]int{16, 24} {
			if len(b) < n || descriptorDistance(b, n) != uint64(at-f.Data) {
				continue
			}
			if ok, err := s.boundary(at + int64(n)); err != nil || ok {
				return at + int64(n), at, err
			}
		}
		pos = at + 4
	}
	return -1, -1, nil
}

// signatureCost is the work, in bytes, of looking at what follows a signature.
const signatureCost = 64

// descriptorDistance returns the compressed size in a descriptor of n bytes.
func descriptorDistance(b []byte, n int) uint64 {
	if n == 24 {
		return binary.LittleEndian.Uint64(b[8:])
	}
	return uint64(binary.LittleEndian.Uint32(b[8:]))
}

// boundary tells whether a record, a directory that proves itself or the end of
// the file is at pos.
func (s *Salvager) boundary(pos int64) (bool, error) {
	if pos == s.size {
		return true, nil
	}
	sig, err := s.signature(pos)
	if err != nil {
		return false, fmt.Errorf("read offset %d: %w", pos, err)
	}
	if sig == sigCentral {
		return s.provenDirectory(pos)
	}
	return sig == sigLocal, nil
}
