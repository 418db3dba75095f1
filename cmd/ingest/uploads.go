package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/server/store"
)

func uploadsCommand() *command.Command {
	return &command.Command{
		Name: "uploads", Usage: "list the files of a collection, or copy them out", ArgsUsage: "FLOW", MinArgs: 1, MaxArgs: 1,
		Description: "--get GLOB -o DIR copies the files whose path matches: * and ? stay within one part of the path, ** goes\n" +
			"over several, / and \\ are the same, and a GLOB of one part is held against the last part of the path\n" +
			"(--get '*' takes all). They go to DIR/<accessor>/<path>, never outside DIR and never over a file that is there:\n" +
			"a second one gets a number. Parts of a name that this system cannot have are written with %XX. Sparse\n" +
			"files are expanded. Every file is held against its hash.",
		Examples: []command.Example{
			{Line: "ingest uploads F.D0VJ3C0PQ2T1K"},
			{Line: "ingest uploads F.D0VJ3C0PQ2T1K --get '/var/log/**' -o logs"},
			{Line: "ingest uploads F.D0VJ3C0PQ2T1K --get 'C:/Users/*/NTUSER.DAT' -o hives"},
		},
		Flags: flags(storeFlag(),
			&cli.StringFlag{Name: "get", Usage: "copy out the files whose path matches `GLOB`"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "copy to the directory `DIR`, made where it is missing"}),
		Run: uploads, Complete: completeFlows,
	}
}

// uploadLine is one file of the listing.
type uploadLine struct {
	Path       string    `json:"path"`
	Accessor   string    `json:"accessor"`
	Size       int64     `json:"size"`
	StoredSize int64     `json:"stored_size"`
	SHA256     string    `json:"sha256"`
	Complete   bool      `json:"complete"`
	Error      string    `json:"error,omitempty"`
	Source     string    `json:"source,omitempty"`
	Sparse     bool      `json:"sparse,omitempty"`
	MD5        string    `json:"md5,omitempty"`
	SHA1       string    `json:"sha1,omitempty"`
	Modified   time.Time `json:"modified,omitzero"`
	Accessed   time.Time `json:"accessed,omitzero"`
	Changed    time.Time `json:"changed,omitzero"`
	Born       time.Time `json:"born,omitzero"`
	Member     string    `json:"member,omitempty"`
	File       string    `json:"file,omitempty"` // where it was copied to
}

// uploadRow is what a person sees of it.
type uploadRow struct {
	Size, Stored, Modified, Path, Note string
}

func describeUpload(u container.UploadInfo) uploadLine {
	return uploadLine{
		Path: u.Path, Accessor: u.Accessor, Size: u.Size, StoredSize: u.StoredSize, SHA256: u.SHA256, Complete: u.Complete,
		Error: u.Error, Source: u.Source, Sparse: u.Sparse, MD5: u.MD5, SHA1: u.SHA1,
		Modified: u.Modified, Accessed: u.Accessed, Changed: u.Changed, Born: u.Born, Member: u.Member,
	}
}

func (l uploadLine) row() uploadRow {
	note := l.Error
	if !l.Complete {
		note = strings.TrimSuffix("partial: "+note, ": ")
	}
	return uploadRow{bytesText(l.Size), bytesText(l.StoredSize), short(l.Modified), l.Path, note}
}

func uploads(ctx context.Context, c *command.Context) error {
	pattern, dir := c.String("get"), c.String("output")
	switch {
	case pattern == "" && dir != "":
		return command.Usagef("uploads: -o DIR needs --get GLOB; --get '*' takes all")
	case pattern != "" && dir == "":
		return command.Usagef("uploads: --get GLOB needs -o DIR")
	}
	match, err := compileGlob(pattern)
	if err != nil {
		return command.Usagef("--get: %v", err)
	}
	return withFlow(ctx, c, func(_ *store.Store, ev *evidence) error {
		if pattern == "" {
			return listUploads(ctx, c, ev)
		}
		return getUploads(ctx, c, ev, match, dir)
	})
}

// eachFile calls f with every upload record that stands for a file. Records
// that cannot be read are counted.
func eachFile(ctx context.Context, r *container.Reader, f func(container.UploadInfo) error) (bad int, err error) {
	for u, err := range r.Uploads(ctx) {
		if ctx.Err() != nil {
			return bad, context.Cause(ctx)
		}
		if err != nil {
			bad++
			continue
		}
		if u.Type == "idx" {
			continue
		}
		if err := f(u); err != nil {
			return bad, err
		}
	}
	return bad, nil
}

func listUploads(ctx context.Context, c *command.Context, ev *evidence) error {
	list := c.Listing()
	bad, err := eachFile(ctx, ev.Reader, func(u container.UploadInfo) error {
		line := describeUpload(u)
		if c.JSON() {
			return list.Add(line)
		}
		return list.Add(line.row())
	})
	if cerr := list.Close(); err == nil {
		err = cerr
	}
	return errors.Join(err, tellBad(c, bad))
}

func tellBad(c *command.Context, bad int) error {
	if bad == 0 {
		return nil
	}
	c.Console.Warnf("%d records of uploads cannot be read and were left out", bad)
	return command.Exit(command.Salvaged, nil)
}

// getUploads copies matching files out.
func getUploads(ctx context.Context, c *command.Context, ev *evidence, match func(string) bool, dir string) (err error) {
	x, err := newExtractor(dir)
	if err != nil {
		return err
	}
	defer closing(&err, x)
	list := c.Listing()
	code, n := command.OK, 0
	bad, err := eachFile(ctx, ev.Reader, func(u container.UploadInfo) error {
		if !match(u.Path) {
			return nil
		}
		n++
		line := describeUpload(u)
		if c.Console.Draws() {
			c.Console.Progress("%d files, now %s", n, u.Path)
		}
		file, err := x.extract(ctx, ev.Reader, u)
		var broken *evidenceError
		switch {
		case errors.As(err, &broken):
			line.Error = broken.Error()
			code = command.Worst(code, broken.code)
		case err != nil:
			return err
		case !u.Complete:
			code = command.Worst(code, command.Salvaged)
		}
		line.File = file
		if c.JSON() {
			return list.Add(line)
		}
		return list.Add(gotRow{bytesText(line.Size), line.Path, file, line.row().Note})
	})
	if cerr := list.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("no file of the flow matches %q", c.String("get"))
	}
	if code == command.OK {
		return tellBad(c, bad)
	}
	return errors.Join(command.Exit(code, nil), tellBad(c, bad))
}

// gotRow is what a person sees of a file that was copied out.
type gotRow struct {
	Size, Path, File, Note string
}
