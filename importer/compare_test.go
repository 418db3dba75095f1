package importer_test

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"satchel/importer"
)

// drawn is a random collection: lines in order, each a row or an upload.
type drawn struct{ lines []string }

func (d drawn) build(n int, torn bool, end bool) []byte {
	b := build(info(hostA, flow1))
	for i, l := range d.lines[:n] {
		kind, text, _ := strings.Cut(l, ":")
		switch {
		case kind == "u":
			whole := !(torn && i == n-1)
			data := text
			if !whole {
				data = text[:len(text)/2]
			}
			b.upload(fmt.Sprintf("file%d", i), data, whole)
		default:
			b.row("S"+kind, text)
		}
	}
	if end {
		b.end()
	}
	return b.bytes()
}

// TestPrefixesExtendEachOther draws a collection and two moments at which it was
// cut, the last file half written: the later one extends the earlier one, and
// the earlier one adds nothing after it. A change of one row keeps both.
func TestPrefixesExtendEachOther(t *testing.T) {
	t.Parallel()
	line := rapid.Custom(func(t *rapid.T) string {
		kind := rapid.SampledFrom([]string{"1", "2", "u"}).Draw(t, "kind")
		return kind + ":" + fmt.Sprintf("%x", rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "data"))
	})
	bench := newBench(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		d := drawn{rapid.SliceOfN(line, 1, 12).Draw(rt, "lines")}
		early := rapid.IntRange(0, len(d.lines)-1).Draw(rt, "early")
		late := rapid.IntRange(early+1, len(d.lines)).Draw(rt, "late")
		whole := late == len(d.lines) && rapid.Bool().Draw(rt, "whole")
		b := *bench
		store := freshStore(t, b.dir, run)
		b.store = store
		first := b.file("early.zip", d.build(early, false, false))
		second := b.file("late.zip", d.build(late, !whole, whole))
		if got := append(b.run(first, second), b.run(first)...); got[0].Status != importer.Partial || got[1].Status != importer.Extended || got[2].Status != importer.Already {
			rt.Fatalf("cut at %d and %d of %q: %s, %s, %s", early, late, d.lines, got[0].Status, got[1].Status, got[2].Status)
		}
		other := drawn{append([]string(nil), d.lines...)}
		at := rapid.IntRange(0, late-1).Draw(rt, "changed")
		other.lines[at] += "00"
		if at == late-1 && !whole && strings.HasPrefix(other.lines[at], "u:") {
			return // the change is behind the cut
		}
		third := b.file("other.zip", other.build(late, !whole, whole))
		if got := append(b.run(third), b.run(third)...); got[0].Status == importer.Extended || got[0].Status == importer.Already || got[0].FlowID == flow1 || got[1].Status != importer.Already {
			rt.Fatalf("line %d of %q changed: %+v", at, d.lines, got)
		}
		if err := store.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestForeignArchivesAreNamed refuses collections of other tools in words.
func TestForeignArchivesAreNamed(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"Velociraptor hunt export": {"hunt_info.json", "results/All X.json"},
		"UAC":                      {"uac.log", "[root]/etc/passwd"},
		"acquire":                  {"fs/$rootfs$/etc/passwd"},
		"KAPE":                     {"C/Windows/x", "2026-01-01T00_00_00_0000000_Triage_copylog.csv"},
		"DFIR-ORC":                 {"GetThis.csv"},
		"CyLR":                     {"C/Windows/x", "CyLR.log"},
		"GRR":                      {"flow_x/MANIFEST", "flow_x/a"},
		"artifactcollector":        {"artifacts/X/file--1.json", "files/host/x"},
		"not a collection":         {"word/document.xml"},
	}
	b := newBench(t)
	b.o.Format = notOurs{}
	for want, members := range cases {
		name := filepath.Join(b.dir, want+".zip")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w := zip.NewWriter(f)
		for _, m := range members {
			if _, err := w.Create(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		r := b.one(name, importer.Refused)
		if !strings.Contains(r.Problems[0].Problem, want) {
			t.Errorf("%v: %q does not name %s", members, r.Problems[0].Problem, want)
		}
	}
}

// notOurs opens nothing.
type notOurs struct{ fakeFormat }

func (notOurs) Open(_, _ *io.SectionReader) (importer.Evidence, error) {
	return fakeFormat{}.Open(io.NewSectionReader(strings.NewReader("?"), 0, 1), nil)
}
