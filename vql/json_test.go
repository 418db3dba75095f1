package vql_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"satchel/vql"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type named string

type textual struct{ n int }

func (t textual) String() string { return fmt.Sprint("text ", t.n) }

type inner struct {
	A int8
	B *string `vql:"b"`
}

type outer struct {
	inner
	Hidden string `vql:"-"`
	secret int
	When   time.Time
	Inner  inner
	List   []uint16
}

func TestAppendValue(t *testing.T) {
	t.Parallel()
	text := "p"
	var none *string
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("X", 3600))
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"nil", nil, "null"},
		{"bool", true, "true"},
		{"int", 5, "5"},
		{"least int64", int64(math.MinInt64), "-9223372036854775808"},
		{"greatest int64", int64(math.MaxInt64), "9223372036854775807"},
		{"greatest uint64", uint64(math.MaxUint64), "18446744073709551615"},
		{"beyond exact floats", int64(1<<53 + 1), "9007199254740993"},
		{"small ints", []any{int8(-1), int16(2), int32(3), uint8(4), uint16(5), uint32(6), uint(7)}, "[-1,2,3,4,5,6,7]"},
		{"float", 0.1, "0.1"},
		{"float32", float32(0.5), "0.5"},
		{"whole float", 3.0, "3"},
		{"large float", 1e21, "1e+21"},
		{"small float", 1e-7, "1e-07"},
		{"not a number", math.NaN(), `"NaN"`},
		{"infinity", []any{math.Inf(1), math.Inf(-1)}, `["Infinity","-Infinity"]`},
		{"text", "a\"\\/\n\r\t\b\x00é😀<&>\u2028", "\"a\\\"\\\\/\\n\\r\\t\\u0008\\u0000é😀<&>\u2028\""},
		{"not UTF-8", "a\xffb\xed\xa0\x80", `"a\udcffb\udced\udca0\udc80"`},
		{"replacement character", "\ufffd", "\"\ufffd\""},
		{"bytes", []byte{0, 255}, `"AP8="`},
		{"no bytes", []byte{}, `""`},
		{"time", at, `"2026-01-02T02:04:05.000000678Z"`},
		{"no time", time.Time{}, "null"},
		{"path", vql.ParsePath(vql.Posix, "/a/b"), `"/a/b"`},
		{"named text", named("x"), `"x"`},
		{"stringer", textual{5}, `"text 5"`},
		{"error", fmt.Errorf("bad"), `"bad"`},
		{"pointers", []any{&text, none}, `["p",null]`},
		{"list of texts", []string{"a", "b"}, `["a","b"]`},
		{"no list", []string(nil), "[]"},
		{"array", [2]int{1, 2}, "[1,2]"},
		{"map", map[string]int{"b": 1, "a": 2}, `{"a":2,"b":1}`},
		{"map by number", map[int]string{2: "x"}, `{"2":"x"}`},
		{"dict", vql.NewDict().Set("b", 1).Set("a", vql.NewDict()), `{"b":1,"a":{}}`},
		{"no dict", (*vql.Dict)(nil), "null"},
		{"raw JSON", json.RawMessage(`{"b": 1, "a": [2]}`), `{"b": 1, "a": [2]}`},
		{"raw but not JSON", json.RawMessage(`{`), `"ew=="`},
		{"struct", outer{inner: inner{A: 1, B: &text}, Hidden: "h", secret: 1, When: at, List: []uint16{7}},
			`{"A":1,"b":"p","When":"2026-01-02T02:04:05.000000678Z","Inner":{"A":0,"b":null},"List":[7]}`},
		{"pointer to struct", &inner{A: 3}, `{"A":3,"b":null}`},
		{"list of structs", []inner{{A: 1}, {A: 2}}, `[{"A":1,"b":null},{"A":2,"b":null}]`},
		{"row", vql.NewRow(vql.NewColumns("x", "y\""), 1), `{"x":1,"y\"":null}`},
		{"duration", 1500 * time.Millisecond, `"1.5s"`},
	} {
		if got := string(vql.AppendValue(nil, c.v)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if got := string(vql.AppendValue(nil, vql.NewDict().Set("k", c.v))); got != `{"k":`+c.want+`}` && c.name != "raw JSON" {
			t.Errorf("%s in a dict: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAppendValueEndsOnCircles(t *testing.T) {
	t.Parallel()
	d := vql.NewDict()
	d.Set("self", d)
	got := vql.AppendValue(nil, d)
	if !json.Valid(got) || len(got) > 10_000 {
		t.Fatalf("%d bytes, valid %v", len(got), json.Valid(got))
	}
}

// anyValue generates values and what JSON must say for them.
func anyValue(depth int) *rapid.Generator[any] {
	plain := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.Int64().AsAny(),
		rapid.Uint64().AsAny(),
		rapid.Float64().AsAny(),
		rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return string(b) }),
		rapid.Map(rapid.Int64Range(-1e10, 1e10), func(n int64) any { return time.Unix(n, 123).UTC() }),
	}
	if depth > 0 {
		plain = append(plain,
			rapid.Map(rapid.SliceOfN(anyValue(depth-1), 0, 4), func(l []any) any { return l }),
			rapid.Map(rapid.SliceOfNDistinct(rapid.String(), 0, 4, rapid.ID), func(keys []string) any {
				d := vql.NewDict()
				for i, k := range keys {
					d.Set(k, anyValue(depth-1).Example(i))
				}
				return d
			}))
	}
	return rapid.OneOf(plain...)
}

// checkJSON compares a value with what encoding/json decoded of its JSON.
func checkJSON(t *rapid.T, v, got any) {
	switch want := v.(type) {
	case nil:
		if got != nil {
			t.Fatalf("NULL became %v", got)
		}
	case bool:
		if got != want {
			t.Fatalf("%v became %v", want, got)
		}
	case int64:
		if n, _ := got.(json.Number); n.String() != strconv.FormatInt(want, 10) {
			t.Fatalf("%d became %v", want, got)
		}
	case uint64:
		if n, _ := got.(json.Number); n.String() != strconv.FormatUint(want, 10) {
			t.Fatalf("%d became %v", want, got)
		}
	case float64:
		if n, ok := got.(json.Number); ok {
			if f, err := n.Float64(); err != nil || f != want {
				t.Fatalf("%v became %v", want, n)
			}
		} else if !math.IsNaN(want) && !math.IsInf(want, 0) {
			t.Fatalf("%v became %v", want, got)
		}
	case string:
		if utf8.ValidString(want) && got != want {
			t.Fatalf("%q became %q", want, got)
		}
	case []byte:
		text, _ := got.(string)
		if b, err := base64.StdEncoding.DecodeString(text); err != nil || !bytes.Equal(b, want) {
			t.Fatalf("%x became %v", want, got)
		}
	case time.Time:
		text, _ := got.(string)
		if at, err := time.Parse(time.RFC3339Nano, text); err != nil || !at.Equal(want) {
			t.Fatalf("%v became %v", want, got)
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			t.Fatalf("%v became %v", want, got)
		}
		for i := range want {
			checkJSON(t, want[i], list[i])
		}
	case *vql.Dict:
		m, ok := got.(map[string]any)
		if !ok || len(m) != want.Len() {
			t.Fatalf("%v became %v", want, got)
		}
		for key, value := range want.All() {
			checkJSON(t, value, m[key])
		}
	default:
		t.Fatalf("%T", v)
	}
}

func TestAppendJSONAgainstEncodingJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.String(), 1, 6, rapid.ID).Draw(t, "names")
		values := make([]any, len(names))
		for i := range values {
			values[i] = anyValue(2).Draw(t, "value")
		}
		row := vql.NewRow(vql.NewColumns(names...), values...)
		text := vql.AppendJSON([]byte("before"), row)
		if !bytes.HasPrefix(text, []byte("before")) {
			t.Fatal("what was there is gone")
		}
		text = text[len("before"):]
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var got map[string]any
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		for i, name := range names {
			checkJSON(t, values[i], got[name])
		}
		if bytes.IndexByte(text, '\n') >= 0 {
			t.Fatalf("a line break in %q", text)
		}
		back, err := vql.ParseJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		dict, _ := back.(*vql.Dict)
		if diff := cmp.Diff(names, dict.Keys()); diff != "" {
			t.Fatalf("order of columns: %s", diff)
		}
		if again := vql.AppendValue(nil, back); !bytes.Equal(again, text) {
			t.Fatalf("read and written again\n%s\nwas\n%s", again, text)
		}
	})
}

func TestTextSurvivesJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		got, err := vql.ParseJSON(vql.AppendValue(nil, text))
		if err != nil || got != text {
			t.Fatalf("%q became %q, %v", text, got, err)
		}
	})
}

func TestParseJSONErrors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}",
		"\"", "\"\\", "\"\\u12", "\"\\x\"", "\"\n\"", "01", "-", "1.", "1e", "1e+", ".5", "+1", "nul", "tru", "True", "1 2", "[1}", "{]", "\x00", "[\x00"} {
		if v, err := vql.ParseJSON([]byte(text)); err == nil {
			t.Errorf("%q gave %v", text, v)
		}
	}
	deep := bytes.Repeat([]byte("["), 100_000)
	if _, err := vql.ParseJSON(deep); err == nil {
		t.Error("deep nesting went through")
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,null,true,"x\u00e9\ud83d\ude00\udcff"]}`, `[]`, `-0`, `18446744073709551615`, `"\/"`, `1e999`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := vql.ParseJSON(data)
		if errors.Is(err, vql.ErrDepth) {
			return
		}
		if valid := json.Valid(data); valid != (err == nil) {
			t.Fatalf("valid %v, but %v", valid, err)
		}
		if err != nil {
			return
		}
		text := vql.AppendValue(nil, v)
		if !json.Valid(text) {
			t.Fatalf("wrote %s", text)
		}
		again, err := vql.ParseJSON(text)
		if err != nil || !bytes.Equal(vql.AppendValue(nil, again), text) {
			t.Fatalf("%s became %v, %v", text, again, err)
		}
	})
}
