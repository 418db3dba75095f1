package crashtest

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/container"
	"satchel/internal/flow"
)

// TestSlowSourceHoldsNobody writes a file that never ends and comes in at about a
// megabyte a second, without ever pausing for long, beside many small ones: these must go on being accepted, and the whole
// must close.
func TestSlowSourceHoldsNobody(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.zip")
	w, err := container.Create(path, header(writerFlow), container.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 6*time.Second, context.Canceled)
	defer cancel()
	var seen witness
	jobs := []job{
		func(ctx context.Context, s flow.Sink, r *rand.Rand, w *witness) error {
			return loadFiles(ctx, s, "small", 64<<10, 6, r, w)
		},
		func(ctx context.Context, s flow.Sink, r *rand.Rand, w *witness) error {
			return loadEndless(ctx, s, 64<<10, 50, r, w)
		},
	}
	if err := runJobs(ctx, w, rand.Uint64(), &seen, jobs); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := w.Close(context.WithoutCancel(ctx)); err != nil {
		t.Fatal(err)
	}
	t.Logf("closing took %v", time.Since(begun))
	var last time.Time
	var longest time.Duration
	files := 0
	for _, f := range seen.all() {
		if f.Kind != "file" || !strings.HasPrefix(f.Name, "small.") {
			continue
		}
		if files++; files > 1 {
			longest = max(longest, f.At.Sub(last))
		}
		last = f.At
	}
	if waited := seen.all()[len(seen.all())-1].At.Sub(last); waited > longest {
		longest = waited
	}
	if longest > 2*time.Second {
		t.Errorf("small files waited %v behind a slow one; %d were taken in 6 s", longest, files)
	}
	if found := examine(t, path, seen.all(), time.Now(), 0); found == nil || !found.complete {
		t.Errorf("found %+v, want a container that was closed", found)
	}
}
