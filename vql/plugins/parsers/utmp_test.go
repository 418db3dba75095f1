package parsers

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/internal/flow"
	"satchel/vql"
)

// record writes a utmp record in a layout.
func record(l utmpLayout, kind uint16, pid uint32, line, user, host string, seconds int64, ip []byte) []byte {
	b := make([]byte, l.size)
	o := l.order()
	o.PutUint16(b, kind)
	o.PutUint32(b[4:], pid)
	copy(b[8:40], line)
	copy(b[40:44], "ts/0")
	copy(b[44:76], user)
	copy(b[76:332], host)
	if l.wide {
		o.PutUint64(b[344:], uint64(seconds))
		o.PutUint64(b[352:], 250_000)
		copy(b[360:], ip)
	} else {
		o.PutUint32(b[340:], uint32(seconds))
		o.PutUint32(b[344:], 250_000)
		copy(b[348:], ip)
	}
	return b
}

func TestReadUtmp(t *testing.T) {
	t.Parallel()
	for _, l := range layouts() {
		var in []byte
		for range 3 {
			in = append(in, record(l, 7, 42, "pts/0", "ann", "example.net", 1700000000, []byte{192, 0, 2, 1})...)
			in = append(in, record(l, 2, 0, "~", "reboot", "6.1", 4000000000, nil)...)
			in = append(in, record(l, 6, 43, "tty1", strings.Repeat("u", 32), strings.Repeat("h", 256), 1, bytes.Repeat([]byte{0xfe}, 16))...)
			in = append(in, record(l, 0, 0, "", "", "", 0, nil)...)
		}
		var got []*utmpRow
		if err := readUtmp(bytes.NewReader(in), func(r *utmpRow) bool { got = append(got, r); return true }); err != nil {
			t.Errorf("%+v: %v", l, err)
			continue
		}
		if len(got) != 12 {
			t.Errorf("%+v: %d records", l, len(got))
			continue
		}
		want := &utmpRow{Type: 7, TypeName: "USER_PROCESS", Pid: 42, Terminal: "pts/0", Id: "ts/0", User: "ann", Host: "example.net",
			Timestamp: time.Unix(1700000000, 250_000_000).UTC(), Address: "192.0.2.1", Offset: int64(4 * l.size)}
		if d := cmp.Diff(want, got[4], cmp.AllowUnexported(vql.Path{})); d != "" {
			t.Errorf("%+v: %s", l, d)
		}
		if got[1].Timestamp.Unix() != 4000000000 || got[2].User != strings.Repeat("u", 32) || len(got[2].Host) != 256 || !got[3].Timestamp.IsZero() ||
			got[2].Address != "fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe" {
			t.Errorf("%+v: %+v %+v", l, got[1], got[2])
		}
		err := readUtmp(bytes.NewReader(in[:len(in)-10]), func(*utmpRow) bool { return true })
		if !errors.Is(err, ErrFormat) {
			t.Errorf("torn end: %v", err)
		}
	}
	if err := readUtmp(strings.NewReader(strings.Repeat("text ", 1000)), func(*utmpRow) bool { return true }); !errors.Is(err, ErrFormat) {
		t.Errorf("text: %v", err)
	}
	if err := readUtmp(strings.NewReader(""), nil); err != nil {
		t.Errorf("empty: %v", err)
	}
}

func TestParseUtmpPlugin(t *testing.T) {
	t.Parallel()
	l := layouts()[0]
	in := append(record(l, 7, 42, "pts/0", "ann", "", 1700000000, nil), record(l, 8, 42, "pts/0", "", "", 1700000100, nil)...)
	q := &query{env: []vql.Var{{Name: "T", Value: in}}}
	got := q.must(t, "SELECT TypeName, User, Terminal, Timestamp FROM parse_utmp(filename='T', accessor='scope')")
	want := []string{`{"TypeName":"USER_PROCESS","User":"ann","Terminal":"pts/0","Timestamp":"2023-11-14T22:13:20.25Z"}`, `{"TypeName":"DEAD_PROCESS","User":"","Terminal":"pts/0","Timestamp":"2023-11-14T22:15:00.25Z"}`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// sparseLog is a lastlog with records at some user ids and holes elsewhere.
type sparseLog struct {
	data   map[int64][]byte
	size   int64
	ranges []flow.Range
	reads  int
}

func (s *sparseLog) Read([]byte) (int, error)      { return 0, errors.New("read from the start") }
func (s *sparseLog) Close() error                  { return nil }
func (s *sparseLog) Stat() (vql.Info, error)       { return vql.Info{Size: s.size}, nil }
func (s *sparseLog) Ranges() ([]flow.Range, error) { return s.ranges, nil }
func (s *sparseLog) ReadAt(p []byte, at int64) (int, error) {
	s.reads++
	n := int(min(int64(len(p)), max(0, s.size-at)))
	clear(p[:n])
	for uid, b := range s.data {
		for i, c := range b {
			if off := uid*lastlogSize + int64(i) - at; off >= 0 && off < int64(n) {
				p[off] = c
			}
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func lastlog(seconds uint32, line, host string) []byte {
	b := make([]byte, lastlogSize)
	binary.LittleEndian.PutUint32(b, seconds)
	copy(b[4:], line)
	copy(b[36:], host)
	return b
}

func TestReadLastlog(t *testing.T) {
	t.Parallel()
	const high = 4_000_000_000
	s := &sparseLog{size: (high + 1) * lastlogSize, data: map[int64][]byte{0: lastlog(1700000000, "tty1", ""), 14: lastlog(5, "pts/0", "h"), high: lastlog(4_000_000_000, "pts/1", "far")},
		ranges: []flow.Range{{Offset: 0, Length: 4096}, {Offset: 4096, Length: high*lastlogSize - 4096 - 100, Sparse: true}, {Offset: high*lastlogSize - 100, Length: lastlogSize + 100}}}
	read := func(f vql.File) (rows []lastlogRow, err error) {
		err = readLastlog(context.Background(), f, func(r *lastlogRow) bool { rows = append(rows, *r); return true })
		return rows, err
	}
	got, err := read(s)
	if err != nil || len(got) != 3 || got[0].Uid != 0 || got[1].Uid != 14 || got[1].Host != "h" || got[2].Uid != high || got[2].Timestamp.Unix() != 4_000_000_000 {
		t.Errorf("%+v, %v", got, err)
	}
	if s.reads > 10 {
		t.Errorf("%d reads", s.reads)
	}
	small := &sparseLog{size: 2*lastlogSize + 5, data: map[int64][]byte{1: lastlog(9, "x", "")}}
	if got, err = read(small); !errors.Is(err, ErrFormat) || len(got) != 1 || got[0].Uid != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzUtmp(f *testing.F) {
	for _, l := range layouts() {
		f.Add(record(l, 7, 1, "a", "b", "c", 1700000000, nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		_ = readUtmp(bytes.NewReader(in), func(r *utmpRow) bool {
			n++
			if r.Timestamp.Year() > 9999 {
				t.Fatalf("time %v", r.Timestamp)
			}
			return true
		})
		if n*384 > len(in) {
			t.Fatalf("%d records from %d bytes", n, len(in))
		}
		rows := 0
		if err := readLastlog(context.Background(), &plainFile{bytes.NewReader(in)}, func(*lastlogRow) bool { rows++; return true }); rows*lastlogSize > len(in) {
			t.Fatalf("%d rows, %v", rows, err)
		}
	})
}

type plainFile struct{ *bytes.Reader }

func (plainFile) Close() error            { return nil }
func (plainFile) Stat() (vql.Info, error) { return vql.Info{}, nil }
