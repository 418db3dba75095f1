package parsers

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"satchel/vql"
)

// ErrFormat says that a file has not the format that it was read as.
var ErrFormat = errors.New("not in this format")

// utmpLayout is how the C library of an architecture lays a record out.
type utmpLayout struct {
	size      int // bytes of a record
	wide      bool
	bigEndian bool
}

func (l utmpLayout) order() binary.ByteOrder {
	if l.bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// layouts are the known ones, the usual first: 384 bytes on x86 and 32 bit
// systems, 400 on 64 bit ARM.
func layouts() []utmpLayout {
	return []utmpLayout{{384, false, false}, {400, true, false}, {384, false, true}, {400, true, true}}
}

// utmpRow is one record of utmp, wtmp or btmp.
type utmpRow struct {
	Type        int64
	TypeName    string
	Pid         int64
	Terminal    string
	Id          string
	User        string
	Host        string
	Termination int64
	ExitStatus  int64
	Session     int64
	Timestamp   time.Time // NULL if the record has none
	Address     string
	Offset      int64
	OSPath      vql.Path
}

func utmpTypes() []string {
	return []string{"EMPTY", "RUN_LVL", "BOOT_TIME", "NEW_TIME", "OLD_TIME", "INIT_PROCESS", "LOGIN_PROCESS", "USER_PROCESS", "DEAD_PROCESS", "ACCOUNTING"}
}

// parseUtmp reads one record, which has at least the bytes of the layout.
func parseUtmp(b []byte, l utmpLayout) *utmpRow {
	o := l.order()
	row := &utmpRow{
		Type: int64(int16(o.Uint16(b))), Pid: int64(int32(o.Uint32(b[4:]))), Terminal: cString(b[8:40]), Id: cString(b[40:44]),
		User: cString(b[44:76]), Host: cString(b[76:332]), Termination: int64(int16(o.Uint16(b[332:]))), ExitStatus: int64(int16(o.Uint16(b[334:]))),
	}
	if names := utmpTypes(); row.Type >= 0 && row.Type < int64(len(names)) {
		row.TypeName = names[row.Type]
	}
	var seconds, micros int64
	addr := b[348:364]
	if l.wide {
		row.Session, seconds, micros = int64(o.Uint64(b[336:])), int64(o.Uint64(b[344:])), int64(o.Uint64(b[352:]))
		addr = b[360:376]
	} else {
		row.Session, seconds, micros = int64(int32(o.Uint32(b[336:]))), int64(o.Uint32(b[340:])), int64(o.Uint32(b[344:]))
	}
	if seconds > 0 && seconds <= maxSeconds {
		row.Timestamp = time.Unix(seconds, min(max(micros, 0), 999_999)*1000).UTC()
	}
	if ip, ok := netip.AddrFromSlice(addr); ok && !ip.IsUnspecified() {
		if bytes.Equal(addr[4:], make([]byte, 12)) {
			ip, _ = netip.AddrFromSlice(addr[:4])
		}
		row.Address = ip.Unmap().String()
	}
	return row
}

// maxSeconds is the end of the year 9999, the last that JSON times have.
const maxSeconds = 253402300799

// cString returns the bytes before the first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// plausible counts the records at the start of a file that make sense in the
// layout, and says whether all do.
func plausible(head []byte, l utmpLayout) bool {
	n := 0
	for ; n < 8 && len(head) >= (n+1)*l.size; n++ {
		row := parseUtmp(head[n*l.size:], l)
		if row.TypeName == "" || row.Type != 0 && row.Timestamp.IsZero() && row.Pid == 0 && row.User == "" {
			return false
		}
	}
	return n > 0
}

// chooseLayout finds the layout of a file by its first records.
func chooseLayout(head []byte) (utmpLayout, error) {
	for _, l := range layouts() {
		if plausible(head, l) {
			return l, nil
		}
	}
	return utmpLayout{}, fmt.Errorf("utmp: %w", ErrFormat)
}

type filesArgs struct {
	Filename []vql.Path `vql:"filename,required"`
	Accessor string     `vql:"accessor"`
}

func utmpPlugin() vql.Plugin {
	return vql.NewPlugin("parse_utmp", func(ctx context.Context, s *vql.Scope, a filesArgs, emit func(*utmpRow) bool) error {
		return eachFile(ctx, s, a.Accessor, a.Filename, func(p vql.Path, f vql.File) error {
			return readUtmp(contextReader{ctx, f}, func(row *utmpRow) bool {
				row.OSPath = p
				return emit(row)
			})
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads the logins that utmp, wtmp and btmp keep."))
}

// readUtmp gives the records of a file. A torn one at the end is an error
// after the others.
func readUtmp(r io.Reader, take func(*utmpRow) bool) error {
	buf := make([]byte, 8*400)
	n, err := io.ReadFull(r, buf)
	if n == 0 && err == io.EOF {
		return nil
	}
	if err != nil && err != io.ErrUnexpectedEOF {
		return err
	}
	l, bad := chooseLayout(buf[:n])
	if bad != nil {
		return bad
	}
	in := io.MultiReader(bytes.NewReader(buf[:n]), r)
	record := make([]byte, l.size)
	for at := int64(0); ; at += int64(l.size) {
		n, err := io.ReadFull(in, record)
		switch {
		case err == io.EOF:
			return nil
		case err == io.ErrUnexpectedEOF:
			return fmt.Errorf("utmp: %d bytes at %d are no whole record: %w", n, at, ErrFormat)
		case err != nil:
			return err
		}
		row := parseUtmp(record, l)
		row.Offset = at
		if !take(row) {
			return errStop
		}
	}
}

// lastlogRow is the last login of one user.
type lastlogRow struct {
	Uid       int64
	Timestamp time.Time
	Terminal  string
	Host      string
	OSPath    vql.Path
}

const (
	lastlogSize = 292
	maxUID      = 1<<32 - 1
)

func lastlogPlugin() vql.Plugin {
	return vql.NewPlugin("parse_lastlog", func(ctx context.Context, s *vql.Scope, a filesArgs, emit func(*lastlogRow) bool) error {
		return eachFile(ctx, s, a.Accessor, a.Filename, func(p vql.Path, f vql.File) error {
			return readLastlog(ctx, f, func(row *lastlogRow) bool {
				row.OSPath = p
				return emit(row)
			})
		})
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads the last login of each user from lastlog."))
}

// readLastlog gives the records that are not empty. The file has a place for
// every user id and is sparse: its holes are passed over where the file tells
// them.
func readLastlog(ctx context.Context, f vql.File, take func(*lastlogRow) bool) error {
	spans := [][2]int64{{0, (maxUID + 1) * lastlogSize}}
	if r, ok := f.(vql.Ranger); ok {
		ranges, err := r.Ranges()
		if err != nil {
			return err
		}
		if ranges != nil {
			spans = spans[:0]
			for _, r := range ranges {
				if !r.Sparse {
					spans = append(spans, [2]int64{r.Offset, r.Offset + r.Length})
				}
			}
		}
	}
	buf := make([]byte, 256*lastlogSize)
	next := int64(0) // first record that was not yet read
	for _, span := range spans {
		for uid := max(next, span[0]/lastlogSize); uid <= maxUID && uid*lastlogSize < span[1]; {
			if err := ctx.Err(); err != nil {
				return err
			}
			want := min(int64(len(buf)), (span[1]-uid*lastlogSize+lastlogSize-1)/lastlogSize*lastlogSize)
			n, err := f.ReadAt(buf[:want], uid*lastlogSize)
			if err != nil && err != io.EOF {
				return err
			}
			whole := int64(n / lastlogSize)
			for i := range whole {
				row := parseLastlog(buf[i*lastlogSize:])
				if row == nil {
					continue
				}
				if row.Uid = uid + i; !take(row) {
					return errStop
				}
			}
			uid += whole
			next = uid
			if err == io.EOF || whole == 0 {
				if rest := n % lastlogSize; rest != 0 {
					return fmt.Errorf("lastlog: %d bytes at its end are no whole record: %w", rest, ErrFormat)
				}
				break
			}
		}
	}
	return nil
}

// parseLastlog reads one record, nil if it is empty.
func parseLastlog(b []byte) *lastlogRow {
	seconds := binary.LittleEndian.Uint32(b)
	row := &lastlogRow{Terminal: cString(b[4:36]), Host: cString(b[36:292])}
	if seconds == 0 && row.Terminal == "" && row.Host == "" {
		return nil
	}
	if seconds != 0 {
		row.Timestamp = time.Unix(int64(seconds), 0).UTC()
	}
	return row
}
