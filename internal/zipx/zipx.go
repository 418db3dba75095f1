// Package zipx writes ZIP members as plain bytes and reads hostile archives
// safely. It is the only place that knows ZIP.
//
// Writing is pure: [AppendLocal], [AppendDescriptor], [AppendCentral] and
// [AppendEnd] append records to a slice and do no I/O, so a caller may write
// members at offsets of its choice, keep nothing in memory but a [Member], and
// write the central directory much later from members it kept elsewhere. Each
// record is a function of the Member alone, so it can be rebuilt byte for byte.
// [Compressor] makes the data between the records: whole members, or
// independent Deflate blocks that can be entered at each block's start.
//
// Reading takes nothing on trust: counts, sizes and offsets are checked against
// [Limits] and against the bytes that are there before anything is allocated.
// [Open] needs a central directory; [Salvage] walks local headers when there is
// none.
//
// Member names are escaped components; see [EscapePath] and [SplitMember].
package zipx

import "time"

// Compression methods of a member.
const (
	Store   uint16 = 0
	Deflate uint16 = 8
	Zstd    uint16 = 93
	AES     uint16 = 99 // WinZip AES around another method; not readable here
)

// Flag bits of a member.
const (
	FlagEncrypted  uint16 = 1 << 0
	FlagDescriptor uint16 = 1 << 3  // CRC and sizes follow the data
	FlagUTF8       uint16 = 1 << 11 // the name is UTF-8
)

const (
	sigLocal      = 0x04034b50
	sigCentral    = 0x02014b50
	sigDescriptor = 0x08074b50
	sigEnd        = 0x06054b50
	sigEnd64      = 0x06064b50
	sigLocator64  = 0x07064b50

	localLen     = 30
	centralLen   = 46
	endLen       = 22
	end64Len     = 56
	locator64Len = 20

	extraZip64    = 0x0001
	extraNTFS     = 0x000a
	extraModified = 0x5455

	version20 = 20 // Deflate, directories
	version45 = 45 // ZIP64
	version63 = 63 // Zstandard

	max16 = 1<<16 - 1
	max32 = 1<<32 - 1
)

// MaxName is the longest member name, in bytes, that a record can hold.
const MaxName = max16

// Member describes one member of an archive.
type Member struct {
	Name           string    // as stored: escaped, "/" between components, no leading "/"
	Method         uint16    // Store, Deflate, Zstd or AES
	Flags          uint16    // as read; a writer adds FlagDescriptor and FlagUTF8 where they belong
	CRC32          uint32    // of the plain bytes
	CompressedSize uint64    // bytes between the local header and the descriptor or next member
	Size           uint64    // plain bytes
	Offset         uint64    // of the local header, from the start of the archive
	Modified       time.Time // zero when not known; whole seconds from 1970 to 2106 are stored
	Descriptor     bool      // CRC and sizes stand behind the data instead of in the local header
	Dir            bool      // the name ends in "/"; set by readers, writers go by the name
}
