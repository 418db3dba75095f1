package container

import (
	"encoding/json"
	"fmt"

	"satchel/internal/flow"
)

// sparseRun is a run of a sparse file as its .idx member tells it: Length bytes
// at OriginalOffset of the file, of which FileLength lie at FileOffset of the
// stored bytes. A FileLength of 0 is a run of zeros.
type sparseRun struct {
	FileOffset     int64 `json:"file_offset,omitempty"`
	OriginalOffset int64 `json:"original_offset,omitempty"`
	FileLength     int64 `json:"file_length,omitempty"`
	Length         int64 `json:"length,omitempty"`
}

type sparseFile struct {
	Ranges []sparseRun `json:"ranges"`
}

// sparseIndex returns the .idx member for the ranges of a file of which stored
// bytes lie in the container. When the reading ended early the runs end where
// the stored bytes end: nothing is padded, so the offsets of all runs are true.
func sparseIndex(ranges []flow.Range, stored int64) []byte {
	out := sparseFile{Ranges: make([]sparseRun, 0, len(ranges))}
	var at int64
	for _, r := range ranges {
		run := sparseRun{OriginalOffset: r.Offset, Length: r.Length}
		if !r.Sparse {
			have := min(r.Length, stored-at)
			if have <= 0 && r.Length > 0 {
				break
			}
			run.FileOffset, run.FileLength, run.Length = at, have, have
			at += have
			out.Ranges = append(out.Ranges, run)
			if have < r.Length {
				break
			}
			continue
		}
		out.Ranges = append(out.Ranges, run)
	}
	b, err := json.Marshal(out)
	if err != nil { // integers alone: cannot happen
		return []byte(`{"ranges":[]}`)
	}
	return b
}

// parseSparseIndex reads an .idx member, also the older form of one range a
// line, and checks that the runs are in order and lie within the stored bytes.
func parseSparseIndex(b []byte, stored int64) ([]sparseRun, error) {
	var f sparseFile
	if err := json.Unmarshal(b, &f); err != nil || f.Ranges == nil {
		f.Ranges = nil
		if err := eachJSONLine(b, func(line []byte) error {
			var r sparseRun
			if err := json.Unmarshal(line, &r); err != nil {
				return err
			}
			f.Ranges = append(f.Ranges, r)
			return nil
		}); err != nil {
			return nil, fmt.Errorf("read the sparse index: %w", err)
		}
	}
	var logical int64
	for i, r := range f.Ranges {
		switch {
		case r.OriginalOffset < 0 || r.Length < 0 || r.FileOffset < 0 || r.FileLength < 0,
			r.OriginalOffset > maxLogical || r.Length > maxLogical-r.OriginalOffset:
			return nil, fmt.Errorf("run %d of the sparse index is out of range", i)
		case r.OriginalOffset < logical:
			return nil, fmt.Errorf("run %d of the sparse index overlaps the one before", i)
		case r.FileLength > 0 && (r.FileLength > r.Length || r.FileOffset > stored || r.FileLength > stored-r.FileOffset):
			return nil, fmt.Errorf("run %d of the sparse index lies outside the %d stored bytes", i, stored)
		}
		logical = r.OriginalOffset + r.Length
	}
	return f.Ranges, nil
}

// maxLogical bounds the logical size of a sparse file: 8 EiB less a margin
// would overflow sums, 4 EiB does not.
const maxLogical = 1 << 62
