package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/artifacts"
	"satchel/internal/flow"
	"satchel/vql"
	"satchel/vql/plugins/core"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the expected results")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A file of queries holds blocks. A block begins with "=== name"; what follows
// to the line "---" is VQL; what follows that is expected: the rows of each
// statement as JSONL, with "SELECT" or "EXPLAIN" before those of the second and
// later ones, then the log with "# ", then the errors with "! ".
type block struct {
	name, query, want string
}

func readBlocks(t *testing.T, text string) []block {
	t.Helper()
	var out []block
	for _, part := range strings.Split("\n"+text, "\n=== ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		query, want, _ := strings.Cut(rest, "\n---")
		out = append(out, block{name, query, strings.Trim(want, "\n")})
	}
	if len(out) == 0 {
		t.Fatal("no queries")
	}
	return out
}

func TestQueries(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.vql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of queries: %v", err)
	}
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := readBlocks(t, string(text))
		total += len(blocks)
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			for _, b := range blocks {
				got := result(t, b.query)
				fmt.Fprintf(&out, "=== %s\n%s\n---\n%s\n\n", b.name, strings.Trim(b.query, "\n"), got)
				if diff := cmp.Diff(b.want, got); diff != "" && !*update {
					t.Errorf("%s (-want +got):\n%s\n%s", b.name, b.query, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, append(bytes.TrimRight(out.Bytes(), "\n"), '\n'), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if total < 300 {
		t.Errorf("%d queries, want at least 300", total)
	}
}

// result runs a query and writes what it gives.
func result(t *testing.T, query string) string {
	t.Helper()
	var out []byte
	var logs []string
	var mu sync.Mutex
	runner := vql.NewRunner(coreSet(t), vql.Options{
		Clock:     func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		Rand:      rand.NewPCG(1, 2),
		Artifacts: testArtifacts(t),
		Env:       []vql.Var{{Name: "Greeting", Value: "hello"}},
		Log: func(l flow.LogLine) {
			mu.Lock()
			defer mu.Unlock()
			if !strings.HasPrefix(l.Message, "stack:") {
				logs = append(logs, fmt.Sprintf("# %s %s", l.Level, l.Message))
			}
		},
	})
	first := true
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stats, err := runner.Run(ctx, vql.Request{Text: query, OnStatement: func(s vql.Statement) {
		if s.Kind == "LET" {
			return
		}
		if !first {
			out = append(out, s.Kind+"\n"...)
		}
		first = false
	}}, func(r vql.Row) error {
		out = append(vql.AppendJSON(out, r), '\n')
		return nil
	})
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(out) == 0 {
		lines = nil
	}
	if err != nil {
		lines = append(lines, "! "+strings.ReplaceAll(err.Error(), "\n", " "))
	}
	for i := range stats.Errors {
		e := &stats.Errors[i]
		line := fmt.Sprintf("! %s %s", e.Kind, e.Error())
		if e.Count > 1 {
			line += fmt.Sprintf(" (%d times)", e.Count)
		}
		lines = append(lines, line)
	}
	for _, l := range logs {
		if !strings.HasPrefix(l, "# ERROR") { // errors of the run are there already
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

type letterArgs struct {
	N int64 `vql:"n"`
}

type letterRow struct {
	Letter string
	Number int64
	Half   float64
	When   time.Time
	Nested struct {
		A int64
		B string `vql:"b"`
	}
	List []string
}

// letters gives n rows that are always the same.
func letters(_ context.Context, _ *vql.Scope, a letterArgs, emit func(*letterRow) bool) error {
	for i := range a.N {
		row := &letterRow{Letter: string(rune('a' + i%26)), Number: i, Half: float64(i) / 2, List: []string{"x", fmt.Sprint(i)}}
		row.When = time.Date(2026, 1, 1, 0, 0, int(i), 0, time.UTC)
		row.Nested.A, row.Nested.B = i*10, fmt.Sprint("b", i)
		if !emit(row) {
			return nil
		}
	}
	return nil
}

type faultArgs struct {
	How  string `vql:"how"`
	Rows int64  `vql:"rows"`
}

var errFault = errors.New("it broke")

func coreSet(t *testing.T) *vql.Set {
	t.Helper()
	set := vql.NewSet()
	err := set.Add(append(core.List(),
		vql.NewPlugin("letters", letters),
		vql.NewPlugin("faulty", func(_ context.Context, _ *vql.Scope, a faultArgs, emit func(*letterRow) bool) error {
			for i := range a.Rows {
				emit(&letterRow{Number: i})
			}
			if a.How == "panic" {
				panic("boom")
			}
			return errFault
		}),
		vql.NewFunction("fault", func(_ context.Context, _ *vql.Scope, a faultArgs) (any, error) {
			if a.How == "panic" {
				panic("boom")
			}
			return nil, errFault
		}),
		vql.NewFunction("bytes", func(_ context.Context, _ *vql.Scope, a faultArgs) (any, error) { return []byte(a.How), nil }),
		vql.NewFunction("big", func(context.Context, *vql.Scope, struct{}) (any, error) { return uint64(1<<64 - 1), nil }),
		vql.NewFunction("secret", func(context.Context, *vql.Scope, struct{}) (any, error) { return "seen", nil }, vql.Permission("EXECVE")),
		vql.NewPlugin("secrets", letters, vql.Permission("MACHINE_STATE")),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Check(); err != nil {
		t.Fatal(err)
	}
	return set
}

func testArtifacts(t *testing.T) *artifacts.Repository {
	t.Helper()
	var texts [][]byte
	files, err := filepath.Glob("testdata/artifacts/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no artifacts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	r, err := artifacts.Embedded().WithDefinitions("testdata", texts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func FuzzQuery(f *testing.F) {
	files, err := filepath.Glob("testdata/*.vql")
	if err != nil || len(files) == 0 {
		f.Fatalf("no files of queries: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range strings.Split("\n"+string(text), "\n=== ")[1:] {
			_, rest, _ := strings.Cut(part, "\n")
			query, _, _ := strings.Cut(rest, "\n---")
			f.Add(query)
		}
	}
	f.Fuzz(func(t *testing.T, query string) {
		runner := vql.NewRunner(coreSet(t), vql.Options{Timeout: time.Second, Grace: time.Second, Limits: vql.Limits{MaxRows: 1000}})
		var out []byte
		_, _ = runner.Run(t.Context(), vql.Request{Text: query}, func(r vql.Row) error {
			if out = vql.AppendJSON(out[:0], r); !json.Valid(out) {
				t.Errorf("%q wrote %s", query, out)
			}
			return nil
		})
	})
}
