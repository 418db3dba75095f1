package vql

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"satchel/internal/spelling"
)

// TypeName names the type of a value as VQL sees it, with its article: "a
// string", "NULL".
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "NULL"
	case string:
		return "a string"
	case bool:
		return "a bool"
	case int64, uint64:
		return "an integer"
	case float64:
		return "a float"
	case []byte:
		return "bytes"
	case time.Time:
		return "a time"
	case Path:
		return "a path"
	case *Dict, Row:
		return "a dict"
	case []any, []string:
		return "a list"
	case Query:
		return "a query"
	}
	if engineType(v) {
		return "a value of the engine"
	}
	return fmt.Sprintf("a %T", v)
}

// toText prints a value as VQL prints it.
func toText(v any) string {
	switch t := fromEngine(v).(type) {
	case nil:
		return ""
	case string:
		return t
	case []byte:
		return string(t)
	case int64:
		return strconv.FormatInt(t, 10)
	case uint64:
		return strconv.FormatUint(t, 10)
	case float64:
		return strconv.FormatFloat(t, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(t)
	case time.Time:
		return t.UTC().Format(time.RFC3339Nano)
	case Path:
		return t.String()
	case error:
		return t.Error()
	case *Dict, []any, Row:
		return string(AppendValue(nil, t))
	case fmt.Stringer:
		return t.String()
	}
	return string(AppendValue(nil, v))
}

// timeLayouts are the forms of time that ToTime reads, besides seconds.
func timeLayouts() []string {
	return []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
		"2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
		time.RFC1123Z, time.RFC1123, time.RFC850, time.ANSIC, time.UnixDate, time.RubyDate,
	}
}

// ToTime makes a time of a value: a time, a number of seconds (or milli-,
// micro- or nanoseconds, told by size) since 1970, or a text in one of the
// usual forms. Without a zone it is UTC.
func ToTime(v any) (time.Time, error) {
	switch t := v.(type) {
	case time.Time:
		return t, nil
	case int64:
		return epoch(t), nil
	case uint64:
		if t <= math.MaxInt64 {
			return epoch(int64(t)), nil
		}
	case float64:
		if math.Abs(t) < 1<<53 {
			whole, part := math.Modf(t)
			if math.Abs(whole) >= 20_000_000_000 {
				return epoch(int64(whole)), nil
			}
			return time.Unix(int64(whole), int64(math.Round(part*1e9))).UTC(), nil
		}
	case string:
		text := strings.TrimSpace(t)
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				return epoch(n), nil
			}
			return ToTime(f)
		}
		for _, layout := range timeLayouts() {
			if parsed, err := time.Parse(layout, text); err == nil {
				return parsed.UTC(), nil
			}
		}
		return time.Time{}, fmt.Errorf("%q is not a time", t)
	}
	return time.Time{}, fmt.Errorf("must be a time, not %s", TypeName(v))
}

// epoch reads a number of seconds since 1970. Numbers too large for that are
// milli-, micro- or nanoseconds.
func epoch(n int64) time.Time {
	size := uint64(n)
	if n < 0 {
		size = -size
	}
	switch {
	case size < 20_000_000_000:
		return time.Unix(n, 0).UTC()
	case size < 20_000_000_000_000:
		return time.UnixMilli(n).UTC()
	case size < 20_000_000_000_000_000:
		return time.UnixMicro(n).UTC()
	}
	return time.Unix(0, n).UTC()
}

// didYouMean ends a message about an unknown name with the nearest known one.
func didYouMean(name string, known []string) string {
	if best := Nearest(name, known); best != "" {
		return ", did you mean " + best + "?"
	}
	return ""
}

// Nearest returns the known name that is most like the given one, "" when none
// is like it.
func Nearest(name string, known []string) string {
	best, bestDistance := "", len(name)/2+1
	for _, candidate := range known {
		if candidate == name {
			continue
		}
		d := spelling.Distance(strings.ToLower(name), strings.ToLower(candidate), bestDistance)
		if d < bestDistance || (d == bestDistance && best != "" && candidate < best) {
			best, bestDistance = candidate, d
		}
	}
	return best
}
