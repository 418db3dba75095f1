package command

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestRowWriters(t *testing.T) {
	t.Parallel()
	rows := []string{
		`{"Name":"a,b","N":18446744073709551615,"Null":null}`,
		`{"Name":"é\u001b[2J\n世界","N":-1.5,"Null":{"k": [1, "x"]}}`,
		`{"N":true,"Late":1}`,
	}
	tests := []struct{ format, want, none, stderr string }{
		{"jsonl", strings.Join(rows, "\n") + "\n", "", ""},
		{"json", "[\n " + strings.Join(rows, ",\n ") + "\n]\n", "[]\n", ""},
		{
			"csv", "Name,N,Null\n\"a,b\",18446744073709551615,\n\"é\x1b[2J\n世界\",-1.5,\"{\"\"k\"\":[1,\"\"x\"\"]}\"\n,true,\n", "",
			"demo: warning: columns that the first row does not have are left out of the CSV: Late (use --format jsonl for all)\n",
		},
		{"table", "Name           N                     Null\na,b            18446744073709551615\n" +
			"é\\x1b[2J 世界  -1.5                  {\"k\":[1,\"x\"]}\n               true\n", "", ""},
	}
	for _, tt := range tests {
		var out, errOut bytes.Buffer
		w := newRowWriter(&out, tt.format, &Env{}, &Console{w: &errOut, program: "demo"})
		for _, r := range rows {
			if err := w.WriteRow([]byte(r)); err != nil {
				t.Fatalf("%s: %v", tt.format, err)
			}
		}
		if err := w.Close(); err != nil || out.String() != tt.want || errOut.String() != tt.stderr {
			t.Errorf("%s: %v, got\n%swant\n%sstderr %q", tt.format, err, out.String(), tt.want, errOut.String())
		}
		out.Reset()
		if err := newRowWriter(&out, tt.format, &Env{}, &Console{w: &errOut}).Close(); err != nil || out.String() != tt.none {
			t.Errorf("%s without rows: %v, got %q, want %q", tt.format, err, out.String(), tt.none)
		}
	}
}

func TestTableStreams(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := newRowWriter(&out, FormatTable, &Env{}, nil)
	for i := range 3 * tableRows {
		before := out.Len()
		if err := w.WriteRow(fmt.Appendf(nil, `{"I":%d}`, i)); err != nil {
			t.Fatal(err)
		}
		if i >= tableRows && out.Len() == before {
			t.Fatalf("row %d was held back", i)
		}
	}
	if err := w.Close(); err != nil || strings.Count(out.String(), "\n") != 3*tableRows+1 {
		t.Errorf("%v, %d lines", err, strings.Count(out.String(), "\n"))
	}
}

func TestTableOnATerminalIsCut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := newRowWriter(&out, FormatTable, &Env{StdoutTerminal: true, Width: 10}, nil)
	if err := w.WriteRow([]byte(`{"A":"0123456789","B":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil || out.String() != "A\n0123456789\n" {
		t.Errorf("%v, got %q", err, out.String())
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &Listing{newRowWriter(&out, FormatJSONL, &Env{}, nil)}
	if err := l.Add(map[string]string{"a": "<&>\u2028"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Add(func() {}); err == nil {
		t.Error("a function was listed")
	}
	if err := l.Close(); err != nil || out.String() != "{\"a\":\"<&>\\u2028\"}\n" {
		t.Errorf("%v, got %q", err, out.String())
	}
}

func TestRowsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "[]", "1", `{"a":`, `{"a":1,}`, `{"a" 1}`} {
		for _, format := range []string{FormatCSV, FormatTable} {
			if err := newRowWriter(&bytes.Buffer{}, format, &Env{}, nil).WriteRow([]byte(bad)); err == nil {
				t.Errorf("%s took %q", format, bad)
			}
		}
	}
}
