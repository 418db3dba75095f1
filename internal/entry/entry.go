// Package entry is the one encoding of what a collection produces: it turns
// rows, uploads, log lines and reports into frame bodies and back. The bodies
// are the same beside a container, on the way to a server and in its journal;
// docs/format/entry.md is the specification.
//
// Decoders take hostile bytes: every length is checked against the bytes that
// are left before anything is allocated, and what cannot be decoded is
// [ErrMalformed].
package entry

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"satchel/internal/flow"
	"satchel/internal/frame"
)

// The kinds of frames that carry entries.
const (
	KindHeader   frame.Kind = 1 // JSON, owned by the container
	KindRows     frame.Kind = 2
	KindUpload   frame.Kind = 3
	KindProgress frame.Kind = 4
	KindLog      frame.Kind = 5
	KindReport   frame.Kind = 6
	KindChunk    frame.Kind = 7 // bytes of an upload on the bulk lane
	KindEnd      frame.Kind = 8
	KindMember   frame.Kind = 9
)

// Member is one ZIP member that lies synced in a container.
type Member struct {
	UploadID   uint64 // 0: not part of an upload
	Name       string
	Method     uint16
	Flags      uint16
	CRC32      uint32
	Stored     int64 // bytes in the archive
	Size       int64 // bytes after inflating
	Offset     int64 // of the local header
	Length     int64 // of the whole record: local header to descriptor
	Modified   time.Time
	Descriptor bool
	RawSHA256  [32]byte // of the whole record
	SHA256     [32]byte // of the content
}

// AppendMember appends the body of a Member frame.
func AppendMember(dst []byte, m *Member) []byte {
	dst = binary.AppendUvarint(dst, m.UploadID)
	dst = appendString(dst, m.Name)
	dst = binary.AppendUvarint(dst, uint64(m.Method))
	dst = binary.AppendUvarint(dst, uint64(m.Flags))
	dst = binary.AppendUvarint(dst, uint64(m.CRC32))
	dst = binary.AppendUvarint(dst, uint64(m.Stored))
	dst = binary.AppendUvarint(dst, uint64(m.Size))
	dst = binary.AppendUvarint(dst, uint64(m.Offset))
	dst = binary.AppendUvarint(dst, uint64(m.Length))
	dst = appendTime(dst, m.Modified)
	dst = appendBool(dst, m.Descriptor)
	dst = append(dst, m.RawSHA256[:]...)
	return append(dst, m.SHA256[:]...)
}

// DecodeMember decodes the body of a Member frame.
func DecodeMember(body []byte) (Member, error) {
	r := reader{b: body}
	m := Member{
		UploadID:   r.uvarint("upload id"),
		Name:       r.string("member name"),
		Method:     uint16(r.upTo("method", math.MaxUint16)),
		Flags:      uint16(r.upTo("flags", math.MaxUint16)),
		CRC32:      uint32(r.upTo("crc", math.MaxUint32)),
		Stored:     r.size("stored size"),
		Size:       r.size("size"),
		Offset:     r.size("offset"),
		Length:     r.size("length"),
		Modified:   r.time("modified"),
		Descriptor: r.bool("descriptor"),
		RawSHA256:  r.hash("raw hash"),
		SHA256:     r.hash("content hash"),
	}
	if r.err != nil {
		return Member{}, fmt.Errorf("decode member: %w", r.err)
	}
	return m, nil
}

// Limits of the record of an upload. What exceeds them is malformed.
const (
	MaxRanges = 200_000 // runs of a sparse file
	MaxParts  = 1 << 20 // members that hold one upload
)

// Upload is the record of an upload that has ended, or, in a Progress frame,
// of one that is under way.
type Upload struct {
	ID         uint64
	Upload     flow.Upload
	Member     string // name of its first member
	Parts      int    // members it was written to
	StoredSize int64  // bytes stored, before compression
	SHA256     [32]byte
	MD5, SHA1  []byte
	Started    time.Time
	Ended      time.Time
	Complete   bool
	Error      string // why it is not complete
}

// AppendUpload appends the body of an Upload or a Progress frame.
func AppendUpload(dst []byte, u *Upload) []byte {
	dst = binary.AppendUvarint(dst, u.ID)
	dst = appendString(dst, u.Upload.Source)
	dst = appendString(dst, u.Upload.Accessor)
	dst = appendString(dst, u.Upload.Path)
	dst = appendStrings(dst, u.Upload.Components)
	dst = binary.AppendVarint(dst, u.Upload.Size)
	dst = binary.AppendUvarint(dst, uint64(len(u.Upload.Ranges)))
	for _, r := range u.Upload.Ranges {
		dst = binary.AppendUvarint(dst, uint64(r.Offset))
		dst = binary.AppendUvarint(dst, uint64(r.Length))
		dst = appendBool(dst, r.Sparse)
	}
	dst = appendTime(dst, u.Upload.Modified)
	dst = appendTime(dst, u.Upload.Accessed)
	dst = appendTime(dst, u.Upload.Changed)
	dst = appendTime(dst, u.Upload.Born)
	dst = appendString(dst, u.Member)
	dst = binary.AppendUvarint(dst, uint64(u.Parts))
	dst = binary.AppendUvarint(dst, uint64(u.StoredSize))
	dst = append(dst, u.SHA256[:]...)
	dst = appendBytes(dst, u.MD5)
	dst = appendBytes(dst, u.SHA1)
	dst = appendTime(dst, u.Started)
	dst = appendTime(dst, u.Ended)
	dst = appendBool(dst, u.Complete)
	return appendString(dst, u.Error)
}

// DecodeUpload decodes the body of an Upload or a Progress frame.
func DecodeUpload(body []byte) (Upload, error) {
	r := reader{b: body}
	u := Upload{ID: r.uvarint("upload id")}
	u.Upload.Source = r.string("source")
	u.Upload.Accessor = r.string("accessor")
	u.Upload.Path = r.string("path")
	u.Upload.Components = r.strings("components")
	u.Upload.Size = r.varint("size")
	n := r.count("ranges", 3)
	if n > MaxRanges {
		r.fail("ranges")
	} else if n > 0 {
		u.Upload.Ranges = make([]flow.Range, 0, n)
		for range n {
			u.Upload.Ranges = append(u.Upload.Ranges, flow.Range{
				Offset: r.size("range offset"), Length: r.size("range length"), Sparse: r.bool("sparse"),
			})
		}
	}
	u.Upload.Modified = r.time("modified")
	u.Upload.Accessed = r.time("accessed")
	u.Upload.Changed = r.time("changed")
	u.Upload.Born = r.time("born")
	u.Member = r.string("member")
	u.Parts = int(r.upTo("parts", MaxParts))
	u.StoredSize = r.size("stored size")
	u.SHA256 = r.hash("hash")
	u.MD5 = cloneBytes(r.bytes("md5"))
	u.SHA1 = cloneBytes(r.bytes("sha1"))
	u.Started = r.time("started")
	u.Ended = r.time("ended")
	u.Complete = r.bool("complete")
	u.Error = r.string("error")
	if r.err != nil {
		return Upload{}, fmt.Errorf("decode upload: %w", r.err)
	}
	return u, nil
}

func cloneBytes(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// Log is the JSON form of a log line in a Log frame.
type logLine struct {
	Time    time.Time  `json:"t"`
	Level   flow.Level `json:"l"`
	Source  string     `json:"s,omitempty"`
	Message string     `json:"m"`
}

// AppendLog appends the body of a Log frame.
func AppendLog(dst []byte, l flow.LogLine) ([]byte, error) {
	b, err := json.Marshal(logLine(l))
	if err != nil {
		return dst, fmt.Errorf("encode log line: %w", err)
	}
	return append(dst, b...), nil
}

// DecodeLog decodes the body of a Log frame.
func DecodeLog(body []byte) (flow.LogLine, error) {
	var l logLine
	if err := json.Unmarshal(body, &l); err != nil {
		return flow.LogLine{}, malformed("log line: %v", err)
	}
	return flow.LogLine(l), nil
}

// AppendReport appends the body of a Report frame.
func AppendReport(dst []byte, r flow.Report) ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return dst, fmt.Errorf("encode report: %w", err)
	}
	return append(dst, b...), nil
}

// DecodeReport decodes the body of a Report frame.
func DecodeReport(body []byte) (flow.Report, error) {
	var r flow.Report
	if err := json.Unmarshal(body, &r); err != nil {
		return flow.Report{}, malformed("report: %v", err)
	}
	return r, nil
}

// Progress tells how far an upload has come at a sync. Member is its large
// member that is being appended, up to the last whole block that is synced, or
// nil.
type Progress struct {
	Upload Upload
	Member *Member
}

// AppendProgress appends the body of a Progress frame.
func AppendProgress(dst []byte, p *Progress) []byte {
	dst = appendBytes(dst, AppendUpload(nil, &p.Upload))
	dst = appendBool(dst, p.Member != nil)
	if p.Member != nil {
		dst = appendBytes(dst, AppendMember(nil, p.Member))
	}
	return dst
}

// DecodeProgress decodes the body of a Progress frame.
func DecodeProgress(body []byte) (Progress, error) {
	r := reader{b: body}
	up := r.bytes("upload")
	var member []byte
	has := r.bool("has member")
	if has {
		member = r.bytes("member")
	}
	if r.err != nil {
		return Progress{}, fmt.Errorf("decode progress: %w", r.err)
	}
	var p Progress
	var err error
	if p.Upload, err = DecodeUpload(up); err != nil {
		return Progress{}, err
	}
	if has {
		m, err := DecodeMember(member)
		if err != nil {
			return Progress{}, err
		}
		p.Member = &m
	}
	return p, nil
}

// Chunk is a piece of the bytes of an upload.
type Chunk struct {
	UploadID uint64
	Offset   int64  // in the stored bytes of the upload
	Data     []byte // a piece of the body when decoded
}

// AppendChunk appends the body of a Chunk frame.
func AppendChunk(dst []byte, c Chunk) []byte {
	dst = binary.AppendUvarint(dst, c.UploadID)
	dst = binary.AppendUvarint(dst, uint64(c.Offset))
	return append(dst, c.Data...)
}

// DecodeChunk decodes the body of a Chunk frame.
func DecodeChunk(body []byte) (Chunk, error) {
	r := reader{b: body}
	c := Chunk{UploadID: r.uvarint("upload id"), Offset: r.size("offset")}
	if r.err != nil {
		return Chunk{}, fmt.Errorf("decode chunk: %w", r.err)
	}
	c.Data = r.b
	return c, nil
}
