package vql

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrDepth is the error of a text that nests deeper than this package goes.
var ErrDepth = errors.New("nests too deep")

// maxJSONDepth bounds the nesting of decoded JSON.
const maxJSONDepth = 500

// ParseJSON decodes one JSON value: objects as *Dict in their own key order,
// lists as []any, whole numbers as int64 or uint64 if they fit, others as
// float64, or as text if that cannot hold them. Of a key given twice the last
// value counts. It reads back what [AppendValue] writes for bytes that are not
// UTF-8. What follows the value is an error.
func ParseJSON(data []byte) (any, error) {
	d := jsonDecoder{data: data}
	v, err := d.value(0)
	if err == nil {
		if d.space(); d.at < len(data) {
			err = d.fail("more follows the value")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	return v, nil
}

type jsonDecoder struct {
	data []byte
	at   int
}

func (d *jsonDecoder) fail(what string) error { return fmt.Errorf("at byte %d: %s", d.at, what) }

func (d *jsonDecoder) unexpected() error {
	if d.at >= len(d.data) {
		return d.fail("unexpected end")
	}
	return d.fail("unexpected " + strconv.QuoteToASCII(string(d.data[d.at:d.at+1])))
}

func (d *jsonDecoder) space() {
	for d.at < len(d.data) {
		switch d.data[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (d *jsonDecoder) peek() byte {
	d.space()
	if d.at < len(d.data) {
		return d.data[d.at]
	}
	return 0
}

func (d *jsonDecoder) value(depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, ErrDepth
	}
	switch c := d.peek(); {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.list(depth)
	case c == '"':
		return d.text()
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	}
	for _, word := range []struct {
		text  string
		value any
	}{{"null", nil}, {"true", true}, {"false", false}} {
		if bytes.HasPrefix(d.data[d.at:], []byte(word.text)) {
			d.at += len(word.text)
			return word.value, nil
		}
	}
	return nil, d.unexpected()
}

func (d *jsonDecoder) object(depth int) (any, error) {
	dict := NewDict()
	d.at++
	if d.peek() == '}' {
		d.at++
		return dict, nil
	}
	for {
		if d.peek() != '"' {
			return nil, d.unexpected()
		}
		key, err := d.text()
		if err != nil {
			return nil, err
		}
		if d.peek() != ':' {
			return nil, d.unexpected()
		}
		d.at++
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		dict.Set(key, v)
		if more, err := d.more('}'); err != nil || !more {
			return dict, err
		}
	}
}

func (d *jsonDecoder) list(depth int) (any, error) {
	list := []any{}
	d.at++
	if d.peek() == ']' {
		d.at++
		return list, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if more, err := d.more(']'); err != nil || !more {
			return list, err
		}
	}
}

// more reads a comma, or the bracket that ends the object or list.
func (d *jsonDecoder) more(end byte) (bool, error) {
	switch d.peek() {
	case ',':
		d.at++
		return true, nil
	case end:
		if d.at < len(d.data) {
			d.at++
			return false, nil
		}
	}
	return false, d.unexpected()
}

func (d *jsonDecoder) text() (string, error) {
	d.at++
	from := d.at
	for d.at < len(d.data) {
		switch c := d.data[d.at]; {
		case c == '"':
			d.at++
			return string(d.data[from : d.at-1]), nil
		case c == '\\':
			return d.escapedText(from)
		case c < 0x20:
			return "", d.unexpected()
		}
		d.at++
	}
	return "", d.unexpected()
}

// escapedText goes on with a text at its first escape.
func (d *jsonDecoder) escapedText(from int) (string, error) {
	out := append([]byte(nil), d.data[from:d.at]...)
	for d.at < len(d.data) {
		c := d.data[d.at]
		switch {
		case c == '"':
			d.at++
			return string(out), nil
		case c < 0x20:
			return "", d.unexpected()
		case c != '\\':
			out = append(out, c)
			d.at++
		default:
			var err error
			if out, err = d.escape(out); err != nil {
				return "", err
			}
		}
	}
	return "", d.unexpected()
}

func (d *jsonDecoder) escape(out []byte) ([]byte, error) {
	d.at++
	if d.at >= len(d.data) {
		return nil, d.unexpected()
	}
	c := d.data[d.at]
	switch c {
	case '"', '\\', '/':
	case 'n':
		c = '\n'
	case 't':
		c = '\t'
	case 'r':
		c = '\r'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'u':
		return d.unicodeEscape(out)
	default:
		return nil, d.unexpected()
	}
	d.at++
	return append(out, c), nil
}

// unicodeEscape reads u and four digits, and the second half of a pair. The
// second half alone stands for a byte, as [AppendValue] writes it.
func (d *jsonDecoder) unicodeEscape(out []byte) ([]byte, error) {
	r, ok := d.hex4(d.at + 1)
	if !ok {
		return nil, d.fail("\\u needs four hexadecimal digits")
	}
	d.at += 5
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r), nil
	}
	if d.at+1 < len(d.data) && d.data[d.at] == '\\' && d.data[d.at+1] == 'u' {
		if low, ok := d.hex4(d.at + 2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				d.at += 6
				return utf8.AppendRune(out, pair), nil
			}
		}
	}
	if r >= 0xdc80 && r <= 0xdcff {
		return append(out, byte(r)), nil
	}
	return utf8.AppendRune(out, utf8.RuneError), nil
}

func (d *jsonDecoder) hex4(at int) (r rune, ok bool) {
	if at+4 > len(d.data) {
		return 0, false
	}
	for _, c := range d.data[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

func (d *jsonDecoder) number() (any, error) {
	from := d.at
	if d.data[d.at] == '-' {
		d.at++
	}
	switch digits := d.digits(); {
	case digits == 0:
		return nil, d.unexpected()
	case digits > 1 && d.data[d.at-digits] == '0':
		d.at -= digits - 1
		return nil, d.unexpected()
	}
	whole := true
	if d.at < len(d.data) && d.data[d.at] == '.' {
		whole = false
		d.at++
		if d.digits() == 0 {
			return nil, d.unexpected()
		}
	}
	if d.at < len(d.data) && (d.data[d.at] == 'e' || d.data[d.at] == 'E') {
		whole = false
		d.at++
		if d.at < len(d.data) && (d.data[d.at] == '+' || d.data[d.at] == '-') {
			d.at++
		}
		if d.digits() == 0 {
			return nil, d.unexpected()
		}
	}
	return number(string(d.data[from:d.at]), whole), nil
}

// digits reads digits and returns how many there were.
func (d *jsonDecoder) digits() int {
	from := d.at
	for d.at < len(d.data) && d.data[d.at] >= '0' && d.data[d.at] <= '9' {
		d.at++
	}
	return d.at - from
}

func number(text string, whole bool) any {
	if whole && text != "-0" {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return u
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return text
	}
	return f
}
