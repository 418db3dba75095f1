package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"collect": func() { os.Exit(run(context.Background())) },
	})
}

// TestScripts runs the program as a user would: one script for each verb.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"waitfor": waitFor,
			"sha256":  checkSum,
			"member":  member,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// exits runs a program and checks its exit code: exits 3 collect run ...
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

// waitFor waits until a file is there.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	for range 1000 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s did not appear", args[0])
}

// checkSum checks a file against the .sha256 file beside it.
func checkSum(ts *testscript.TestScript, _ bool, args []string) {
	sum := sha256.Sum256([]byte(ts.ReadFile(args[0])))
	if want := hex.EncodeToString(sum[:]) + "  " + args[0] + "\n"; ts.ReadFile(args[0]+".sha256") != want {
		ts.Fatalf("%s.sha256 is %q, want %q", args[0], ts.ReadFile(args[0]+".sha256"), want)
	}
}

// member prints a member of a container as a foreign reader sees it: member
// FILE NAME [TO].
func member(ts *testscript.TestScript, neg bool, args []string) {
	r, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	defer r.Close()
	f, err := r.Open(args[1])
	if neg {
		if err == nil {
			ts.Fatalf("%s has a member %s", args[0], args[1])
		}
		return
	}
	ts.Check(err)
	data, err := io.ReadAll(f)
	ts.Check(err)
	if len(args) > 2 {
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), data, 0o600))
		return
	}
	_, err = io.Copy(ts.Stdout(), strings.NewReader(string(data)))
	ts.Check(err)
}
