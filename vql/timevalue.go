package vql

import (
	"time"

	"www.velocidex.com/golang/vfilter/types"
)

// The types below tell the evaluator how to compare a time with a text: the
// text is read as a time.

// timeAnd returns two values as times if one is a time and the other a text
// that can be read as one.
func timeAnd(a, b types.Any) (x, y time.Time, ok bool) {
	_, aText := a.(string)
	_, bText := b.(string)
	if aText == bText {
		return x, y, false
	}
	x, err := ToTime(a)
	if err != nil {
		return x, y, false
	}
	y, err = ToTime(b)
	return x, y, err == nil
}

func isTimeAndText(a, b types.Any) bool {
	_, aTime := a.(time.Time)
	_, bTime := b.(time.Time)
	_, aText := a.(string)
	_, bText := b.(string)
	return aTime && bText || aText && bTime
}

type timeText struct{}

func (timeText) Applicable(a, b types.Any) bool { return isTimeAndText(a, b) }

func (timeText) Eq(_ types.Scope, a, b types.Any) bool {
	x, y, ok := timeAnd(a, b)
	return ok && x.Equal(y)
}

type timeOrder struct{}

func (timeOrder) Applicable(a, b types.Any) bool { return isTimeAndText(a, b) }

func (timeOrder) Lt(_ types.Scope, a, b types.Any) bool {
	x, y, ok := timeAnd(a, b)
	return ok && x.Before(y)
}

type timeAfter struct{}

func (timeAfter) Applicable(a, b types.Any) bool { return isTimeAndText(a, b) }

func (timeAfter) Gt(_ types.Scope, a, b types.Any) bool {
	x, y, ok := timeAnd(a, b)
	return ok && x.After(y)
}
