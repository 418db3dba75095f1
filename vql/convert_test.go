package vql_test

import (
	"math"
	"testing"
	"time"

	"satchel/vql"
)

func TestToTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)
	for _, c := range []struct {
		v    any
		want time.Time
	}{
		{at, at},
		{int64(1700000000), at},
		{uint64(1700000000), at},
		{1700000000.0, at},
		{1700000000.5, at.Add(500 * time.Millisecond)},
		{-0.5, time.Unix(-1, 500_000_000)},
		{int64(1700000000000), at},
		{1700000000000.0, at},
		{int64(1700000000000000), at},
		{int64(1700000000000000000), at},
		{int64(-1700000000000), time.Date(1916, 2, 18, 1, 46, 40, 0, time.UTC)},
		{int64(math.MinInt64), time.Unix(0, math.MinInt64)},
		{int64(0), time.Unix(0, 0)},
		{"1700000000", at},
		{"1700000000.5", at.Add(500 * time.Millisecond)},
		{" 2023-11-14T22:13:20Z ", at},
		{"2023-11-14T23:13:20+01:00", at},
		{"2023-11-14T22:13:20", at},
		{"2023-11-14 22:13:20", at},
		{"2023-11-14 22:13:20.000000001", at.Add(1)},
		{"2023-11-14 22:13", at.Add(-20 * time.Second)},
		{"2023-11-14", time.Date(2023, 11, 14, 0, 0, 0, 0, time.UTC)},
		{"Tue, 14 Nov 2023 22:13:20 +0000", at},
		{"Tue Nov 14 22:13:20 2023", at},
	} {
		got, err := vql.ToTime(c.v)
		if err != nil || !got.Equal(c.want) {
			t.Errorf("%v: got %v, %v, want %v", c.v, got, err, c.want)
		}
	}
	for _, v := range []any{nil, "", "soon", true, vql.NewDict(), math.NaN(), math.Inf(1), 1e300, uint64(math.MaxUint64), "NaN", "2023-13-14"} {
		if got, err := vql.ToTime(v); err == nil {
			t.Errorf("%v: got %v", v, got)
		}
	}
}

func TestTypeName(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{"NULL": nil, "a string": "", "a list": []any{}, "a dict": vql.NewDict(), "a path": vql.Path{}, "bytes": []byte{}, "an integer": int64(1)} {
		if got := vql.TypeName(v); got != want {
			t.Errorf("%T: %s", v, got)
		}
	}
}

func TestDict(t *testing.T) {
	t.Parallel()
	d := vql.NewDict().Set("a", 1).Set("b", nil).Set("c", "x").Set("a", 2)
	if got := d.String(); got != `{"b":null,"c":"x","a":2}` {
		t.Error(got)
	}
	if got := d.Update("c", "y").Update("d", time.Time{}).String(); got != `{"b":null,"c":"y","a":2,"d":null}` {
		t.Error(got)
	}
	copied := d.Copy()
	d.Delete("c")
	if copied.GetString("c") != "y" || d.GetString("c") != "" || d.Len() != 3 || copied.Len() != 4 {
		t.Error(d, copied)
	}
	if v, found := d.Get("b"); v != nil || !found {
		t.Error(v, found)
	}
	if v, found := d.Get("zz"); v != nil || found {
		t.Error(v, found)
	}
	inner := vql.NewDict()
	d.Set("inner", inner)
	if got, _ := d.Get("inner"); got != inner {
		t.Error("a nested dictionary is not the same one")
	}
	for key := range d.All() {
		d.Delete(key) // the range does not see it
	}
	var none *vql.Dict
	if none.Len() != 0 || none.Keys() != nil || none.GetString("x") != "" || none.Copy() == nil {
		t.Error("nil")
	}
	for range none.All() {
		t.Error("nil has no keys")
	}
}

func TestRow(t *testing.T) {
	t.Parallel()
	r := vql.NewRow(vql.NewColumns("a", "b", "c"), 1, nil)
	if v, found := r.Get("a"); v != int64(1) || !found {
		t.Error(v, found)
	}
	if v, found := r.Get("c"); v != nil || !found {
		t.Error("a missing value:", v, found)
	}
	if v, found := r.Get("z"); v != nil || found {
		t.Error(v, found)
	}
	if got := r.Dict().String(); got != `{"a":1,"b":null,"c":null}` || r.String() != got {
		t.Error(got)
	}
	if got := vql.DictRow(r.Dict()).String(); got != r.String() {
		t.Error(got)
	}
	if got := (vql.Row{}).String(); got != "{}" {
		t.Error(got)
	}
}
