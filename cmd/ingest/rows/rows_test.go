package rows_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"satchel/cmd/ingest/rows"
)

type opener func() io.Reader

func (o opener) Rows(context.Context, string) (io.ReadCloser, error) {
	if o == nil {
		return nil, errors.New("gone")
	}
	return io.NopCloser(o()), nil
}

func lines(t *testing.T, o opener) ([]string, error) {
	t.Helper()
	var out []string
	err := rows.Each(t.Context(), o, "S", func(line []byte) error {
		out = append(out, string(line))
		return nil
	})
	return out, err
}

func TestEach(t *testing.T) {
	t.Parallel()
	long := `{"x":"` + strings.Repeat("y", 1<<20) + `"}`
	text := "{\"a\":1}\n\n  \n" + long + "\r\n{\"b\":2}"
	want := []string{`{"a":1}`, long, `{"b":2}`}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"plain": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "data with error": iotest.DataErrReader,
	} {
		got, err := lines(t, func() io.Reader { return wrap(strings.NewReader(text)) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%.200s", name, diff)
		}
	}
}

func TestEachTellsDamage(t *testing.T) {
	t.Parallel()
	cause := errors.New("bad block")
	got, err := lines(t, func() io.Reader {
		return io.MultiReader(strings.NewReader("{\"a\":1}\n{\"b\""), iotest.ErrReader(cause))
	})
	var bad *rows.ReadError
	if !errors.As(err, &bad) || !errors.Is(err, cause) || bad.Source != "S" {
		t.Errorf("error %v", err)
	}
	if len(got) == 0 || got[0] != `{"a":1}` {
		t.Errorf("rows before the damage: %v", got)
	}
	if _, err := lines(t, nil); !errors.As(err, &bad) {
		t.Errorf("rows that cannot be opened: %v", err)
	}
	endless := func() io.Reader { return io.LimitReader(forever{}, rows.MaxBytes+1<<20) }
	if _, err := lines(t, endless); !errors.As(err, &bad) {
		t.Errorf("an endless row: %v", err)
	}
}

type forever struct{}

func (forever) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestEachStops(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	err := rows.Each(t.Context(), opener(func() io.Reader { return strings.NewReader("{}\n{}\n") }), "S", func([]byte) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = rows.Each(ctx, opener(func() io.Reader { return strings.NewReader("{}\n") }), "S", func([]byte) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestCellsAgreeWithJSON takes objects apart that encoding/json made, with any
// spacing.
func TestCellsAgreeWithJSON(t *testing.T) {
	t.Parallel()
	value := rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(
			rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "s") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.Float64Range(-1e9, 1e9).Draw(t, "f") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "b") }),
			rapid.Map(rapid.Just(0), func(int) any { return nil }),
			rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "l") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(rapid.String(), rapid.Int(), 0, 3).Draw(t, "m") }),
		)
	})
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.MapOfN(rapid.String(), value, 0, 5).Draw(t, "object")
		var data []byte
		var err error
		if rapid.Bool().Draw(t, "indent") {
			data, err = json.MarshalIndent(object, " ", "\t")
		} else {
			data, err = json.Marshal(object)
		}
		if err != nil || !rows.Valid(data) {
			t.Fatalf("%s: %v", data, err)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		got := map[string]json.RawMessage{}
		rows.Cells(data, func(key, value []byte) bool {
			got[rows.Name(key)] = append(json.RawMessage(nil), value...)
			return true
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", data, diff)
		}
	})
}

func TestText(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		`null`: "", `"x"`: "x", `"a\"b\u00e9"`: `a"bé`, `18446744073709551615`: "18446744073709551615",
		"{ \"a\" : [1, 2] }": `{"a":[1,2]}`, `true`: "true", ``: "", `" =1+1"`: " =1+1", `1e300`: "1e300",
	}
	for in, want := range cases {
		if got := rows.Text([]byte(in)); got != want {
			t.Errorf("Text(%s) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCells(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"b":{"c":[1,2]}}`, `{"a":"\"}"}`, `{"`, `{"a"`, `{"a":`, `{"a":1,}`, `[`, `{"a\u0022":"\\"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		rows.Cells(data, func(key, value []byte) bool { // also of what is not valid: no panic, and an end
			n++
			_, _ = rows.Name(key), rows.Text(value)
			return n < 1000
		})
		var want map[string]json.RawMessage
		if rows.Valid(data) && json.Unmarshal(data, &want) == nil && n < 1000 && n < len(want) {
			t.Errorf("%q has %d members, Cells gives %d", data, len(want), n)
		}
	})
}
