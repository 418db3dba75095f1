package spool

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// childEnv holds the path of the spool in a process that is started to be killed, formEnv its form.
const (
	childEnv = "SATCHEL_SPOOL_CHILD"
	formEnv  = "SATCHEL_SPOOL_FORM"
)

// TestMain runs the child of TestKill instead of the tests in a process that is one.
func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := child(path, os.Getenv(formEnv) == "file"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// killOptions make much happen in a short life.
func killOptions() Options {
	return Options{SegmentBytes: 20_000, BufferBytes: 1000, SyncBytes: 10_000}
}

// openKill opens the spool of TestKill.
func openKill(path string, file bool) (*Log, error) {
	if file {
		return OpenFile(path, killOptions())
	}
	return OpenDir(path, killOptions())
}

// child appends for ever and says what is durable. The body of a record is made from its number.
func child(path string, file bool) error {
	l, err := openKill(path, file)
	if err != nil {
		return err
	}
	for i := 1; ; i++ {
		seq := l.LastSeq() + 1
		if _, err := l.Append(context.Background(), 1, body(int(seq), 400)); err != nil {
			return err
		}
		if i%7 == 0 {
			if err := l.Sync(); err != nil {
				return err
			}
			fmt.Println(l.Durable())
		}
		if !file && i%50 == 0 {
			if err := l.Ack(l.Durable() - 40); err != nil {
				return err
			}
		}
	}
}

// TestKill kills a process that appends, at random moments, again and again on one spool: what it said is durable is
// there, every record is the one that belongs to its number, and the next process goes on.
func TestKill(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"file", "directory"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "spool")
			rng := rand.New(rand.NewPCG(1, uint64(len(form))))
			lost := map[uint64]bool{} // torn by a kill before they were durable
			for range 12 {
				said := kill(t, exe, path, form, time.Duration(rng.IntN(40))*time.Millisecond)
				l, err := openKill(path, form == "file")
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				c := stored(t, l, l.Acked()+1)
				last := l.Acked()
				for _, r := range c.records {
					if r.Body != string(body(int(r.Seq), 400)) {
						t.Fatalf("record %v is not the one", r)
					}
					for last++; last < r.Seq; last++ {
						if last <= said && !lost[last] {
							t.Fatalf("record %d is gone, durable was %d", last, said)
						}
						lost[last] = true
					}
				}
				if last < said || c.err != nil {
					t.Fatalf("last is %d, durable was %d: %v", last, said, c.err)
				}
				mustClose(t, l)
			}
		})
	}
}

// kill runs a child for about life after its first word and returns the last number that it said is durable.
func kill(t *testing.T, exe, path, form string, life time.Duration) (said uint64) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+path, formEnv+"="+form)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		if said, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Errorf("the child said %q", lines.Text())
		}
		if first {
			timer := time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	if said == 0 {
		t.Error("the child said nothing")
	}
	return said
}
