package spool

import (
	"path/filepath"
	"testing"
)

func TestSmoke(t *testing.T) {
	p := filepath.Join(t.TempDir(), "x.spool")
	for run := range 3 {
		l, err := OpenFile(p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			seq, off, err := l.AppendAt(t.Context(), 1, []byte{byte(run), byte(i)})
			if err != nil || seq != uint64(run*10+i+1) {
				t.Fatal(seq, err)
			}
			f, err := l.ReadAt(off)
			if err != nil || f.Seq != seq {
				t.Fatal(f, err)
			}
			if i%3 == 0 {
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				if f, err = l.ReadAt(off); err != nil || f.Seq != seq {
					t.Fatal(f, err)
				}
			}
		}
		s, err := l.Scan()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for s.Next() {
			n++
		}
		if n != 10*(run+1) || s.Err() != nil || len(s.Damage()) > 0 || s.Resumes() != run {
			t.Fatal(n, s.Err(), s.Damage(), s.Resumes())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
