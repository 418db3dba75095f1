package vql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrDepth is the error of a text that nests deeper than this package goes.
var ErrDepth = errors.New("nests too deep")

// maxJSONDepth bounds the nesting of decoded JSON.
const maxJSONDepth = 500

// ParseJSON decodes one JSON value: objects as *Dict in their own key order,
// lists as []any, whole numbers as int64 or uint64 if they fit, others as
// float64. What follows the value is an error.
func ParseJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows the JSON value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("decode JSON: %w", ErrDepth)
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return decodeObject(d, depth)
		}
		return decodeList(d, depth)
	case json.Number:
		return number(t), nil
	}
	return token, nil
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	dict := NewDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("decode JSON: %w", err)
		}
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("decode JSON: key %v is not a string", key)
		}
		value, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		dict.Set(name, value)
	}
	return dict, decodeEnd(d)
}

// decodeEnd reads the bracket that ends an object or list.
func decodeEnd(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("decode JSON: %w", err)
	}
	return nil
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		value, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, decodeEnd(d)
}

func number(n json.Number) any {
	text := n.String()
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return u
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return f
}
