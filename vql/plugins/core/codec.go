package core

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rc4"
	"encoding/ascii85"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"satchel/vql"
)

func codecList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("base64encode", func(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
			return base64.StdEncoding.EncodeToString([]byte(a.String)), nil
		}, vql.Doc("Encodes to base64.")),
		vql.NewFunction("base64decode", base64decode, vql.Doc("Decodes base64, with or without padding, of either alphabet.")),
		vql.NewFunction("base85decode", base85decode, vql.Doc("Decodes base85 (Ascii85).")),
		vql.NewFunction("unhex", unhex, vql.Doc("Decodes hexadecimal digits.")),
		vql.NewFunction("encode", encode, vql.Doc("Encodes a value as hex, base64, utf16 or string.")),
		vql.NewFunction("utf16", fromUTF16, vql.Doc("Decodes UTF-16, little endian unless it begins with a mark.")),
		vql.NewFunction("utf16_encode", toUTF16, vql.Doc("Encodes to UTF-16, little endian.")),
		vql.NewFunction("xor", xor, vql.Doc("Combines a text with a key that is repeated, by exclusive or.")),
		vql.NewFunction("crypto_rc4", cryptoRC4, vql.Doc("Applies RC4.")),
		vql.NewFunction("gunzip", gunzip, vql.Doc("Unpacks gzip.")),
		vql.NewFunction("entropy", entropy, vql.Doc("Returns the Shannon entropy in bits for each byte.")),
		vql.NewFunction("crc32", func(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
			return int64(crc32.ChecksumIEEE([]byte(a.String))), nil
		}, vql.Doc("Returns the CRC-32 (IEEE).")),
	}
}

func base64decode(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
	text := strings.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		case '\n', '\r', '\t', ' ':
			return -1
		}
		return r
	}, a.String)
	out, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, fmt.Errorf("decode base64: %w", err)
	}
	return string(out), nil
}

func base85decode(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
	text := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(a.String), "<~"), "~>")
	out := make([]byte, 4*len(text)+4)
	n, _, err := ascii85.Decode(out, []byte(text), true)
	if err != nil {
		return nil, fmt.Errorf("decode base85: %w", err)
	}
	return string(out[:n]), nil
}

type optionalStringArgs struct {
	String string `vql:"string"`
}

func unhex(_ context.Context, _ *vql.Scope, a optionalStringArgs) (any, error) {
	text := strings.TrimPrefix(strings.Join(strings.Fields(a.String), ""), "0x")
	if len(text)%2 == 1 {
		text = "0" + text
	}
	out, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("decode hex: %w", err)
	}
	return string(out), nil
}

type encodeArgs struct {
	String any    `vql:"string,required"`
	Type   string `vql:"type,required"`
}

func encode(_ context.Context, s *vql.Scope, a encodeArgs) (any, error) {
	text := s.Text(a.String)
	switch strings.ToLower(a.Type) {
	case "hex":
		return hex.EncodeToString([]byte(text)), nil
	case "base64":
		return base64.StdEncoding.EncodeToString([]byte(text)), nil
	case "string":
		return text, nil
	case "utf16":
		return decodeUTF16(text), nil
	}
	return nil, fmt.Errorf("type %q is none of hex, base64, utf16, string", a.Type)
}

func fromUTF16(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
	return decodeUTF16(a.String), nil
}

// decodeUTF16 reads pairs of bytes; an odd last byte is left out, and halves of
// a surrogate pair become U+FFFD.
func decodeUTF16(text string) string {
	big := false
	switch {
	case strings.HasPrefix(text, "\xff\xfe"):
		text = text[2:]
	case strings.HasPrefix(text, "\xfe\xff"):
		text, big = text[2:], true
	}
	units := make([]uint16, len(text)/2)
	for i := range units {
		lo, hi := text[2*i], text[2*i+1]
		if big {
			lo, hi = hi, lo
		}
		units[i] = uint16(lo) | uint16(hi)<<8
	}
	return string(utf16.Decode(units))
}

func toUTF16(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
	out := make([]byte, 0, 2*len(a.String))
	for _, r := range a.String {
		if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
			out = append(out, byte(r1), byte(r1>>8), byte(r2), byte(r2>>8))
			continue
		}
		out = append(out, byte(r), byte(r>>8))
	}
	return string(out), nil
}

type keyArgs struct {
	String string `vql:"string,required"`
	Key    string `vql:"key,required"`
}

var errKey = errors.New("the key is empty")

func xor(_ context.Context, _ *vql.Scope, a keyArgs) (any, error) {
	if a.Key == "" {
		return nil, errKey
	}
	out := []byte(a.String)
	for i := range out {
		out[i] ^= a.Key[i%len(a.Key)]
	}
	return string(out), nil
}

func cryptoRC4(_ context.Context, _ *vql.Scope, a keyArgs) (any, error) {
	c, err := rc4.NewCipher([]byte(a.Key))
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(a.String))
	c.XORKeyStream(out, []byte(a.String))
	return string(out), nil
}

type gunzipArgs struct {
	String   string `vql:"string,required"`
	MaxBytes int64  `vql:"max_bytes"`
}

func gunzip(_ context.Context, _ *vql.Scope, a gunzipArgs) (any, error) {
	limit := int64(maxText)
	if a.MaxBytes > 0 {
		limit = min(limit, a.MaxBytes)
	}
	z, err := gzip.NewReader(strings.NewReader(a.String))
	if err != nil {
		return nil, fmt.Errorf("unpack gzip: %w", err)
	}
	var out bytes.Buffer
	if _, err := io.Copy(&out, io.LimitReader(z, limit)); err != nil {
		return nil, fmt.Errorf("unpack gzip: %w", err)
	}
	return out.String(), nil
}

func entropy(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
	var counts [256]float64
	for i := range len(a.String) {
		counts[a.String[i]]++
	}
	bits := 0.0
	for _, n := range counts {
		if n > 0 {
			p := n / float64(len(a.String))
			bits -= p * math.Log2(p)
		}
	}
	return bits, nil
}
