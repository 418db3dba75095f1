package filesystem

import (
	"strings"
	"testing"

	"satchel/internal/flow"
)

// TestUploadProcfs stores files whose size says nothing of their content.
func TestUploadProcfs(t *testing.T) {
	t.Parallel()
	q := &query{sink: &sink{}}
	rows := q.must(t, "SELECT upload(file=OSPath).Error AS E FROM glob(globs=['/proc/self/status', '/proc/version', '/sys/kernel/mm/transparent_hugepage/enabled', '/dev/null'])")
	if len(rows) < 3 {
		t.Fatalf("rows %q", rows)
	}
	for _, row := range rows {
		if row != `{"E":null}` {
			t.Errorf("row %s", row)
		}
	}
	for _, u := range q.sink.uploads {
		if !u.done || u.Size != -1 || u.Path != "/dev/null" && u.n == 0 {
			t.Errorf("%s: %d bytes, size %d, done %v", u.Path, u.n, u.Size, u.done)
		}
	}
	q = &query{sink: &sink{}}
	q.must(t, "SELECT upload(file=OSPath).Error AS E FROM glob(globs='/proc/kcore')")
	for _, r := range q.sink.reports {
		if strings.HasSuffix(r.Target, "kcore") && r.Outcome != flow.OverLimit && r.Outcome != flow.Denied && r.Outcome != flow.Missing && r.Outcome != flow.Collected {
			t.Errorf("%+v", r)
		}
	}
	if len(q.sink.uploads) > 0 && q.sink.uploads[0].n > maxVolatile {
		t.Errorf("%d bytes of kcore", q.sink.uploads[0].n)
	}
	if rows := q.must(t, "SELECT read_file(filename='/proc/self/status') =~ 'VmRSS' AS R FROM scope()"); rows[0] != `{"R":true}` {
		t.Errorf("rows %q", rows)
	}
}
