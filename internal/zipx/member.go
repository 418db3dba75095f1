package zipx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
)

// Open returns the plain bytes of m. The bytes are checked against CRC and size
// when the last of them was read: whoever must not use unproven bytes reads to
// the end first. Errors are a *CorruptError, a *LimitError, ErrEncrypted,
// ErrMethod or those of the file.
func (a *Archive) Open(m *Member) (io.ReadCloser, error) {
	at, err := a.DataOffset(m)
	if err != nil {
		return nil, err
	}
	if m.Flags&FlagEncrypted != 0 {
		return nil, fmt.Errorf("open %.200q: %w", m.Name, ErrEncrypted)
	}
	if err := a.limits.checkMember(m); err != nil {
		return nil, err
	}
	if m.Method == Store && m.CompressedSize != m.Size {
		return nil, a.memberError(m, "stored member with two sizes", nil)
	}
	d, err := a.decoders.open(newSource(a.r, at, at+int64(m.CompressedSize)), m.Method)
	if err != nil {
		return nil, fmt.Errorf("open %.200q: %w", m.Name, err)
	}
	return &memberReader{a: a, m: *m, d: d}, nil
}

// OpenRaw returns the stored bytes of m, compressed or encrypted as they are.
func (a *Archive) OpenRaw(m *Member) (*io.SectionReader, error) {
	at, err := a.DataOffset(m)
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(a.r, at, int64(m.CompressedSize)), nil
}

// OpenBlock returns plain bytes of a Deflate or Zstd member from the block or
// frame that starts after a number of compressed bytes; 0 is the first. Nothing
// checks that a block starts there, nor CRC and size.
func (a *Archive) OpenBlock(m *Member, compressed uint64) (io.ReadCloser, error) {
	at, err := a.DataOffset(m)
	if err != nil {
		return nil, err
	}
	if compressed > m.CompressedSize {
		return nil, fmt.Errorf("open block of %.200q at %d of %d bytes: %w", m.Name, compressed, m.CompressedSize, fs.ErrInvalid)
	}
	if m.Flags&FlagEncrypted != 0 {
		return nil, fmt.Errorf("open %.200q: %w", m.Name, ErrEncrypted)
	}
	d, err := a.decoders.open(newSource(a.r, at+int64(compressed), at+int64(m.CompressedSize)), m.Method)
	if err != nil {
		return nil, fmt.Errorf("open %.200q: %w", m.Name, err)
	}
	return &plainReader{d: d, left: a.limits.MaxSize}, nil
}

// DataOffset returns where the data of m begins in the file. It reads the local
// header and holds it against m.
func (a *Archive) DataOffset(m *Member) (int64, error) {
	start, err := a.localOffset(m)
	if err != nil {
		return 0, err
	}
	b := make([]byte, min(int64(localLen+len(m.Name)+64), a.end-start))
	if err := readAt(a.r, b, start); err != nil {
		return 0, fmt.Errorf("read local header of %.200q: %w", m.Name, err)
	}
	if binary.LittleEndian.Uint32(b) != sigLocal {
		return 0, a.memberError(m, "no local header", nil)
	}
	h := parseLocal(b)
	data := start + localLen + int64(h.nameLen) + int64(h.extraLen)
	if data > a.end || m.CompressedSize > uint64(a.end-data) {
		return 0, a.memberError(m, "data reaches into the directory", nil)
	}
	if h.nameLen != len(m.Name) || string(b[localLen:localLen+h.nameLen]) != m.Name {
		return 0, a.memberError(m, "local header has another name", nil)
	}
	if h.saturated && !m.Descriptor {
		extra := b[localLen+h.nameLen:]
		if h.extraLen > len(extra) {
			extra = make([]byte, h.extraLen)
			if err := readAt(a.r, extra, data-int64(h.extraLen)); err != nil {
				return 0, fmt.Errorf("read local header of %.200q: %w", m.Name, err)
			}
		}
		h.addExtra(extra[:h.extraLen])
	}
	if reason := h.differs(m); reason != "" {
		return 0, a.memberError(m, reason, nil)
	}
	return data, nil
}

// differs says what of a local header contradicts the directory.
func (h *local) differs(m *Member) string {
	switch {
	case h.method != m.Method:
		return "local header has another method"
	case (h.flags^m.flags())&(FlagEncrypted|FlagDescriptor) != 0:
		return "local header has other flags"
	case m.Descriptor:
		return ""
	case h.crc != m.CRC32:
		return "local header has another CRC"
	case h.csize != m.CompressedSize || h.usize != m.Size:
		return "local header has other sizes"
	}
	return ""
}

// localOffset returns where the local header of m is in the file.
func (a *Archive) localOffset(m *Member) (int64, error) {
	if room := a.end - a.base - localLen - int64(len(m.Name)); room < 0 || m.Offset > uint64(room) {
		return 0, &CorruptError{Member: m.Name, Offset: a.base, Reason: fmt.Sprintf("offset %d lies outside of the archive", m.Offset)}
	}
	return a.base + int64(m.Offset), nil
}

// memberError makes an error about m, whose offset was checked.
func (a *Archive) memberError(m *Member, reason string, err error) error {
	return &CorruptError{Member: m.Name, Offset: a.base + int64(m.Offset), Reason: reason, Err: err}
}

// RecordSpan returns where the record of m begins and ends in the file: local
// header, data and, if m has one, the descriptor, which is held against m.
func (a *Archive) RecordSpan(m *Member) (from, to int64, err error) {
	data, err := a.DataOffset(m)
	if err != nil {
		return 0, 0, err
	}
	from, to = a.base+int64(m.Offset), data+int64(m.CompressedSize)
	if !m.Descriptor {
		return from, to, nil
	}
	b := make([]byte, min(maxDescriptor, a.end-to))
	if err := readAt(a.r, b, to); err != nil {
		return 0, 0, fmt.Errorf("read descriptor of %.200q: %w", m.Name, err)
	}
	n := descriptorLen(b, m)
	if n == 0 {
		return 0, 0, &CorruptError{Member: m.Name, Offset: to, Reason: "descriptor is missing or differs"}
	}
	return from, to + int64(n), nil
}

// maxDescriptor is the length of the longest form of a descriptor.
const maxDescriptor = 24

// descriptorLen returns the length of the descriptor of m that b begins with: any
// of the four forms that writers use, with or without signature and with sizes
// of 4 or 8 bytes. It is 0 when none of them is there.
func descriptorLen(b []byte, m *Member) int {
	var want [maxDescriptor]byte
	le := binary.LittleEndian
	le.PutUint32(want[:], sigDescriptor)
	le.PutUint32(want[4:], m.CRC32)
	le.PutUint64(want[8:], m.CompressedSize)
	le.PutUint64(want[16:], m.Size)
	wide := want[:]
	narrow := append(make([]byte, 0, 16), want[:12]...)
	narrow = append(narrow, want[16:20]...)
	forms := [][]byte{wide, narrow, wide[4:], narrow[4:]}
	if m.CompressedSize > max32 || m.Size > max32 {
		forms = [][]byte{wide, wide[4:]}
	}
	for _, form := range forms {
		if bytes.HasPrefix(b, form) {
			return len(form)
		}
	}
	return 0
}

// memberReader reads and checks one member.
type memberReader struct {
	a    *Archive
	m    Member
	d    *decoder
	crc  uint32
	done uint64
	err  error
}

// Read reads plain bytes. The Read that delivers the last of them also checks
// them.
func (r *memberReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	left := r.m.Size - r.done
	if uint64(len(p)) > left {
		p = p[:left]
	}
	var n int
	var err error
	if len(p) > 0 {
		n, err = r.d.Read(p)
	}
	r.crc = crc32.Update(r.crc, crc32.IEEETable, p[:n])
	r.done += uint64(n)
	switch {
	case r.done == r.m.Size:
		r.err = r.finish(err)
	case err == io.EOF:
		r.err = r.corrupt(fmt.Sprintf("data ends after %d of %d bytes", r.done, r.m.Size), nil)
	case err != nil:
		r.err = r.broken(err)
	}
	return n, r.err
}

// finish checks that the data ends where it should and returns io.EOF if it does.
func (r *memberReader) finish(err error) error {
	var one [1]byte
	for tries := 0; err == nil; tries++ {
		n, e := r.d.Read(one[:])
		if n > 0 {
			return r.corrupt(fmt.Sprintf("data goes on after %d bytes", r.m.Size), nil)
		}
		if err = e; err == nil && tries > 100 {
			err = io.ErrNoProgress
		}
	}
	if err != io.EOF {
		return r.broken(err)
	}
	if used := r.d.consumed(); used != int64(r.m.CompressedSize) {
		return r.corrupt(fmt.Sprintf("compressed data ends after %d of %d bytes", used, r.m.CompressedSize), nil)
	}
	if r.crc != r.m.CRC32 {
		return r.corrupt(fmt.Sprintf("CRC is %08x instead of %08x", r.crc, r.m.CRC32), nil)
	}
	return io.EOF
}

func (r *memberReader) corrupt(reason string, err error) error {
	return r.a.memberError(&r.m, reason, err)
}

// broken classifies a decoder's error: what the file itself said stays as it is.
func (r *memberReader) broken(err error) error {
	if own := r.d.section.err; own != nil {
		return fmt.Errorf("read %.200q: %w", r.m.Name, own)
	}
	return r.corrupt("data cannot be decompressed", err)
}

// Close ends reading. Not having read everything is no error.
func (r *memberReader) Close() error {
	if r.d != nil {
		r.d.close()
		r.d = nil
	}
	if r.err == nil {
		r.err = fs.ErrClosed
	}
	return nil
}

// plainReader reads unchecked plain bytes and ends after so many, whatever
// follows them.
type plainReader struct {
	d    *decoder
	left uint64
}

// Read reads up to the limit.
func (r *plainReader) Read(p []byte) (int, error) {
	switch {
	case r.d == nil:
		return 0, fs.ErrClosed
	case r.left == 0:
		return 0, io.EOF
	}
	if uint64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.d.Read(p)
	if r.left -= uint64(n); r.left == 0 && n > 0 {
		err = nil
	}
	return n, err
}

// Close ends reading.
func (r *plainReader) Close() error {
	if r.d != nil {
		r.d.close()
		r.d = nil
	}
	return nil
}
