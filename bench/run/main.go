// Command run measures the two binaries as a user meets them: wall time, CPU
// time and peak memory of whole commands on the reference tree, beside gzip and
// sha256sum on the same data in the same run. It prints a table and judges
// nothing; it fails only when a command fails.
//
//	go run ./bench/run -bin bin -work build/bench/work -out build/bench/commands.md
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"satchel/bench/tree"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	bin, work, definitions, out string
	only                        *regexp.Regexp
	quick, treeOnly             bool
}

func parse(args []string) (options, error) {
	var o options
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.bin, "bin", "bin", "folder of the two binaries")
	f.StringVar(&o.work, "work", "build/bench/work", "folder for the tree and the outputs; the tree is kept for the next run")
	f.StringVar(&o.definitions, "definitions", "bench/definitions", "folder of the artifacts that are measured")
	f.StringVar(&o.out, "out", "", "file for the table, besides stdout")
	f.StringVar(&only, "only", ".", "measure only what matches this pattern")
	f.BoolVar(&o.quick, "quick", false, "a hundredth of everything: proves that the measures run, its numbers mean nothing")
	f.BoolVar(&o.treeOnly, "tree", false, "make the reference tree in the work folder and stop")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for _, p := range []*string{&o.bin, &o.work, &o.definitions} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return o, err
		}
		*p = abs
	}
	var err error
	o.only, err = regexp.Compile(only)
	return o, err
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	b := &bench{options: o, tree: filepath.Join(o.work, "tree"), spec: tree.Reference(), rows: 5_000_000, upload: 2_000_000_000, starts: 20}
	if o.quick {
		b.spec.SmallFiles, b.spec.LargeBytes = b.spec.SmallFiles/100, b.spec.LargeBytes/100
		b.rows, b.upload, b.starts = b.rows/100, b.upload/100, 3
		b.tree += "-quick"
	}
	made, err := tree.Make(b.tree, b.spec)
	if err != nil {
		return fmt.Errorf("make the reference tree: %w", err)
	}
	b.made = made
	if o.treeOnly {
		fmt.Println(b.tree)
		return nil
	}
	err = b.all(ctx)
	table := b.table()
	fmt.Print(table)
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(table), 0o644); err != nil {
			return err
		}
	}
	return err
}

// table renders what was measured as Markdown.
func (b *bench) table() string {
	var s strings.Builder
	fmt.Fprintf(&s, "Machine: %s, %d cores, %s/%s, %s, %s. Tree: %d files, %.2f GB.\n", cpuModel(), runtime.NumCPU(),
		runtime.GOOS, runtime.GOARCH, runtime.Version(), time.Now().UTC().Format(time.DateOnly), b.made.Files, float64(b.made.Bytes)/1e9)
	fmt.Fprintf(&s, "Peak memory is that of the process alone; %s counts as %.1f MB the same way.\n\n", "`true`", float64(b.floor)/1e6)
	s.WriteString("| measure | wall s | CPU s | peak MB | MB/s | out MB | command |\n|---|---|---|---|---|---|---|\n")
	for _, m := range b.measures {
		rate, size := "", ""
		if m.bytes > 0 {
			rate = fmt.Sprintf("%.0f", float64(m.bytes)/1e6/m.Wall.Seconds())
		}
		if m.out > 0 {
			size = fmt.Sprintf("%.1f", float64(m.out)/1e6)
		}
		fmt.Fprintf(&s, "| %s | %.3f | %.3f | %.0f | %s | %s | `%s` |\n", m.name, m.Wall.Seconds(), m.CPU.Seconds(), float64(m.Peak)/1e6, rate, size, m.shown)
	}
	for _, n := range b.notes {
		fmt.Fprintf(&s, "\n%s\n", n)
	}
	return s.String()
}

func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
