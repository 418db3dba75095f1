package artifacts

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// conversion returns the VQL expression that makes a value of the declared type
// out of the text in the variable v, or "" for types that stay text. ok is false
// for a type that the schema does not have.
func conversion(typ, v string) (expr string, ok bool) {
	switch typ {
	case "", "string", "regex", "yara", "redacted", "choices", "hidden", "server_metadata", "upload", "upload_file", "starlark", "starl", "artifact":
		return "", true
	case "int", "int64", "integer":
		return "int(int=" + v + ")", true
	case "float":
		return "parse_float(string=" + v + ")", true
	case "timestamp":
		return "timestamp(epoch=" + v + ")", true
	case "bool":
		return v + " =~ '^(Y|TRUE|YES|OK)$'", true
	case "csv", "artifactset":
		return "SELECT * FROM parse_csv(filename=" + v + ", accessor='data')", true
	case "json":
		return "parse_json(data=" + v + ")", true
	case "json_array", "regex_array", "multichoice":
		return "parse_json_array(data=" + v + ")", true
	case "xml":
		return "parse_xml(file=" + v + ", accessor='data')", true
	case "yaml":
		return "parse_yaml(filename=" + v + ", accessor='data')", true
	}
	return "", false
}

// typeNames lists the parameter types, for the nearest of a misspelt one.
func typeNames() []string {
	return []string{"string", "regex", "yara", "redacted", "choices", "hidden", "server_metadata", "upload", "upload_file",
		"starlark", "artifact", "int", "int64", "integer", "float", "timestamp", "bool", "csv", "artifactset", "json",
		"json_array", "regex_array", "multichoice", "xml", "yaml"}
}

func knownType(typ string) bool {
	_, ok := conversion(typ, "x")
	return ok
}

// Let returns the VQL statement that replaces the text of the parameter by a
// value of its type, in its own name: LET `Name` <= int(int=`Name`). It is empty
// for types that stay text.
func (p Parameter) Let() string {
	v := "`" + p.Name + "`"
	expr, _ := conversion(p.Type, v)
	if expr == "" {
		return ""
	}
	return "LET " + v + " <= " + expr
}

// Normal returns value in the form that the type asks for, where a person may
// have written a shorter one: Y or N for other words of that meaning, a JSON
// array for choices with commas between them, CSV with the header of the default
// for one cell or for a JSON array of cells or, of a set, for names with commas.
// Other values come back as they are.
func (p Parameter) Normal(value string) string {
	switch p.Type {
	case "bool":
		switch strings.ToLower(value) {
		case "1", "t", "on":
			return "Y"
		case "0", "f", "off":
			return "N"
		}
	case "multichoice":
		return p.normalChoices(value)
	case "artifactset":
		if setRegex.MatchString(value) && value != "Artifact" {
			return "Artifact\n" + strings.ReplaceAll(value, ",", "\n") + "\n"
		}
	case "csv":
		return p.normalCells(value)
	}
	return value
}

// normalCells makes CSV of the cells of a parameter with one column, given as one
// line or as a JSON array of strings.
func (p Parameter) normalCells(value string) string {
	header := csvHeader(p.Default)
	if len(header) != 1 || value == "" || value == header[0] {
		return value
	}
	var cells []string
	if err := json.Unmarshal([]byte(value), &cells); err != nil {
		if strings.Contains(value, "\n") {
			return value
		}
		cells = []string{value}
	}
	var b strings.Builder
	b.WriteString(header[0] + "\n")
	for _, cell := range cells {
		b.WriteString("\"" + strings.ReplaceAll(cell, `"`, `""`) + "\"\n")
	}
	return b.String()
}

func (p Parameter) normalChoices(value string) string {
	if value == "" || strings.HasPrefix(strings.TrimSpace(value), "[") {
		return value
	}
	parts := strings.Split(value, ",")
	for _, part := range parts {
		if !slices.Contains(p.Choices, part) {
			return value
		}
	}
	data, err := json.Marshal(parts)
	if err != nil {
		return value
	}
	return string(data)
}

// Validate says why value is not one of the parameter's type, or is empty. An
// empty value is always allowed: it stands for "none".
func (p Parameter) Validate(value string) string {
	if value == "" {
		return ""
	}
	if reason := p.validateType(value); reason != "" {
		return reason
	}
	if p.ValidatingRegex != "" {
		re, err := regexp.Compile(p.ValidatingRegex)
		if err == nil && !re.MatchString(value) {
			return fmt.Sprintf("%q does not match %s", clip(value), p.ValidatingRegex)
		}
	}
	return ""
}

func (p Parameter) validateType(value string) string {
	switch p.Type {
	case "int", "int64", "integer":
		if _, err := strconv.ParseInt(value, 0, 64); err != nil {
			return fmt.Sprintf("%q is not a whole number", clip(value))
		}
	case "float":
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return fmt.Sprintf("%q is not a number", clip(value))
		}
	case "bool":
		switch strings.ToUpper(value) {
		case "Y", "YES", "TRUE", "OK", "N", "NO", "FALSE":
		default:
			return fmt.Sprintf("%q is neither Y nor N", clip(value))
		}
	case "timestamp":
		if !isTimestamp(value) {
			return fmt.Sprintf("%q is not a time such as 2026-01-31T12:00:00Z or seconds since 1970", clip(value))
		}
	case "regex":
		if _, err := regexp.Compile(value); err != nil {
			return fmt.Sprintf("not a regular expression: %v", err)
		}
	case "choices":
		if len(p.Choices) > 0 && !slices.Contains(p.Choices, value) {
			return fmt.Sprintf("%q is not one of %s%s", clip(value), strings.Join(p.Choices, ", "), didYouMean(value, p.Choices))
		}
	case "json":
		if !json.Valid([]byte(value)) {
			return fmt.Sprintf("%q is not JSON", clip(value))
		}
	case "json_array", "regex_array", "multichoice":
		return p.validateArray(value)
	case "csv", "artifactset":
		return p.validateCSV(value)
	}
	return ""
}

// validateArray checks a JSON array; those of a multichoice must be choices and
// those of a regex_array regular expressions.
func (p Parameter) validateArray(value string) string {
	var list []any
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		if p.Type == "multichoice" && len(p.Choices) > 0 {
			return fmt.Sprintf("%q is not a list, with commas, of %s%s", clip(value), strings.Join(p.Choices, ", "), didYouMean(value, p.Choices))
		}
		return fmt.Sprintf("%q is not a JSON array", clip(value))
	}
	for _, v := range list {
		s, text := v.(string)
		switch p.Type {
		case "multichoice":
			if len(p.Choices) > 0 && (!text || !slices.Contains(p.Choices, s)) {
				return fmt.Sprintf("%v is not one of %s%s", v, strings.Join(p.Choices, ", "), didYouMean(s, p.Choices))
			}
		case "regex_array":
			if _, err := regexp.Compile(s); !text || err != nil {
				return fmt.Sprintf("%v is not a regular expression", v)
			}
		}
	}
	return ""
}

// validateCSV refuses rows that have more cells than the header, mostly a comma
// that should be in quotes, and a header that has nothing in common with that of
// the default, mostly one that was left out.
func (p Parameter) validateCSV(value string) string {
	r := newCSV(value)
	header, err := r.Read()
	if err == io.EOF {
		return ""
	}
	if want := csvHeader(p.Default); len(want) > 0 && !slices.ContainsFunc(header, func(s string) bool { return slices.Contains(want, s) }) {
		return fmt.Sprintf("the first line of the CSV must name the columns (%s), it is %q", strings.Join(want, ", "), clip(strings.Join(header, ",")))
	}
	for n := len(header); err == nil; {
		var record []string
		if record, err = r.Read(); len(record) > n {
			at, _ := r.FieldPos(n)
			return fmt.Sprintf("line %d of the CSV has %d cells and the header %d; text with a comma in it stands in quotes", at, len(record), n)
		}
	}
	if err != io.EOF {
		return fmt.Sprintf("not CSV: %v", err)
	}
	return ""
}

// csvHeader returns the names of the columns of CSV text.
func csvHeader(text string) []string {
	header, err := newCSV(text).Read()
	if err != nil {
		return nil
	}
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	return header
}

func newCSV(text string) *csv.Reader {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	r.LazyQuotes = true
	r.TrimLeadingSpace = true
	return r
}

// isTimestamp accepts RFC 3339, a date with or without a time, and seconds
// since 1970.
func isTimestamp(value string) bool {
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return true
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly, "2006-01-02T15:04:05", "2006-01-02 15:04"} {
		if _, err := time.Parse(layout, value); err == nil {
			return true
		}
	}
	return false
}

// readCSV reads CSV text with a header into rows by column name.
func readCSV(text string) ([]map[string]string, error) {
	r := newCSV(text)
	header, err := r.Read()
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rows []map[string]string
	for {
		record, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		row := make(map[string]string, len(header))
		for i, name := range header {
			if i < len(record) {
				row[strings.TrimSpace(name)] = record[i]
			}
		}
		rows = append(rows, row)
	}
}
