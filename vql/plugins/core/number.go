package core

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"satchel/vql"

	"github.com/dustin/go-humanize"
)

func numberList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("int", toInt, vql.Doc("Returns a value as a whole number, 0 if it is none.")),
		vql.NewFunction("atoi", atoi, vql.Doc("Returns a text as a whole number, 0 if it is none.")),
		vql.NewFunction("parse_float", parseFloat, vql.Doc("Returns a text as a number.")),
		vql.NewFunction("rand", random, vql.Impure(), vql.Doc("Returns a random number below the range.")),
		vql.NewFunction("humanize", humanizeNumber, vql.Doc("Writes a size, a time or a number for people.")),
		vql.NewFunction("uuid", uuid, vql.Impure(), vql.Doc("Returns a random UUID.")),
	}
}

type intArgs struct {
	Int any `vql:"int"`
}

func toInt(_ context.Context, s *vql.Scope, a intArgs) (any, error) {
	return wholeNumber(s, a.Int), nil
}

type atoiArgs struct {
	String any `vql:"string,required"`
}

func atoi(_ context.Context, s *vql.Scope, a atoiArgs) (any, error) {
	return wholeNumber(s, a.String), nil
}

// wholeNumber cuts fractions off; what is no number is 0. Texts may be decimal,
// or hexadecimal, octal or binary by their prefix.
func wholeNumber(s *vql.Scope, v any) any {
	switch t := v.(type) {
	case nil:
		return int64(0)
	case int64, uint64:
		return t
	case bool:
		if t {
			return int64(1)
		}
		return int64(0)
	case float64:
		return floatToInt(t)
	case time.Time:
		return t.Unix()
	}
	text := strings.TrimSpace(s.Text(v))
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(text, 0, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return floatToInt(f)
	}
	return int64(0)
}

func floatToInt(f float64) any {
	switch {
	case math.IsNaN(f):
		return int64(0)
	case f >= 1<<63:
		return int64(math.MaxInt64)
	case f < -(1 << 63):
		return int64(math.MinInt64)
	}
	return int64(f)
}

func parseFloat(_ context.Context, s *vql.Scope, a atoiArgs) (any, error) {
	switch t := a.String.(type) {
	case nil:
		return nil, nil
	case float64:
		return t, nil
	case int64:
		return float64(t), nil
	case uint64:
		return float64(t), nil
	}
	text := strings.TrimSpace(s.Text(a.String))
	if text == "" {
		return nil, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		if n, err := strconv.ParseInt(text, 0, 64); err == nil {
			return float64(n), nil
		}
		return nil, fmt.Errorf("%q is not a number", text)
	}
	return f, nil
}

type randArgs struct {
	Range int64 `vql:"range"`
}

func random(_ context.Context, s *vql.Scope, a randArgs) (any, error) {
	if a.Range <= 0 {
		return s.Rand().Int64(), nil
	}
	return s.Rand().Int64N(a.Range), nil
}

type humanizeArgs struct {
	Bytes  any `vql:"bytes"`
	IBytes any `vql:"ibytes"`
	Time   any `vql:"time"`
	Comma  any `vql:"comma"`
}

func humanizeNumber(_ context.Context, s *vql.Scope, a humanizeArgs) (any, error) {
	switch {
	case a.Bytes != nil:
		return humanize.Bytes(size(s, a.Bytes)), nil
	case a.IBytes != nil:
		return humanize.IBytes(size(s, a.IBytes)), nil
	case a.Time != nil:
		t, err := vql.ToTime(a.Time)
		if err != nil {
			return nil, err
		}
		return humanize.RelTime(t, s.Now(), "ago", "from now"), nil
	case a.Comma != nil:
		n, ok := wholeNumber(s, a.Comma).(int64)
		if !ok {
			return humanize.BigComma(new(big.Int).SetUint64(size(s, a.Comma))), nil
		}
		return humanize.Comma(n), nil
	}
	return nil, nil
}

func size(s *vql.Scope, v any) uint64 {
	switch n := wholeNumber(s, v).(type) {
	case uint64:
		return n
	case int64:
		return uint64(max(0, n))
	}
	return 0
}

func uuid(_ context.Context, s *vql.Scope, _ struct{}) (any, error) {
	hi, lo := s.Rand().Uint64(), s.Rand().Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1)), nil
}
