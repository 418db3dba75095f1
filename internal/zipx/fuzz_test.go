package zipx

import (
	"bytes"
	"hash/crc32"
	"io"
	"testing"
)

// fuzzLimits keep an execution short.
func fuzzLimits() Limits { return Limits{MaxMembers: 1000, MaxSize: 1 << 20} }

// addSeeds adds real archives and damaged ones.
func addSeeds(f *testing.F) {
	f.Helper()
	own, _ := build(f, withZstd()...)
	small, _ := build(f, smallSample()...)
	for _, b := range foreign(f) {
		f.Add(b)
	}
	for _, b := range [][]byte{own, small, goArchive(f, "comment"), own[:len(own)/2], small[:300], small[10:], nil} {
		f.Add(b)
	}
}

// FuzzOpen: any bytes give an error or members whose content proves itself.
func FuzzOpen(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Open(bytes.NewReader(b), int64(len(b)), fuzzLimits())
		if err != nil {
			return
		}
		if a.EndOffset() < a.DirOffset() || a.EndOffset()+a.EndSize() > int64(len(b)) || a.Base() < 0 {
			t.Fatalf("directory at %d, end at %d, %d long, of %d", a.DirOffset(), a.EndOffset(), a.EndSize(), len(b))
		}
		for m, err := range a.Members() {
			if err != nil {
				break
			}
			fuzzMember(t, a, &m, b)
		}
	})
}

// fuzzMember reads one member in all ways.
func fuzzMember(t *testing.T, a *Archive, m *Member, b []byte) {
	if again := AppendCentral(nil, m); centralSize(again) != len(again) {
		t.Fatalf("record of %+v", m)
	}
	_, _ = SplitMember(m.Name)
	if from, to, err := a.RecordSpan(m); err == nil && (from < 0 || to < from || to > int64(len(b))) {
		t.Fatalf("%+v spans %d to %d", m, from, to)
	}
	if _, err := a.Lookup(m.Name); err != nil {
		// The directory may be damaged further on.
		return
	}
	r, err := a.Open(m)
	if err != nil {
		return
	}
	h := crc32.NewIEEE()
	n, err := io.Copy(h, r)
	if err == nil && (uint64(n) != m.Size || h.Sum32() != m.CRC32) {
		t.Fatalf("%+v: %d bytes with CRC %08x", m, n, h.Sum32())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzSalvage: any bytes give records in order, whose content is as told.
func FuzzSalvage(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewSalvager(bytes.NewReader(b), 0, int64(len(b)), fuzzLimits())
		at := int64(0)
		for found, err := range s.Members() {
			if err != nil {
				break
			}
			if found.Start != at+found.Skipped || found.Data < found.Start || found.End < found.Data || found.End > int64(len(b)) || found.Skipped < 0 {
				t.Fatalf("after %d: %+v", at, found)
			}
			at = found.End
			fuzzFound(t, s, &found)
		}
		if s.Trailing() < 0 || s.Trailing() > int64(len(b))-at || s.Directory() > int64(len(b)) {
			t.Fatalf("%d bytes left after %d of %d, directory at %d", s.Trailing(), at, len(b), s.Directory())
		}
	})
}

// fuzzFound reads one record.
func fuzzFound(t *testing.T, s *Salvager, f *Found) {
	compressed, plain, err := s.LastBlock(f)
	if err == nil && (plain > f.Prefix || compressed > uint64(f.End-f.Data)) {
		t.Fatalf("%+v: blocks of %d to %d bytes", f, compressed, plain)
	}
	r, err := s.Open(f)
	if err != nil {
		if f.Complete {
			t.Fatalf("%+v: %v", f, err)
		}
		return
	}
	h := crc32.NewIEEE()
	n, err := io.Copy(h, r)
	if err != nil || uint64(n) != f.Prefix || h.Sum32() != f.Member.CRC32 || f.Member.Size != f.Prefix {
		t.Fatalf("%+v: %d bytes, CRC %08x, %v", f, n, h.Sum32(), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzEscape: every component comes back, and every stored name is decoded as
// Velociraptor does it.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", ".", "..", "C:", `\\.\C:`, "bad\xff", "\ufffd", "100%25", "%", "a/b", "\x00", "é", " x "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := EscapeComponent(s)
		if back, _ := UnescapeComponent(x); back != s {
			t.Fatalf("%q becomes %q becomes %q", s, x, back)
		}
		if back := velociraptorDecode(x); back != s {
			t.Fatalf("Velociraptor reads %q as %q", x, back)
		}
		if got, _ := UnescapeComponent(s); got != velociraptorDecode(s) {
			t.Fatalf("%q is %q for Velociraptor, %q for us", s, velociraptorDecode(s), got)
		}
		if name, stored, _ := MemberName([]string{"uploads", s}); EscapePath(stored) != name {
			t.Fatalf("%q is not %q", stored, name)
		}
		if !Collide(s, s) {
			t.Fatalf("%q does not collide with itself", s)
		}
	})
}
