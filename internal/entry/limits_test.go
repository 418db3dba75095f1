package entry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"satchel/internal/flow"
)

func TestNumbersThatDoNotFitAreMalformed(t *testing.T) {
	t.Parallel()
	for name, method := range map[string]uint64{"fits": 93, "too large": 1 << 16} {
		body := binary.AppendUvarint(nil, 1)
		body = appendString(body, "m")
		body = binary.AppendUvarint(body, method)
		rest := AppendMember(nil, &Member{UploadID: 1, Name: "m"})
		body = append(body, rest[len(body)-len(binary.AppendUvarint(nil, method))+1:]...)
		m, err := DecodeMember(body)
		if fits := method <= 0xffff; fits != (err == nil) || fits && uint64(m.Method) != method {
			t.Errorf("%s: method %d, %v", name, m.Method, err)
		}
	}
	if _, err := DecodeUpload(AppendUpload(nil, &Upload{ID: 1, Parts: MaxParts + 1})); !errors.Is(err, ErrMalformed) {
		t.Errorf("an upload of too many parts: %v", err)
	}
	u := Upload{ID: 1, Upload: flow.Upload{Ranges: make([]flow.Range, MaxRanges)}}
	if _, err := DecodeUpload(AppendUpload(nil, &u)); err != nil {
		t.Errorf("as many runs as there may be: %v", err)
	}
	u.Upload.Ranges = make([]flow.Range, MaxRanges+1)
	if _, err := DecodeUpload(AppendUpload(nil, &u)); !errors.Is(err, ErrMalformed) {
		t.Errorf("one run more: %v", err)
	}
}

func TestCheckRows(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxRowsBytes)
	for _, tt := range []struct {
		name, jsonl string
		rows        int
		ok, over    bool
	}{
		{"none", "", 0, true, false},
		{"two", "{}\n{}\n", 2, true, false},
		{"another number", "{}\n{}\n", 3, false, false},
		{"no newline", "{}", 0, false, false},
		{"no newline at the end", "{}\n{}", 1, false, false},
		{"a row over the limit", "{}\n" + long + "\n{}\n", 3, false, true},
		{"more than a frame in small rows", strings.Repeat("{}\n", MaxRowsBytes/2), MaxRowsBytes / 2, true, false},
	} {
		b := flow.RowBatch{JSONL: []byte(tt.jsonl), Rows: tt.rows}
		err := CheckRows(b)
		if (err == nil) != tt.ok || (flow.OutcomeOf(err, "") == flow.OverLimit) != tt.over {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !tt.ok {
			continue
		}
		var back []byte
		if err := SplitRows(b, func(p flow.RowBatch) error { back = append(back, p.JSONL...); return CheckRows(p) }); err != nil || !bytes.Equal(back, b.JSONL) {
			t.Errorf("%s: split gives %d of %d bytes, %v", tt.name, len(back), len(b.JSONL), err)
		}
	}
}
