package core

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"slices"

	"satchel/vql"
)

func jsonList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("parse_json", parseJSON, vql.Doc("Decodes JSON.")),
		vql.NewFunction("parse_json_array", parseJSONArray, vql.Doc("Decodes a JSON array.")),
		vql.NewValuesPlugin("parse_json_array", parseJSONRows, vql.Doc("Gives the elements of a JSON array as rows.")),
		vql.NewFunction("serialize", serialize, vql.Doc("Writes a value as json, jsonl or csv.")),
	}
}

type jsonArgs struct {
	Data   string   `vql:"data,required"`
	Schema []string `vql:"schema"`
}

func parseJSON(_ context.Context, _ *vql.Scope, a jsonArgs) (any, error) {
	if a.Data == "" {
		return nil, nil
	}
	return vql.ParseJSON([]byte(a.Data))
}

func decodeArray(data string) ([]any, error) {
	if data == "" {
		return []any{}, nil
	}
	v, err := vql.ParseJSON([]byte(data))
	if err != nil {
		return nil, err
	}
	switch t := v.(type) {
	case []any:
		return t, nil
	case nil:
		return []any{}, nil
	}
	return nil, fmt.Errorf("the JSON is %s, not an array", vql.TypeName(v))
}

func parseJSONArray(_ context.Context, _ *vql.Scope, a jsonArgs) (any, error) {
	list, err := decodeArray(a.Data)
	if err != nil {
		return nil, err
	}
	return list, nil
}

func parseJSONRows(_ context.Context, s *vql.Scope, a jsonArgs, emit func(any) bool) error {
	list, err := decodeArray(a.Data)
	if err != nil {
		return err
	}
	for _, item := range list {
		if !emit(s.RowOf(item)) {
			return nil
		}
	}
	return nil
}

type serializeArgs struct {
	Item   vql.Lazy `vql:"item,required"`
	Format string   `vql:"format"`
}

func serialize(ctx context.Context, s *vql.Scope, a serializeArgs) (any, error) {
	v := a.Item.Reduce(ctx)
	switch a.Format {
	case "", "json":
		return string(vql.AppendValue(nil, v)), nil
	case "jsonl":
		var out []byte
		for _, item := range s.Items(ctx, v) {
			out = append(vql.AppendValue(out, item), '\n')
		}
		return string(out), nil
	case "csv":
		return serializeCSV(ctx, s, v)
	}
	return nil, fmt.Errorf("format %q is none of json, jsonl, csv", a.Format)
}

func serializeCSV(ctx context.Context, s *vql.Scope, v any) (any, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	var header []string
	for _, item := range s.Items(ctx, v) {
		row := s.RowOf(item)
		if header == nil {
			header = slices.Clone(s.Members(row))
			if err := w.Write(header); err != nil {
				return nil, err
			}
		}
		cells := make([]string, len(header))
		for i, name := range header {
			cell, _ := s.Member(row, name)
			cells[i] = s.Text(cell)
		}
		if err := w.Write(cells); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return out.String(), w.Error()
}
