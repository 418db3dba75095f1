package spool

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"satchel/internal/frame"
)

func FuzzHeader(f *testing.F) {
	for _, b := range fileSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := ParseHeader(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		if again, err := h.Append(nil); err != nil || !bytes.Equal(again, b[:n]) {
			t.Fatalf("encodes as %x, %v", again, err)
		}
	})
}

// fileSeeds are spool files: whole, torn, spoiled, of a newer version, of nothing but a header.
func fileSeeds(t testing.TB) [][]byte {
	s := smallFile(t)
	flip := func(at int64) []byte {
		b := bytes.Clone(s.bytes)
		b[at] ^= 1
		return b
	}
	headless, err := frame.Append(nil, frame.Frame{Kind: 1, Seq: 9, Mark: 3, Body: s.bytes})
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{
		{}, []byte(headerMagic), s.bytes, s.bytes[:s.body], s.bytes[:s.body-1], s.bytes[:len(s.bytes)-3], s.bytes[s.body:],
		flip(3), flip(s.offs[1] + 9), flip(s.offs[4] - 40), reversioned(t, s.bytes, 2), headless, headless[40:],
	}
}

// FuzzOpenFile takes any bytes for a spool file: what is read of it stays readable after the log went on in it.
func FuzzOpenFile(f *testing.F) {
	for _, b := range fileSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newDisk(t)
		write(t, m, file, b)
		s := ReadFile(bytes.NewReader(b), int64(len(b)))
		var want []record
		for s.Next() {
			again, err := frame.Append(nil, s.Frame())
			if err != nil || !bytes.HasPrefix(b[s.Offset():], again) {
				t.Fatalf("frame at %d encodes as %x, %v", s.Offset(), again, err)
			}
			want = append(want, recordOf(s.Frame()))
		}
		l, err := OpenFile(file, options(m))
		if errors.Is(err, ErrVersion) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if l.LastSeq() >= frame.MaxSeq-2 {
			mustClose(t, l)
			return
		}
		want = append(want, addMany(t, l, 2, 30)...)
		same(t, "stored", want, stored(t, l, 0).records)
		mustClose(t, l)
		same(t, "read", want, scanned(t, reader(read(t, m, file))))
	})
}

func reader(b []byte) *Scanner { return ReadFile(bytes.NewReader(b), int64(len(b))) }

// FuzzOpenDir takes any bytes for two segments and an ack file: a log opens on them, goes on, and reads its records.
func FuzzOpenDir(f *testing.F) {
	snap, names, _ := smallDir(f)
	ack, err := ackState{through: 3, last: 9, at: epoch, kept: []keptSegment{{1, epoch}}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(snap[names[0]], snap[names[1]], ack)
	f.Add(snap[names[1]], snap[names[0]], ack)
	f.Add(snap[names[0]], snap[names[0]], []byte{})
	f.Add([]byte{}, []byte{}, ack[:20])
	f.Add(snap[names[1]][:99], snap[names[2]][:50], ack)
	f.Add(snap[names[1]][100:], reversioned(f, snap[names[2]], 9), ack)
	f.Fuzz(func(t *testing.T, one, two, ack []byte) {
		m := newDisk(t)
		write(t, m, filepath.Join(dir, segmentName(1)), one)
		write(t, m, filepath.Join(dir, segmentName(2)), two)
		write(t, m, filepath.Join(dir, ackName), ack)
		l, err := OpenDir(dir, options(m))
		if errors.Is(err, ErrVersion) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, l)
		if l.LastSeq() >= frame.MaxSeq-2 {
			return
		}
		first := l.LastSeq() + 1
		more := addMany(t, l, 2, 30)
		same(t, "the new ones", more, stored(t, l, first).records)
		c := stored(t, l, 0)
		if c.err != nil {
			t.Fatal(c.err)
		}
		last := uint64(0)
		for _, r := range c.records {
			if r.Seq <= last {
				t.Fatalf("%d behind %d", r.Seq, last)
			}
			last = r.Seq
		}
		if err := l.Ack(l.Durable()); err != nil {
			t.Fatal(err)
		}
	})
}
