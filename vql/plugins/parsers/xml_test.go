package parsers

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"satchel/vql"
)

func TestParseXML(t *testing.T) {
	t.Parallel()
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(`<?xml version="1.0" encoding="UTF-16"?><Task version="1.2"><Exec><Command>é.exe</Command></Exec></Task>`)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for in, want := range map[string]string{
		`<a><b>1</b><c/><b> 2 </b></a>`:                                 `{"a":{"b":["1","2"],"c":""}}`,
		`<?xml version="1.0"?><!-- c --><n:a x="1" n:y="2">t<b/></n:a>`: `{"a":{"Attrx":"1","Attry":"2","b":"","Text":"t"}}`,
		`<a><![CDATA[<x> & ]]></a>`:                                     `{"a":"<x> &"}`,
		"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>":    `{"a":"é"}`,
		"\xef\xbb\xbf<a>é</a>":                                          `{"a":"é"}`,
		string(wide):                                                    `{"Task":{"Attrversion":"1.2","Exec":{"Command":"é.exe"}}}`,
		`<a>&unknown;</a>`:                                              `{"a":"&unknown;"}`,
	} {
		d, err := parseXML(strings.NewReader(in))
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := string(vql.AppendValue(nil, d)); got != want {
			t.Errorf("%q gives %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "text", "<a>", "<a><b></a>x<", "<?xml version=\"1.0\" encoding=\"klingon\"?><a/>", strings.Repeat("<a>", 100)} {
		if d, err := parseXML(strings.NewReader(in)); err == nil {
			t.Errorf("%.50q gives %s", in, vql.AppendValue(nil, d))
		}
	}
	if _, err := parseXML(strings.NewReader(strings.Repeat("<a>", 100))); !errors.Is(err, ErrLimit) {
		t.Errorf("deep: %v", err)
	}
	rows := over(t, `<r><i k="v"/></r>`, "SELECT parse_xml(file=T, accessor='data').r.i.Attrk AS V FROM scope()")
	if len(rows) != 1 || rows[0] != `{"V":"v"}` {
		t.Errorf("rows %q", rows)
	}
}

// TestManySiblings holds the cost of a list of elements linear.
func TestManySiblings(t *testing.T) {
	t.Parallel()
	d, err := parseXML(strings.NewReader("<r>" + strings.Repeat("<i><x>1</x></i>", 50_000) + "</r>"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(vql.AppendValue(nil, d), []byte(`{"x":"1"}`)); n != 50_000 {
		t.Errorf("%d elements", n)
	}
}

func FuzzXML(f *testing.F) {
	f.Add([]byte(`<a b="c">d<e/></a>`))
	f.Add([]byte("\xff\xfe<\x00a\x00/\x00>\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if d, err := parseXML(bytes.NewReader(in)); err == nil && d.Len() == 0 {
			t.Fatal("an empty dict")
		}
	})
}
