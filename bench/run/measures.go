package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"satchel/bench/tree"
)

// bench is one run: what to measure on, and what was measured so far.
type bench struct {
	options
	tree   string
	spec   tree.Spec
	made   tree.Tree
	rows   int
	upload int64 // bytes of the one large upload
	starts int   // how often a start is measured; the median counts

	floor    int64 // peak of a command that does nothing
	measures []measure
	notes    []string
}

// measure is one line of the table.
type measure struct {
	name, shown string
	bytes       int64 // of the input, 0 where a rate says nothing
	out         int64 // of the output, 0 where there is none
	usage
}

// usage is what one process took.
type usage struct {
	Wall, CPU time.Duration
	Peak      int64 // bytes of resident memory
}

// all takes every measure that the pattern asks for. One that fails is noted
// and the rest still runs.
func (b *bench) all(ctx context.Context) error {
	if u, err := measureCommand(ctx, nil, "true"); err == nil {
		b.floor = u.Peak
	}
	steps := []struct {
		name string
		do   func(context.Context, string) error
	}{
		{"tools on the tree", b.tools},
		{"collect the tree", b.collectTree},
		{"collect by kind", b.collectKinds},
		{"import of many files", b.importTree},
		{"one large upload", b.largeUpload},
		{"many rows", b.manyRows},
		{"start", b.start},
		{"binary size", b.sizes},
	}
	var failed error
	for _, s := range steps {
		if !b.only.MatchString(s.name) {
			continue
		}
		if err := s.do(ctx, s.name); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
			b.notes = append(b.notes, fmt.Sprintf("FAILED %s: %v", s.name, err))
		}
		if ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
	}
	return failed
}

// add measures one command. The output file, where there is one, is removed
// before. Exit code 3 (some items failed) is a failure here: nothing in these
// data may fail.
func (b *bench) add(ctx context.Context, m measure, pin []string, name string, args ...string) error {
	output := ""
	if i := slices.Index(args, "-o"); i >= 0 {
		output = args[i+1]
		if err := os.RemoveAll(output); err != nil {
			return err
		}
	}
	var err error
	if m.usage, err = measureCommand(ctx, pin, name, args...); err != nil {
		return err
	}
	if output != "" {
		info, err := os.Stat(output)
		if err != nil {
			return err
		}
		m.out = info.Size()
	}
	m.shown = strings.Join(append(append(slices.Clone(pin), filepath.Base(name)), args...), " ")
	m.shown = strings.NewReplacer(b.tree, "TREE", b.work, "WORK", b.definitions, "DEFS", "|", "\\|").Replace(m.shown)
	b.measures = append(b.measures, m)
	fmt.Fprintf(os.Stderr, "%-40s %7.3f s  %6.0f MB\n", m.name, m.Wall.Seconds(), float64(m.Peak)/1e6)
	return nil
}

func (b *bench) path(name string) string { return filepath.Join(b.work, name) }

// collect measures `collect run` of the files below a folder of the tree.
func (b *bench) collect(ctx context.Context, name string, pin []string, glob string, bytes int64, output string) error {
	return b.add(ctx, measure{name: name, bytes: bytes}, pin, filepath.Join(b.bin, "collect"),
		"run", "Bench.Files", "--definitions", b.definitions, "--args", "Globs="+glob, "-o", b.path(output), "--quiet")
}

func (b *bench) tools(ctx context.Context, _ string) error {
	err := b.add(ctx, measure{name: "gzip -5", bytes: b.made.Bytes}, nil, "sh", "-c", "find "+b.tree+" -type f -exec cat {} + | gzip -5 >/dev/null")
	return errors.Join(err,
		b.add(ctx, measure{name: "sha256sum", bytes: b.made.Bytes}, nil, "sh", "-c", "find "+b.tree+" -type f -exec sha256sum {} + >/dev/null"))
}

func (b *bench) collectTree(ctx context.Context, name string) error {
	for _, c := range cores() {
		if err := b.collect(ctx, name+", "+c.name, c.pin, b.tree+"/*/**", b.made.Bytes, "tree.zip"); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) collectKinds(ctx context.Context, _ string) error {
	for _, kind := range []string{"large/text", "large/random", "small/text", "small/random"} {
		bytes, err := folderBytes(filepath.Join(b.tree, kind))
		if err != nil {
			return err
		}
		for _, c := range cores() {
			if err := b.collect(ctx, "collect "+kind+", "+c.name, c.pin, filepath.Join(b.tree, kind)+"/**", bytes, "kind.zip"); err != nil {
				return err
			}
		}
		err = b.add(ctx, measure{name: "gzip -5 " + kind, bytes: bytes}, nil, "sh", "-c", "find "+filepath.Join(b.tree, kind)+" -type f -exec cat {} + | gzip -5 >/dev/null")
		if err != nil {
			return err
		}
	}
	return nil
}

// importTree imports the container of the whole tree, then one of the large
// files alone: many members against many bytes.
func (b *bench) importTree(ctx context.Context, _ string) error {
	if _, err := os.Stat(b.path("tree.zip")); err != nil { // left by an earlier measure
		if err := b.collect(ctx, "collect the tree", nil, b.tree+"/*/**", b.made.Bytes, "tree.zip"); err != nil {
			return err
		}
	}
	bytes, err := folderBytes(filepath.Join(b.tree, "large"))
	if err != nil {
		return err
	}
	if err := b.collect(ctx, "collect the large files", nil, b.tree+"/large/**", bytes, "large.zip"); err != nil {
		return err
	}
	imports := []struct {
		name, file string
		bytes      int64
	}{
		{fmt.Sprintf("import %d files", b.made.Files), "tree.zip", b.made.Bytes},
		{fmt.Sprintf("import %.2f GB of large files", float64(bytes)/1e9), "large.zip", bytes},
	}
	for _, i := range imports {
		store := b.path("store")
		if err := os.RemoveAll(store); err != nil {
			return err
		}
		err := b.add(ctx, measure{name: i.name, bytes: i.bytes}, nil, filepath.Join(b.bin, "ingest"), "import", "--store", store, b.path(i.file), "--quiet")
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) largeUpload(ctx context.Context, _ string) error {
	name := b.path("large.bin")
	if info, err := os.Stat(name); err != nil || info.Size() != b.upload {
		if err := writeMixed(name, b.upload); err != nil {
			return err
		}
	}
	err := b.collect(ctx, fmt.Sprintf("one upload of %.2f GB", float64(b.upload)/1e9), nil, name, b.upload, "upload.zip")
	return errors.Join(err, os.Remove(name))
}

func (b *bench) manyRows(ctx context.Context, _ string) error {
	return b.add(ctx, measure{name: fmt.Sprintf("%d rows", b.rows)}, nil, filepath.Join(b.bin, "collect"),
		"run", "Bench.Rows", "--definitions", b.definitions, "--args", fmt.Sprintf("Count=%d", b.rows), "-o", b.path("rows.zip"), "--quiet")
}

func (b *bench) start(ctx context.Context, _ string) error {
	var all []measure
	for range b.starts {
		if err := b.add(ctx, measure{name: "start of a trivial query"}, nil, filepath.Join(b.bin, "collect"), "query", "SELECT 1 FROM scope()"); err != nil {
			return err
		}
		all = append(all, b.measures[len(b.measures)-1])
		b.measures = b.measures[:len(b.measures)-1]
	}
	slices.SortFunc(all, func(x, y measure) int { return int(x.Wall - y.Wall) })
	median := all[len(all)/2]
	median.name = fmt.Sprintf("%s (median of %d)", median.name, len(all))
	b.measures = append(b.measures, median)
	return nil
}

func (b *bench) sizes(context.Context, string) error {
	for _, name := range []string{"collect", "ingest"} {
		info, err := os.Stat(filepath.Join(b.bin, name))
		if err != nil {
			return err
		}
		b.notes = append(b.notes, fmt.Sprintf("`%s`: %.1f MB", name, float64(info.Size())/1e6))
	}
	return nil
}

// writeMixed writes a file of random and repetitive megabytes in turn.
func writeMixed(name string, bytes int64) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	random, text := tree.Content(2, 0, false), tree.Content(2, 1, true)
	for left := bytes; left > 0; {
		from := random
		if (left/1e6)%2 == 0 {
			from = text
		}
		n, err := io.CopyN(f, from, min(left, 1e6))
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func folderBytes(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

type coreSet struct {
	name string
	pin  []string
}

// cores returns two cores and one, where the machine can pin a command.
func cores() []coreSet {
	if _, err := exec.LookPath("taskset"); err != nil {
		return []coreSet{{name: "all cores"}}
	}
	return []coreSet{{"2 cores", []string{"taskset", "-c", "0,1"}}, {"1 core", []string{"taskset", "-c", "0"}}}
}
