package parsers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/vql"
)

func TestParseCSV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, args string
		want           []string
	}{
		{"header", "A,B\n1,x\n2\n3,y,z\n", "", []string{`{"A":1,"B":"x"}`, `{"A":2,"B":null}`, `{"A":3,"B":"y","Column2":"z"}`}},
		{"mark and doubles", "\ufeffA,A,\n1,2,3\n", "", []string{`{"A":1,"Column1":2,"Column2":3}`}},
		{"auto", "1,x\n", "auto_headers=TRUE", []string{`{"Column0":1,"Column1":"x"}`}},
		{"columns", "1,x\n", "columns=['P']", []string{`{"P":1,"Column1":"x"}`}},
		{"separator", "A\tB\n# no\n1\t2\n", "separator='\t', comment='#'", []string{`{"A":1,"B":2}`}},
		{"quotes", "A,B\n\"a \"\"q\"\", b\nc\",it's \"so\"\n", "", []string{`{"A":"a \"q\", b\nc","B":"it's \"so\""}`}},
		{"types", "A\ntrue\n1.5\n-3\n007\n1e3\n18446744073709551615\n{\"a\":[1]}\nbase64:AAE=\n 12\n plain\n{bad\n", "",
			[]string{`{"A":true}`, `{"A":1.5}`, `{"A":-3}`, `{"A":"007"}`, `{"A":"1e3"}`, `{"A":18446744073709551615}`, `{"A":{"a":[1]}}`, `{"A":"\u0000\u0001"}`, `{"A":"12"}`, `{"A":" plain"}`, `{"A":"{bad"}`}},
		{"empty", "", "", nil},
	} {
		got := over(t, c.in, "SELECT * FROM parse_csv(filename=T, accessor='data'"+more(c.args)+")")
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
	for _, args := range []string{"separator='ab'", "separator='\"'", "comment='##'"} {
		if _, err := (&query{}).run(t, "SELECT * FROM parse_csv(filename='a', accessor='data', "+args+")"); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

func TestParseJSONL(t *testing.T) {
	t.Parallel()
	q := &query{env: []vql.Var{{Name: "T", Value: `{"b":1,"a":{"z":[true,null]}}` + "\n\n[1]\n{bad\n" + `{"b":18446744073709551615}`}}}
	got := q.must(t, "SELECT * FROM parse_jsonl(filename=T, accessor='data')")
	if d := cmp.Diff([]string{`{"b":1,"a":{"z":[true,null]}}`, `{"_value":[1]}`, `{"b":18446744073709551615}`}, got); d != "" {
		t.Error(d)
	}
	if len(q.logs) != 1 || !strings.Contains(q.logs[0], "line 4") {
		t.Errorf("logs %q", q.logs)
	}
}

func FuzzCells(f *testing.F) {
	for _, s := range []string{"1", " 1", "-", "{}", "base64:", "true", "1.50", "  x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		if text, ok := cellValue(" " + cell).(string); ok && text != cell && text != " "+cell {
			t.Fatalf("text %q gives %q", cell, text)
		} else if !ok {
			t.Fatalf("text %q with a blank in front is not text", cell)
		}
	})
}
