package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"satchel/container"
	"satchel/internal/flow"
	"satchel/internal/fsx"
)

// TestMain lets the scripts run the program, and one that makes containers.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ingest":  main,
		"fixture": func() { os.Exit(fixtureMain(os.Args[1:])) },
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "flip": flip, "tries": tries},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SATCHEL_STORE", filepath.Join(e.WorkDir, "store"))
			e.Setenv("USER", "tester")
			return nil
		},
	})
}

// exits runs a program and checks its exit code: exits 3 ingest import ...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// tries runs a program whose exit code does not matter here.
func tries(ts *testscript.TestScript, _ bool, args []string) {
	var exit *exec.ExitError
	if err := ts.Exec(args[0], args[1:]...); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
}

// flip changes one bit where TEXT begins in a file: flip FILE TEXT.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE TEXT")
	}
	data := []byte(ts.ReadFile(args[0]))
	at := bytes.Index(data, []byte(args[1]))
	if at < 0 {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// fixture describes a container that a test needs.
type fixture struct {
	id, client, host string
	rows, files      int
	large            int    // bytes of one further file
	snapshot         string // copy container and spool to here before Close
	hostile          bool
	failed           bool
	twins            bool
	many             int // make so many below a directory
	marker           string
}

// fixtureMain makes containers for the scripts:
// fixture [flags] OUT.zip, or fixture -many N DIR.
func fixtureMain(args []string) int {
	var f fixture
	fs := flag.NewFlagSet("fixture", flag.ContinueOnError)
	fs.StringVar(&f.id, "id", "F.D000000000001", "flow id")
	fs.StringVar(&f.client, "client", "C.00000000000000aa", "client id")
	fs.StringVar(&f.host, "host", "web-03", "host name")
	fs.IntVar(&f.rows, "rows", 5, "rows of Test.Rows/All")
	fs.IntVar(&f.files, "files", 3, "uploads")
	fs.IntVar(&f.large, "large", 0, "bytes of one further upload, unfinished in the snapshot")
	fs.StringVar(&f.snapshot, "snapshot", "", "copy container and spool to `FILE` half way")
	fs.BoolVar(&f.hostile, "hostile", false, "use hostile names and texts")
	fs.BoolVar(&f.failed, "failed", false, "let an item fail")
	fs.BoolVar(&f.twins, "twins", false, "add files whose names differ in case only, and one with the longest name")
	fs.IntVar(&f.many, "many", 0, "make so many containers below a directory")
	fs.StringVar(&f.marker, "marker", "row", "text in the rows")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if err := f.make(fs.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "fixture:", err)
		return 1
	}
	return 0
}

func (f fixture) make(out string) error {
	if f.many == 0 {
		return f.one(out)
	}
	for i := range f.many {
		f.id, f.client, f.host = fmt.Sprintf("F.D%012d", i), fmt.Sprintf("C.%016x", i%100), fmt.Sprintf("host-%d", i%100)
		dir := filepath.Join(out, fmt.Sprint(i%7))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := f.one(filepath.Join(dir, fmt.Sprintf("%d.zip", i))); err != nil {
			return err
		}
	}
	return nil
}

// lazyFS does not wait for the disk.
type lazyFS struct{ fsx.FS }

type lazyFile struct{ fsx.File }

func (lazyFile) Sync() error { return nil }

func (l lazyFS) OpenFile(name string, flag int, perm os.FileMode) (fsx.File, error) {
	f, err := l.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return lazyFile{f}, nil
}

func (lazyFS) SyncDir(string) error { return nil }

func (f fixture) one(out string) error {
	ctx := context.Background()
	at := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	h := container.Header{
		Flow: flow.Flow{ID: f.id, ClientID: f.client, Created: at, Case: "case-1", Examiner: "Eve", Request: flow.Request{
			Artifacts: []string{"Test.Rows", "Test.Files", "Linux.Sys.Users"},
			Specs:     []flow.Spec{{Artifact: "Test.Rows", Parameters: []flow.Param{{Key: "N", Value: fmt.Sprint(f.rows)}}}},
		}},
		Host: flow.Host{HostID: f.client, RawID: "machine-of-" + f.host, Hostname: f.host, FQDN: f.host + ".example.org", OS: "linux", Arch: "amd64",
			Info: []byte(`{"Hostname":"` + f.host + `","OS":"linux","KernelVersion":"6.1.0"}`)},
		Tool:    flow.Tool{Name: "collect", Version: "1.0-test"},
		Clock:   flow.Clock{Wall: at, Timezone: "UTC"},
		Sources: []string{"Test.Rows/All", "Test.Files", "Linux.Sys.Users", "Test.Empty"},
	}
	w, err := container.Create(out, h, container.Options{SyncEvery: 5 * time.Millisecond, FS: lazyFS{fsx.OS()}, Workers: 1})
	if err != nil {
		return err
	}
	if err := f.firstHalf(ctx, w); err != nil {
		return err
	}
	var large flow.UploadWriter
	data := bytes.Repeat([]byte("large file "), f.large/11+1)[:f.large]
	if f.large > 0 {
		if large, err = w.Upload(ctx, upload("/data/large.bin", int64(f.large))); err != nil {
			return err
		}
		if _, err := large.Write(data[:f.large/2]); err != nil {
			return err
		}
	}
	if f.snapshot != "" {
		if err := f.takeSnapshot(out); err != nil {
			return err
		}
	}
	if large != nil {
		if _, err := large.Write(data[f.large/2:]); err != nil {
			return err
		}
		if _, err := large.Commit(); err != nil {
			return err
		}
	}
	if err := f.secondHalf(ctx, w); err != nil {
		return err
	}
	_, err = w.Close(ctx)
	return err
}

func upload(path string, size int64) flow.Upload {
	return flow.Upload{Source: "Test.Files", Accessor: "file", Path: path, Components: strings.Split(strings.Trim(path, "/"), "/"), Size: size,
		Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func send(ctx context.Context, w *container.Writer, u flow.Upload, data string) error {
	u.Size = int64(len(data))
	uw, err := w.Upload(ctx, u)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(uw, data); err != nil {
		return err
	}
	_, err = uw.Commit()
	return err
}

func batch(lines ...string) flow.RowBatch {
	return flow.RowBatch{JSONL: []byte(strings.Join(lines, "\n") + "\n"), Rows: len(lines)}
}

// firstHalf writes what a snapshot must have.
func (f fixture) firstHalf(ctx context.Context, w *container.Writer) error {
	for i := range f.rows {
		row := fmt.Sprintf(`{"N":%d,"Text":"%s %d"}`, i, f.marker, i)
		if i%2 == 1 {
			row = fmt.Sprintf(`{"N":%d,"Odd":true,"List":[1,{"a":"b"}],"Big":18446744073709551615}`, i)
		}
		if err := w.WriteRows(ctx, "Test.Rows/All", batch(row)); err != nil {
			return err
		}
	}
	for i := range f.files {
		if err := send(ctx, w, upload(fmt.Sprintf("/data/file-%d.txt", i), 0), fmt.Sprintf("content of file %d\n", i)); err != nil {
			return err
		}
	}
	if f.twins {
		for path, data := range map[string]string{"/data/twin.txt": "lower\n", "/data/TWIN.txt": "upper\n", "/data/long" + strings.Repeat("x", 251): "long\n"} {
			if err := send(ctx, w, upload(path, 0), data); err != nil {
				return err
			}
		}
	}
	if !f.hostile {
		return nil
	}
	for _, components := range [][]string{{"..", "..", "..", "escape"}, {"a/../../b"}, {"", "x"}, {"nul\x00byte"}, {"new\nline"}, {"bad\xff"}, {strings.Repeat("long", 200)},
		{"data", "file-0.txt", "below-a-file"}, {"CON"}, {"tail. "}, {"\u202etxt.exe"}} {
		u := upload("/x", 0)
		u.Components, u.Path = components, "/"+strings.Join(components, "/")
		if err := send(ctx, w, u, "hostile"); err != nil {
			return err
		}
	}
	return w.WriteRows(ctx, "Test.Rows/All", batch(`{"N":"<script>alert(1)</script>","Text":"\u001b[31mred\u202e","_Source":"mine"}`, `{}`))
}

func (f fixture) secondHalf(ctx context.Context, w *container.Writer) error {
	users := batch(`{"User":"root","Uid":0,"Gid":0,"Homedir":"/root","Shell":"/bin/bash"}`, `{"User":"toor","Uid":0,"Gid":0,"Homedir":"/","Shell":"/bin/sh"}`,
		`{"User":"daemon","Uid":1,"Gid":1,"Homedir":"/","Shell":"/usr/sbin/nologin"}`)
	if err := w.WriteRows(ctx, "Linux.Sys.Users", users); err != nil {
		return err
	}
	last := flow.Report{Source: "Test.Empty", Outcome: flow.Empty}
	if f.failed {
		last = flow.Report{Source: "Test.Files", Target: "/etc/shadow", Outcome: flow.Denied, Detail: "permission denied"}
	}
	for _, r := range []flow.Report{{Source: "Test.Rows/All", Outcome: flow.Collected, Rows: int64(f.rows)}, {Source: "Linux.Sys.Users", Outcome: flow.Collected, Rows: 3}, last} {
		r.Time = time.Date(2026, 11, 22, 7, 0, 1, 0, time.UTC)
		if err := w.Report(ctx, r); err != nil {
			return err
		}
	}
	return w.Log(ctx, flow.LogLine{Time: time.Date(2026, 11, 22, 7, 0, 1, 0, time.UTC), Level: flow.LevelWarn, Source: "Test.Files", Message: "a warning"})
}

// takeSnapshot copies the pair as a pulled plug would leave it, once all of the
// first half is in it.
func (f fixture) takeSnapshot(out string) error {
	want := int64(f.rows)
	for range 1000 {
		time.Sleep(5 * time.Millisecond)
		for _, suffix := range []string{container.SpoolSuffix, ""} { // the spool first: its records follow the bytes
			data, err := os.ReadFile(out + suffix)
			if err != nil {
				return err
			}
			if err := os.WriteFile(f.snapshot+suffix, data, 0o600); err != nil {
				return err
			}
		}
		r, err := container.OpenFile(f.snapshot, container.ReadOptions{})
		if err != nil {
			return err
		}
		info := r.Info()
		if err := r.Close(); err != nil {
			return err
		}
		files := int64(f.files)
		if f.large > 0 {
			files++
		}
		if info.Rows >= want && info.Uploads >= files {
			return nil
		}
	}
	return fmt.Errorf("no snapshot with %d rows and %d files", want, f.files)
}
