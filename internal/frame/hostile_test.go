package frame

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// TestScanHostile gives the scanner bytes made to waste its time: a header wherever one fits, each with the longest body
// that there is room for and a wrong checksum. The work must stay in proportion to the size.
func TestScanHostile(t *testing.T) {
	t.Parallel()
	b := make([]byte, 8<<20)
	for i := 0; i+HeaderSize <= len(b); i += HeaderSize {
		copy(b[i:], Magic)
		b[i+4] = 1
		binary.LittleEndian.PutUint64(b[i+8:], uint64(i+1))
		binary.LittleEndian.PutUint32(b[i+16:], uint32(len(b)-i-HeaderSize))
	}
	start := time.Now()
	s := NewScanner(bytes.NewReader(b), 0, int64(len(b)))
	for s.Next() {
		t.Fatal("there is no frame")
	}
	if d := s.Damage(); len(d) != 1 || d[0].Reason != ReasonGaveUp || d[0].Length != int64(len(b)) {
		t.Errorf("damage %+v", d)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestScanDamageIsBounded: a log of nothing but small damage does not fill the memory with reports of it.
func TestScanDamageIsBounded(t *testing.T) {
	t.Parallel()
	var b []byte
	for i := range 3 * maxDamage {
		b = append(append(b, 'x'), encoded(t, Frame{Kind: 1, Seq: uint64(i + 1)})...)
	}
	s := NewScanner(bytes.NewReader(b), 0, int64(len(b)))
	n := 0
	for s.Next() {
		n++
	}
	places, size := s.Damaged()
	if n != 3*maxDamage || places != n || size != int64(n) || len(s.Damage()) != maxDamage {
		t.Errorf("%d frames, %d damaged places of %d bytes, %d told", n, places, size, len(s.Damage()))
	}
}

func FuzzScanner(f *testing.F) {
	for _, b := range corpus(f) {
		f.Add(b, uint16(0), uint64(0))
		f.Add(b, uint16(5), uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, mark uint16, next uint64) {
		for _, strict := range []bool{false, true} {
			s := NewScanner(bytes.NewReader(b), 0, int64(len(b)))
			if strict {
				s.Expect(Expect{mark, next})
			}
			last := uint64(0)
			for _, g := range scan(t, s, 0, int64(len(b))) {
				again, err := Append(nil, g.F)
				if err != nil || !bytes.HasPrefix(b[g.Off:], again) {
					t.Fatalf("frame at %d encodes as %x, %v", g.Off, again, err)
				}
				if strict && (g.F.Seq < last || g.F.Seq == last && last > 0 && !g.F.Kind.Control()) {
					t.Fatalf("frame %d behind %d", g.F.Seq, last)
				}
				last = g.F.Seq
			}
			if s.Err() != nil {
				t.Fatal(s.Err())
			}
		}
	})
}
