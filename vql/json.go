package vql

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/Velocidex/ordereddict"
	"www.velocidex.com/golang/vfilter/types"
)

const maxDepth = 64

// AppendJSON appends the row as one JSON object without a newline. See
// docs/vql.md for how each type is written.
func AppendJSON(dst []byte, row Row) []byte { return appendRow(dst, row, 0) }

func appendRow(dst []byte, row Row, depth int) []byte {
	dst = append(dst, '{')
	if row.Columns != nil {
		for i := range row.Columns.names {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, row.Columns.keys[i]...)
			dst = appendValue(dst, row.at(i), depth+1)
		}
	}
	return append(dst, '}')
}

// AppendValue appends one value as JSON.
func AppendValue(dst []byte, v any) []byte { return appendValue(dst, v, 0) }

func appendValue(dst []byte, v any, depth int) []byte {
	if depth > maxDepth {
		return append(dst, "null"...)
	}
	switch t := v.(type) {
	case nil, types.Null, *types.Null:
		return append(dst, "null"...)
	case string:
		return appendString(dst, t)
	case int64:
		return strconv.AppendInt(dst, t, 10)
	case uint64:
		return strconv.AppendUint(dst, t, 10)
	case float64:
		return appendFloat(dst, t)
	case bool:
		return strconv.AppendBool(dst, t)
	case time.Time:
		return appendTime(dst, t)
	case []byte:
		return appendBytes(dst, t)
	case Path:
		return appendString(dst, t.String())
	case *ordereddict.Dict:
		return appendItems(dst, t.Items(), depth)
	case *Dict:
		if t == nil {
			return append(dst, "null"...)
		}
		return appendItems(dst, t.inner().Items(), depth)
	case []any:
		return appendList(dst, t, depth)
	case *structRow:
		return appendRow(dst, t.row(), depth)
	case *sharedRow:
		return appendRow(dst, t.row(), depth)
	case Row:
		return appendRow(dst, t, depth)
	case *rowList:
		return appendList(dst, t.items, depth)
	}
	return appendOther(dst, v, depth)
}

// appendOther is for values that are not the evaluator's own.
func appendOther(dst []byte, v any, depth int) []byte {
	switch t := v.(type) {
	case []types.Any:
		return appendList(dst, t, depth)
	case []types.Row:
		if t == nil {
			return append(dst, "null"...)
		}
		return appendList(dst, t, depth)
	case json.RawMessage:
		if json.Valid(t) {
			return append(dst, t...)
		}
		return appendBytes(dst, t)
	case []string:
		dst = append(dst, '[')
		for i, s := range t {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, s)
		}
		return append(dst, ']')
	case types.LazyExpr:
		return appendValue(dst, t.Reduce(context.Background()), depth+1)
	case types.LazyRow:
		return appendValue(dst, lazyRowDict(t), depth+1)
	}
	if engineType(v) {
		return append(dst, "null"...)
	}
	if w := toEngine(v); !engineType(w) || isRow(w) {
		return appendValue(dst, w, depth+1)
	}
	return append(dst, "null"...)
}

func appendList[T any](dst []byte, list []T, depth int) []byte {
	dst = append(dst, '[')
	for i, item := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendValue(dst, item, depth+1)
	}
	return append(dst, ']')
}

func appendItems(dst []byte, items []ordereddict.Item, depth int) []byte {
	dst = append(dst, '{')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, item.Key), ':')
		dst = appendValue(dst, item.Value, depth+1)
	}
	return append(dst, '}')
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

func appendBytes(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. A byte that is not part of valid UTF-8
// becomes the escape of the lone surrogate U+DC00 + byte.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[from:i]...)
			dst = appendEscape(dst, c)
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[from:i]...)
			dst = append(dst, '\\', 'u', 'd', 'c', hexDigits[c>>4], hexDigits[c&15])
			i++
			from = i
			continue
		}
		i += size
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
