package container

import (
	"encoding/json"
	"strconv"
	"strings"

	"satchel/internal/flow"
)

// looseInt is a number that may be written as text, and that reads as 0 when
// it is neither.
type looseInt int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *looseInt) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f > 1<<62 || f < -1<<62 {
			f = 0
		}
		v = int64(f)
	}
	*n = looseInt(v)
	return nil
}

// looseEnum is the state of a flow as a number or by its name.
type looseEnum flow.State

// UnmarshalJSON implements json.Unmarshaler.
func (e *looseEnum) UnmarshalJSON(b []byte) error {
	var name string
	if json.Unmarshal(b, &name) == nil {
		for s := flow.StateUnset; s <= flow.StateWaiting; s++ {
			if strings.EqualFold(s.String(), name) {
				*e = looseEnum(s)
				return nil
			}
		}
	}
	var n looseInt
	err := n.UnmarshalJSON(b)
	*e = looseEnum(n)
	return err
}
