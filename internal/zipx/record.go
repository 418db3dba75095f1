package zipx

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"
)

// AppendLocal appends the local header of m. With m.Descriptor the CRC and the
// sizes are written as zero and their values in m do not matter, so the header
// can be written before the data is known and rebuilt afterwards.
//
// A name longer than [MaxName] is cut; [MemberName] never makes one.
func AppendLocal(dst []byte, m *Member) []byte {
	var crc, csize, usize uint32
	wide := false
	if !m.Descriptor {
		wide = m.wide()
		crc, csize, usize = m.CRC32, clamp32(m.CompressedSize), clamp32(m.Size)
		if wide { // a local ZIP64 field always holds both sizes
			csize, usize = max32, max32
		}
	}
	name := cutName(m.Name)
	date, clock := dosTime(m.Modified)
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, sigLocal)
	dst = le.AppendUint16(dst, versionNeeded(m.Method, wide))
	dst = le.AppendUint16(dst, m.flags())
	dst = le.AppendUint16(dst, m.Method)
	dst = le.AppendUint16(dst, clock)
	dst = le.AppendUint16(dst, date)
	dst = le.AppendUint32(dst, crc)
	dst = le.AppendUint32(dst, csize)
	dst = le.AppendUint32(dst, usize)
	dst = le.AppendUint16(dst, uint16(len(name)))
	extraLen := len(dst)
	dst = append(dst, 0, 0)
	dst = append(dst, name...)
	start := len(dst)
	if wide {
		dst = le.AppendUint16(dst, extraZip64)
		dst = le.AppendUint16(dst, 16)
		dst = le.AppendUint64(dst, m.Size)
		dst = le.AppendUint64(dst, m.CompressedSize)
	}
	dst = appendModified(dst, m.Modified)
	le.PutUint16(dst[extraLen:], uint16(len(dst)-start))
	return dst
}

// AppendDescriptor appends the data descriptor of m, with signature. The sizes
// take 8 bytes each when one of them is 0xFFFFFFFF or more, otherwise 4. It is
// written for members with m.Descriptor, right behind the data.
func AppendDescriptor(dst []byte, m *Member) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, sigDescriptor)
	dst = le.AppendUint32(dst, m.CRC32)
	if m.wide() {
		dst = le.AppendUint64(dst, m.CompressedSize)
		return le.AppendUint64(dst, m.Size)
	}
	dst = le.AppendUint32(dst, uint32(m.CompressedSize))
	return le.AppendUint32(dst, uint32(m.Size))
}

// AppendCentral appends the central directory record of m. ZIP64 values are
// written for exactly those of size, compressed size and offset that do not
// fit in 32 bits.
func AppendCentral(dst []byte, m *Member) []byte {
	name := cutName(m.Name)
	date, clock := dosTime(m.Modified)
	wide := m.wide() || m.Offset >= max32
	attributes := uint32(0)
	if strings.HasSuffix(name, "/") {
		attributes = 0x10 // MS-DOS directory
	}
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, sigCentral)
	dst = le.AppendUint16(dst, version45) // made by: MS-DOS, so that attributes carry no Unix mode
	dst = le.AppendUint16(dst, versionNeeded(m.Method, wide))
	dst = le.AppendUint16(dst, m.flags())
	dst = le.AppendUint16(dst, m.Method)
	dst = le.AppendUint16(dst, clock)
	dst = le.AppendUint16(dst, date)
	dst = le.AppendUint32(dst, m.CRC32)
	dst = le.AppendUint32(dst, clamp32(m.CompressedSize))
	dst = le.AppendUint32(dst, clamp32(m.Size))
	dst = le.AppendUint16(dst, uint16(len(name)))
	extraLen := len(dst)
	dst = append(dst, 0, 0) // extra
	dst = append(dst, 0, 0) // comment
	dst = append(dst, 0, 0) // disk
	dst = append(dst, 0, 0) // internal attributes
	dst = le.AppendUint32(dst, attributes)
	dst = le.AppendUint32(dst, clamp32(m.Offset))
	dst = append(dst, name...)
	start := len(dst)
	if wide {
		dst = appendCentral64(dst, m)
	}
	dst = appendModified(dst, m.Modified)
	le.PutUint16(dst[extraLen:], uint16(len(dst)-start))
	return dst
}

// appendCentral64 appends the ZIP64 field of a central record.
func appendCentral64(dst []byte, m *Member) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, extraZip64)
	lenAt := len(dst)
	dst = append(dst, 0, 0)
	for _, v := range [...]uint64{m.Size, m.CompressedSize, m.Offset} {
		if v >= max32 {
			dst = le.AppendUint64(dst, v)
		}
	}
	le.PutUint16(dst[lenAt:], uint16(len(dst)-lenAt-2))
	return dst
}

// AppendEnd appends the end records of an archive whose central directory has
// count records in dirSize bytes at dirOffset, and ends right before them. The
// ZIP64 end record and locator are written when count is 65535 or more, or size
// or offset 0xFFFFFFFF or more. A comment longer than 65535 bytes is cut.
func AppendEnd(dst []byte, count uint64, dirOffset, dirSize int64, comment string) []byte {
	le := binary.LittleEndian
	offset, size := uint64(dirOffset), uint64(dirSize)
	if count >= max16 || offset >= max32 || size >= max32 {
		dst = le.AppendUint32(dst, sigEnd64)
		dst = le.AppendUint64(dst, end64Len-12) // bytes that follow
		dst = le.AppendUint16(dst, version45)
		dst = le.AppendUint16(dst, version45)
		dst = le.AppendUint32(dst, 0)
		dst = le.AppendUint32(dst, 0)
		dst = le.AppendUint64(dst, count)
		dst = le.AppendUint64(dst, count)
		dst = le.AppendUint64(dst, size)
		dst = le.AppendUint64(dst, offset)
		dst = le.AppendUint32(dst, sigLocator64)
		dst = le.AppendUint32(dst, 0)
		dst = le.AppendUint64(dst, offset+size)
		dst = le.AppendUint32(dst, 1)
	}
	if len(comment) > max16 {
		comment = comment[:max16]
	}
	dst = le.AppendUint32(dst, sigEnd)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint16(dst, uint16(min(count, max16)))
	dst = le.AppendUint16(dst, uint16(min(count, max16)))
	dst = le.AppendUint32(dst, clamp32(size))
	dst = le.AppendUint32(dst, clamp32(offset))
	dst = le.AppendUint16(dst, uint16(len(comment)))
	return append(dst, comment...)
}

// wide tells whether the sizes need 64 bits.
func (m *Member) wide() bool { return m.Size >= max32 || m.CompressedSize >= max32 }

// flags returns the flag bits that records of m carry.
func (m *Member) flags() uint16 {
	f := m.Flags &^ FlagDescriptor
	if m.Descriptor {
		f |= FlagDescriptor
	}
	if needsUTF8(m.Name) {
		f |= FlagUTF8
	}
	return f
}

// needsUTF8 tells whether a name is UTF-8 that other code pages read otherwise.
func needsUTF8(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < 0x20 || c > 0x7e || c == '\\' {
			return utf8.ValidString(name)
		}
	}
	return false
}

func versionNeeded(method uint16, wide bool) uint16 {
	switch {
	case method == Zstd:
		return version63
	case wide:
		return version45
	}
	return version20
}

func clamp32(v uint64) uint32 { return uint32(min(v, max32)) }

func cutName(name string) string { return name[:min(len(name), MaxName)] }

// storable tells whether a time can be stored: whole seconds since 1970 in 32
// bits without sign.
func storable(t time.Time) bool {
	return !t.IsZero() && t.Unix() >= 0 && t.Unix() <= max32
}

// appendModified appends the extended timestamp field, or nothing when t cannot
// be stored.
func appendModified(dst []byte, t time.Time) []byte {
	if !storable(t) {
		return dst
	}
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, extraModified)
	dst = le.AppendUint16(dst, 5)
	dst = append(dst, 1) // modification time only
	return le.AppendUint32(dst, uint32(t.Unix()))
}

// dosTime returns the MS-DOS date and time of t in UTC: zeros when t cannot be
// stored, 1980-01-01 00:00:00 for the years before that.
func dosTime(t time.Time) (date, clock uint16) {
	if !storable(t) {
		return 0, 0
	}
	t = t.UTC()
	if t.Year() < 1980 {
		return 1<<5 | 1, 0
	}
	date = uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day())
	clock = uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
	return date, clock
}

// fromDOS returns the UTC time of MS-DOS date and time fields, and the zero
// time for fields that name no day.
func fromDOS(date, clock uint16) time.Time {
	year, month, day := int(date>>9)+1980, time.Month(date>>5&15), int(date&31)
	hour, minute, second := int(clock>>11), int(clock>>5&63), int(clock&31)*2
	if month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}
	}
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}
