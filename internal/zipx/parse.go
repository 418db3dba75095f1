package zipx

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// readAt fills p from offset off. A file that ends before is
// io.ErrUnexpectedEOF.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// central is a parsed central directory record. Its name refers to the buffer
// that it was parsed from.
type central struct {
	name []byte
	m    Member // without Name
}

// centralSize returns the length of the whole record that b, at least
// centralLen bytes long, begins.
func centralSize(b []byte) int {
	le := binary.LittleEndian
	return centralLen + int(le.Uint16(b[28:])) + int(le.Uint16(b[30:])) + int(le.Uint16(b[32:]))
}

// parseCentral parses one whole record. The reason is empty when it is sound.
func parseCentral(b []byte) (c central, reason string) {
	le := binary.LittleEndian
	nameLen, extraLen := int(le.Uint16(b[28:])), int(le.Uint16(b[30:]))
	c.name = b[centralLen : centralLen+nameLen]
	c.m = Member{
		Flags:          le.Uint16(b[8:]),
		Method:         le.Uint16(b[10:]),
		CRC32:          le.Uint32(b[16:]),
		CompressedSize: uint64(le.Uint32(b[20:])),
		Size:           uint64(le.Uint32(b[24:])),
		Offset:         uint64(le.Uint32(b[42:])),
	}
	x := parseExtra(b[centralLen+nameLen:][:extraLen])
	for _, field := range [...]*uint64{&c.m.Size, &c.m.CompressedSize, &c.m.Offset} {
		if *field != max32 || !x.has64 {
			continue
		}
		if len(x.zip64) < 8 {
			return c, "ZIP64 field is too short"
		}
		*field, x.zip64 = le.Uint64(x.zip64), x.zip64[8:]
	}
	c.m.Modified = x.modified(le.Uint16(b[14:]), le.Uint16(b[12:]))
	c.m.Descriptor = c.m.Flags&FlagDescriptor != 0
	c.m.Dir = nameLen > 0 && c.name[nameLen-1] == '/'
	if disk := le.Uint16(b[34:]); disk != 0 && disk != max16 {
		return c, "archive of several disks"
	}
	if nameLen == 0 {
		return c, "member without name"
	}
	return c, ""
}

// local is a parsed local header.
type local struct {
	flags, method  uint16
	crc            uint32
	csize, usize   uint64
	nameLen        int
	extraLen       int
	date, clock    uint16
	saturated, has bool // a size is 0xFFFFFFFF; the ZIP64 field was there
}

// parseLocal parses the fixed part; b has at least localLen bytes.
func parseLocal(b []byte) local {
	le := binary.LittleEndian
	h := local{
		flags:    le.Uint16(b[6:]),
		method:   le.Uint16(b[8:]),
		clock:    le.Uint16(b[10:]),
		date:     le.Uint16(b[12:]),
		crc:      le.Uint32(b[14:]),
		csize:    uint64(le.Uint32(b[18:])),
		usize:    uint64(le.Uint32(b[22:])),
		nameLen:  int(le.Uint16(b[26:])),
		extraLen: int(le.Uint16(b[28:])),
	}
	h.saturated = h.csize == max32 || h.usize == max32
	return h
}

// addExtra takes sizes from the ZIP64 field and returns the modification time.
func (h *local) addExtra(b []byte) time.Time {
	x := parseExtra(b)
	for _, field := range [...]*uint64{&h.usize, &h.csize} {
		if x.has64 && *field == max32 && len(x.zip64) >= 8 {
			*field, x.zip64 = binary.LittleEndian.Uint64(x.zip64), x.zip64[8:]
		}
	}
	h.has = x.has64
	return x.modified(h.date, h.clock)
}

// extra is what matters of an extra field.
type extra struct {
	zip64 []byte
	has64 bool
	unix  time.Time
	ntfs  time.Time
}

// parseExtra reads the fields up to the first that is malformed.
func parseExtra(b []byte) extra {
	var x extra
	le := binary.LittleEndian
	for len(b) >= 4 {
		tag, size := le.Uint16(b), int(le.Uint16(b[2:]))
		if b = b[4:]; size > len(b) {
			break
		}
		field := b[:size]
		b = b[size:]
		switch tag {
		case extraZip64:
			if !x.has64 {
				x.zip64, x.has64 = field, true
			}
		case extraModified:
			if size >= 5 && field[0]&1 != 0 {
				x.unix = time.Unix(int64(le.Uint32(field[1:])), 0).UTC()
			}
		case extraNTFS:
			if size >= 16 && le.Uint16(field[4:]) == 1 && le.Uint16(field[6:]) == 24 {
				x.ntfs = fromFiletime(le.Uint64(field[8:]))
			}
		}
	}
	return x
}

// modified returns the best known modification time.
func (x *extra) modified(date, clock uint16) time.Time {
	switch {
	case !x.unix.IsZero():
		return x.unix
	case !x.ntfs.IsZero():
		return x.ntfs
	}
	return fromDOS(date, clock)
}

// fromFiletime converts 100 ns ticks since 1601; 0 is the zero time.
func fromFiletime(ticks uint64) time.Time {
	const perSecond, to1970 = 10_000_000, 11_644_473_600
	if ticks == 0 || ticks > 1<<62 {
		return time.Time{}
	}
	seconds := int64(ticks/perSecond) - to1970
	return time.Unix(seconds, int64(ticks%perSecond)*100).UTC()
}
