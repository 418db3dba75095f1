package parsers

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"satchel/vql"
)

// Limits of one XML document.
const (
	maxXMLBytes    = 256 << 20
	maxXMLElements = 2_000_000
	maxXMLDepth    = 60
)

type xmlArgs struct {
	File     vql.Path `vql:"file,required"`
	Accessor string   `vql:"accessor"`
}

func xmlFunction() vql.Function {
	return vql.NewFunction("parse_xml", func(ctx context.Context, s *vql.Scope, a xmlArgs) (any, error) {
		var out *vql.Dict
		err := eachFile(ctx, s, a.Accessor, []vql.Path{a.File}, func(_ vql.Path, f vql.File) error {
			var err error
			out, err = parseXML(contextReader{ctx, f})
			return err
		})
		if out == nil || err != nil {
			return nil, err
		}
		return out, nil
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Reads an XML file into a dict: elements by name, those that repeat as a list, attributes with Attr in front of their name, text beside them as Text."))
}

// parseXML reads a document. Text in UTF-16 is told by its byte order mark.
func parseXML(r io.Reader) (*vql.Dict, error) {
	limited := &io.LimitedReader{R: r, N: maxXMLBytes + 1}
	in := bufio.NewReader(transform.NewReader(limited, unicode.BOMOverride(transform.Nop)))
	d := xml.NewDecoder(in)
	d.Strict = false
	d.CharsetReader = charset
	p := &xmlParser{d: d}
	var root members
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if limited.N <= 0 {
			err = fmt.Errorf("more than %d bytes: %w", maxXMLBytes, ErrLimit)
		}
		if err != nil {
			return nil, fmt.Errorf("xml: %w", err)
		}
		if start, ok := t.(xml.StartElement); ok {
			v, err := p.element(start, 1)
			if err != nil {
				return nil, fmt.Errorf("xml: %w", err)
			}
			root.add(start.Name.Local, v)
		}
	}
	if len(root.names) == 0 {
		return nil, fmt.Errorf("xml: no element: %w", ErrFormat)
	}
	return root.dict(), nil
}

// charset finds the decoder for the encoding that a document claims.
func charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf16", "utf-16le", "utf-16be", "unicode":
		return in, nil // decoded by its mark already, or plain
	case "iso-8859-1", "latin1":
		return charmap.ISO8859_1.NewDecoder().Reader(in), nil
	case "windows-1252", "cp1252":
		return charmap.Windows1252.NewDecoder().Reader(in), nil
	}
	return nil, fmt.Errorf("encoding %.40q: %w", label, ErrFormat)
}

type xmlParser struct {
	d        *xml.Decoder
	elements int
}

// element reads up to the end of an element: its text if it has nothing else, a
// dict otherwise.
func (p *xmlParser) element(start xml.StartElement, depth int) (any, error) {
	if p.elements++; p.elements > maxXMLElements || depth > maxXMLDepth {
		return nil, fmt.Errorf("%d elements, %d deep: %w", p.elements, depth, ErrLimit)
	}
	var inner members
	for _, a := range start.Attr {
		inner.add("Attr"+a.Name.Local, a.Value)
	}
	var text strings.Builder
	for {
		t, err := p.d.Token()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			v, err := p.element(t, depth+1)
			if err != nil {
				return nil, err
			}
			inner.add(t.Name.Local, v)
		case xml.EndElement:
			trimmed := strings.TrimSpace(text.String())
			if len(inner.names) == 0 {
				return trimmed, nil
			}
			if trimmed != "" {
				inner.add("Text", trimmed)
			}
			return inner.dict(), nil
		}
	}
}

// members gathers what an element holds, in the order in which names first
// appear.
type members struct {
	names  []string
	values map[string][]any
}

func (m *members) add(name string, v any) {
	if m.values == nil {
		m.values = make(map[string][]any)
	}
	if _, ok := m.values[name]; !ok {
		m.names = append(m.names, name)
	}
	m.values[name] = append(m.values[name], v)
}

// dict returns the values by name, those of a name that repeats as a list.
func (m *members) dict() *vql.Dict {
	d := vql.NewDict()
	for _, name := range m.names {
		if list := m.values[name]; len(list) == 1 {
			d.Set(name, list[0])
		} else {
			d.Set(name, list)
		}
	}
	return d
}
