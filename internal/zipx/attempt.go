package zipx

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// attempt examines the place pos. The result is never nil; for none only its End
// is set, to the first byte that was not looked at.
func (s *Salvager) attempt(pos int64) (*Found, verdict, error) {
	f, h, err := s.header(pos)
	if err != nil {
		return f, none, fmt.Errorf("read local header at offset %d: %w", pos, err)
	}
	if h == nil {
		return f, none, nil
	}
	var v verdict
	switch {
	case f.Member.Flags&FlagEncrypted != 0 || f.Member.Method == AES:
		v = f.reject(ErrEncrypted.Error())
	case f.Member.Descriptor:
		v, err = s.attemptStreamed(f)
	default:
		v, err = s.attemptWhole(f, h)
	}
	if err != nil {
		return f, none, fmt.Errorf("read member %.200q at offset %d: %w", f.Member.Name, pos, err)
	}
	if v != whole {
		s.decoded += inputBuffer + f.End - f.Data + int64(min(f.Prefix, math.MaxInt64/4))
	}
	f.Complete, f.Cut = v == whole, v == cut
	return f, v, nil
}

// reject makes f a record that cannot be proven.
func (f *Found) reject(reason string) verdict {
	f.Reason = reason
	return bad
}

// header parses the local header at pos. It is nil when there is none.
func (s *Salvager) header(pos int64) (*Found, *local, error) {
	f := &Found{Start: pos, End: pos + 1}
	b, err := s.w.view(pos, localLen)
	if err != nil || len(b) < localLen || string(b[:4]) != "PK\x03\x04" {
		return f, nil, err
	}
	f.End = pos + localLen
	h := parseLocal(b)
	if version := b[4]; version > version63 || h.nameLen == 0 || h.nameLen > s.limits.MaxName {
		return f, nil, nil
	}
	variable := h.nameLen + h.extraLen
	s.scanned += int64(localLen + variable)
	b, err = s.w.view(pos+localLen, variable)
	if err != nil {
		return f, nil, err
	}
	f.End += int64(len(b))
	if len(b) < variable || bytes.IndexByte(b[:h.nameLen], 0) >= 0 || !tiled(b[h.nameLen:]) {
		return f, nil, nil
	}
	f.Data = f.End
	f.Member = Member{
		Name: string(b[:h.nameLen]), Method: h.method, Flags: h.flags, Offset: uint64(pos),
		Modified: h.addExtra(b[h.nameLen:]), Descriptor: h.flags&FlagDescriptor != 0, Dir: b[h.nameLen-1] == '/',
	}
	if !f.Member.Descriptor {
		f.Member.CRC32, f.Member.CompressedSize, f.Member.Size = h.crc, h.csize, h.usize
		f.Declared = h.usize
	}
	return f, &h, nil
}

// tiled tells whether an extra field consists of whole fields, up to zeros that
// align the data.
func tiled(b []byte) bool {
	for len(b) >= 4 {
		size := 4 + int(b[2]) + int(b[3])<<8
		if size > len(b) {
			break
		}
		b = b[size:]
	}
	return len(bytes.Trim(b, "\x00")) == 0
}

// attemptWhole examines a member whose header has the sizes.
func (s *Salvager) attemptWhole(f *Found, h *local) (verdict, error) {
	m := &f.Member
	if err := s.limits.checkMember(m); err != nil {
		return f.reject(err.Error()), nil
	}
	if m.Method == Store && h.csize != h.usize {
		return f.reject("stored member with two sizes"), nil
	}
	fits := h.csize <= uint64(s.size-f.Data)
	end := s.size
	if fits {
		end = f.Data + int64(h.csize)
	}
	p, err := s.decode(f, end, h.usize)
	if err != nil || p.refused {
		return bad, err
	}
	f.Prefix = p.plain
	switch {
	case !fits && (p.err == nil && m.Method != Deflate || errors.Is(p.err, io.ErrUnexpectedEOF)):
		f.Reason = "the file ends inside the member"
		f.End = s.size
		m.CRC32, m.Size, m.CompressedSize = p.crc, p.plain, uint64(s.size-f.Data)
		return cut, nil
	case p.err != nil:
		f.End = f.Data + p.used
		return f.reject(p.err.Error()), nil
	case p.plain != h.usize || p.used != int64(h.csize):
		f.End = f.Data + p.used
		return f.reject("data does not have the declared sizes"), nil
	case p.crc != h.crc:
		f.End = end
		return f.reject("CRC differs"), nil
	}
	f.End = end
	return whole, nil
}

// attemptStreamed examines a member whose sizes stand behind its data.
func (s *Salvager) attemptStreamed(f *Found) (verdict, error) {
	switch f.Member.Method {
	case Store:
		return s.attemptStored(f)
	case Zstd:
		end, ended, err := zstdEnd(&s.w, f.Data)
		if err != nil {
			return bad, err
		}
		return s.attemptEnded(f, end, !ended && end == s.size)
	}
	return s.attemptEnded(f, s.size, false)
}

// attemptEnded decodes a member whose data ends by itself, before or at end.
// Torn tells that the file is known to end inside of it.
func (s *Salvager) attemptEnded(f *Found, end int64, torn bool) (verdict, error) {
	m := &f.Member
	p, err := s.decode(f, end, s.limits.MaxSize)
	if err != nil || p.refused {
		return bad, err
	}
	f.Prefix, f.End = p.plain, f.Data+p.used
	m.CRC32, m.Size, m.CompressedSize = p.crc, p.plain, uint64(p.used)
	if errors.Is(p.err, io.ErrUnexpectedEOF) && (torn || end == s.size) {
		f.Reason, f.End = "the file ends inside the member", s.size
		return cut, nil
	}
	if p.err != nil {
		return f.reject(p.err.Error()), nil
	}
	b, err := s.w.view(f.End, maxDescriptor)
	if err != nil {
		return bad, err
	}
	if n := descriptorLen(b, m); n > 0 {
		f.End += int64(n)
		return whole, nil
	}
	if len(b) < maxDescriptor && descriptorTorn(b, m) {
		f.Reason, f.End = "the file ends inside the descriptor", s.size
		return cut, nil
	}
	return f.reject("descriptor is missing or differs"), nil
}

// descriptorTorn tells whether b is a beginning of a descriptor of m.
func descriptorTorn(b []byte, m *Member) bool {
	d := AppendDescriptor(make([]byte, 0, maxDescriptor), m)
	return len(b) < len(d) && string(d[:len(b)]) == string(b)
}

// attemptStored examines stored data that a descriptor with signature ends: the
// first whose size is the distance from the start and whose CRC is right.
func (s *Salvager) attemptStored(f *Found) (verdict, error) {
	m := &f.Member
	crc, done := uint32(0), f.Data
	for done < s.size {
		at, err := s.w.find("PK\x07\x08", done, min(s.size, done+windowSize))
		if err != nil {
			return bad, err
		}
		stop := at
		if at < 0 { // the signature may begin in the last three bytes
			if stop = min(s.size, done+windowSize) - 3; stop <= done || s.size-done < windowSize {
				stop = s.size
			}
		}
		b, err := s.w.view(done, int(stop-done))
		if err != nil {
			return bad, err
		}
		crc, done = crc32.Update(crc, crc32.IEEETable, b), stop
		m.CRC32, m.Size, m.CompressedSize = crc, uint64(done-f.Data), uint64(done-f.Data)
		f.Prefix, f.End = m.Size, done
		if at < 0 {
			continue
		}
		if b, err = s.w.view(at, maxDescriptor); err != nil {
			return bad, err
		}
		if n := descriptorLen(b, m); n > 0 {
			f.End = at + int64(n)
			return whole, nil
		}
		if len(b) < maxDescriptor && descriptorTorn(b, m) {
			f.Reason, f.End = "the file ends inside the descriptor", s.size
			return cut, nil
		}
		if b, err = s.w.view(at, 1); err != nil {
			return bad, err
		}
		s.scanned += signatureCost
		crc, done = crc32.Update(crc, crc32.IEEETable, b), at+1
	}
	return f.reject("no descriptor follows the data"), nil
}

// proof is what decoding gave.
type proof struct {
	plain   uint64
	crc     uint32
	used    int64 // compressed bytes
	err     error // of the data, nil when it ended by itself
	refused bool  // the method or a limit does not allow it; the reason is set
}

// decode decodes the data of f up to end, at most limit plain bytes. The error is
// that of the file.
func (s *Salvager) decode(f *Found, end int64, limit uint64) (proof, error) {
	var p proof
	src := newSource(&s.w, f.Data, end)
	d, err := s.a.decoders.open(src, f.Member.Method)
	if err != nil {
		f.reject(err.Error())
		return proof{refused: true}, nil
	}
	defer d.close()
	if s.scratch == nil {
		s.scratch = make([]byte, inputBuffer)
	}
	for {
		// One byte more than the limit tells that there is more.
		n, err := d.Read(s.scratch[:min(uint64(len(s.scratch)-1), limit-p.plain)+1])
		if p.plain+uint64(n) > limit {
			p.err = fmt.Errorf("data goes on after %d bytes", limit)
			n--
		}
		p.crc = crc32.Update(p.crc, crc32.IEEETable, s.scratch[:n])
		p.plain += uint64(n)
		p.used = d.consumed()
		if ratio, over := s.limits.ratio(p.plain, uint64(p.used)); over && p.plain > 1<<20 {
			err = &LimitError{Member: f.Member.Name, Limit: "MaxRatio", Value: ratio, Max: s.limits.MaxRatio}
		}
		switch {
		case src.err != nil:
			return p, src.err
		case p.err != nil, err == io.EOF:
			return p, nil
		case err != nil:
			p.err = err
			return p, nil
		}
	}
}

// measure sets the prefix of a damaged record whose data ends at end or before,
// and CRC and sizes to those of the prefix.
func (s *Salvager) measure(f *Found, end int64) error {
	m := &f.Member
	m.CRC32, m.Size, m.CompressedSize, f.Prefix = 0, 0, uint64(end-f.Data), 0
	if m.Flags&FlagEncrypted != 0 {
		return nil
	}
	limit := s.limits.MaxSize
	if !m.Descriptor {
		limit = min(limit, f.Declared)
	}
	reason := f.Reason
	p, err := s.decode(f, end, limit)
	if f.Reason = reason; err != nil || p.refused {
		return err
	}
	f.Prefix = p.plain
	m.Size, m.CRC32 = f.Prefix, p.crc
	return nil
}

// Open returns the plain bytes of a member that was found. Those of a complete
// one are checked; of another they are its prefix, unchecked, and end without an
// error.
func (s *Salvager) Open(f *Found) (io.ReadCloser, error) {
	if f.Complete {
		return s.a.Open(&f.Member)
	}
	if f.Member.Flags&FlagEncrypted != 0 {
		return nil, fmt.Errorf("open %.200q: %w", f.Member.Name, ErrEncrypted)
	}
	end := min(f.Data+int64(f.Member.CompressedSize), s.size)
	d, err := s.a.decoders.open(newSource(s.r, f.Data, end), f.Member.Method)
	if err != nil {
		return nil, fmt.Errorf("open %.200q: %w", f.Member.Name, err)
	}
	return &plainReader{d: d, left: f.Prefix}, nil
}
