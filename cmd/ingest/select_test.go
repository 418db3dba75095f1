package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// memory is rows by source.
type memory map[string]string

func (m memory) Rows(_ context.Context, source string) (io.ReadCloser, error) {
	text, ok := m[source]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func collect(t *testing.T, sel selection, m memory) ([]string, damage) {
	t.Helper()
	var out []string
	d, err := sel.each(t.Context(), m, func(_ string, row []byte) error {
		if !json.Valid(row) {
			t.Errorf("not JSON: %s", row)
		}
		out = append(out, string(row))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, d
}

func TestSelection(t *testing.T) {
	t.Parallel()
	m := memory{"A": "{\"n\":1}\n{\"n\":2}\n", "B": "{\"n\":3}\nbroken\n[1]\n{\"n\":4}\n", "C": "{ }\n"}
	cases := []struct {
		sel     selection
		want    []string
		damaged int64
	}{
		{selection{sources: []string{"A"}, limit: -1}, []string{`{"n":1}`, `{"n":2}`}, 0},
		{selection{sources: []string{"A", "B"}, offset: 1, limit: 2}, []string{`{"n":2}`, `{"n":3}`}, 0},
		{selection{sources: []string{"B"}, limit: -1}, []string{`{"n":3}`, `{"n":4}`}, 2},
		{selection{sources: []string{"C", "A"}, named: true, limit: 2}, []string{`{"_Source":"C"}`, `{"n":1,"_Source":"A"}`}, 0},
		{selection{sources: []string{"A"}, limit: 0}, nil, 0},
		{selection{sources: []string{"A"}, offset: 10, limit: -1}, nil, 0},
	}
	for i, c := range cases {
		got, d := collect(t, c.sel, m)
		if diff := cmp.Diff(c.want, got); diff != "" || d.rows != c.damaged || len(d.fatal) != 0 {
			t.Errorf("case %d, damage %+v (-want +got):\n%s", i, d, diff)
		}
	}
	got, d := collect(t, selection{sources: []string{"gone", "A"}, limit: -1}, m)
	if len(got) != 2 || len(d.fatal) != 1 || !d.any() {
		t.Errorf("with a source that cannot be read: %v, %+v", got, d)
	}
	cause := errors.New("disk full")
	if _, err := (selection{sources: []string{"A"}, limit: -1}).each(t.Context(), m, func(string, []byte) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("error of the writer: %v", err)
	}
}

// TestNamedKeepsTheRowsOwnColumn has rows with a _Source of their own, also
// where the word is only a value or deeper.
func TestNamedKeepsTheRowsOwnColumn(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		`{"_Source":"x","a":1}`:        `{"__Source":"x","a":1,"_Source":"S"}`,
		`{"\u005fSource":"x"}`:         `{"__Source":"x","_Source":"S"}`,
		`{"a":"_Source"}`:              `{"a":"_Source","_Source":"S"}`,
		`{"a":{"_Source":1}}`:          `{"a":{"_Source":1},"_Source":"S"}`,
		`{"__Source":1, "b" : [ 2 ] }`: `{"__Source":1,"b":[ 2 ],"_Source":"S"}`,
		`{ }`:                          `{"_Source":"S"}`,
	}
	for in, want := range cases {
		if got := string(appendNamed(nil, []byte(in), "S")); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

// TestCSVIsLossless reads back what was written: every column of every row, and
// text as it is, formulas and line breaks too.
func TestCSVIsLossless(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	evil := []string{"=1+1", "@SUM(A1)", " leading", "a,b", "quote\"d", "line\nbreak", "cr\r\nlf", "é\u202e", "-5", "base64:x"}
	for i, s := range evil {
		row, err := json.Marshal(map[string]any{"always": s, fmt.Sprintf("only%d", i): i})
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(row, '\n'))
	}
	m := memory{"A": text.String()}
	sel := selection{sources: []string{"A"}, limit: -1}
	var columns columnSet
	if _, err := sel.each(t.Context(), m, columns.add); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := newCSVRows(&out, columns)
	if _, err := sel.each(t.Context(), m, func(_ string, row []byte) error { return w.WriteRow(row) }); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != len(evil)+1 || len(records[0]) != len(evil)+1 {
		t.Fatalf("%d records of %d columns", len(records), len(records[0]))
	}
	for i, s := range evil {
		want := strings.ReplaceAll(s, "\r\n", "\n") // encoding/csv reads it so
		if records[i+1][0] != want || records[i+1][i+1] != fmt.Sprint(i) {
			t.Errorf("row %d is %q", i, records[i+1])
		}
	}
}

func TestCSVRefusesEndlessColumns(t *testing.T) {
	t.Parallel()
	var s columnSet
	for i := range maxColumns {
		if err := s.add("", fmt.Appendf(nil, `{"c%d":1}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.add("", []byte(`{"one more":1}`)); err == nil {
		t.Error("no end of columns")
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	cases := []struct {
		pattern string
		yes, no []string
	}{
		{"*", []string{"/etc/hosts", "x", `C:\a\b`, "/"}, nil},
		{"hosts", []string{"/etc/hosts", "hosts"}, []string{"/etc/hosts.bak", "/hosts/x"}},
		{"/etc/*", []string{"/etc/hosts"}, []string{"/etc/ssh/sshd_config", "/etc"}},
		{"etc/*", []string{"/etc/hosts"}, []string{"/x/etc/hosts"}},
		{"/var/log/**", []string{"/var/log/a", "/var/log/a/b/c"}, []string{"/var/logs/a"}},
		{"**/*.log", []string{"/var/log/a.log", "/a.log", "a.log"}, []string{"/a.log/b"}},
		{"**", []string{"/anything/at\nall"}, nil},
		{"/a/**/z", []string{"/a/z", "/a/b/c/z"}, []string{"/az", "/a/bz"}},
		{"C:/Users/*/NTUSER.DAT", []string{`C:\Users\eve\NTUSER.DAT`, `c:\users\EVE\ntuser.dat`}, []string{`D:\Users\eve\NTUSER.DAT`}},
		{`C:\Windows\**`, []string{`C:\Windows\System32\x`}, []string{`C:\WindowsApps\x`}},
		{"/etc/[!h]*", []string{"/etc/passwd"}, []string{"/etc/hosts"}},
		{"?ash", []string{"/bin/bash", "/bin/dash"}, []string{"/bin/ash", "/bin/BASH"}},
		{"a.b+c(d)$", []string{"/a.b+c(d)$"}, []string{"/aXb+c(d)$"}},
		{"[a^]x", []string{"/ax", "/^x"}, []string{"/bx"}},
	}
	for _, c := range cases {
		match, err := compileGlob(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		for _, path := range c.yes {
			if !match(path) {
				t.Errorf("%s does not match %q", c.pattern, path)
			}
		}
		for _, path := range c.no {
			if match(path) {
				t.Errorf("%s matches %q", c.pattern, path)
			}
		}
	}
	for _, bad := range []string{"[", "a[b", "[]", strings.Repeat("x", 5000), "[z-a]"} {
		if _, err := compileGlob(bad); err == nil {
			t.Errorf("%.20s was taken", bad)
		}
	}
}
