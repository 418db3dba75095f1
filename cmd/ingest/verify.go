package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"satchel/cmd/internal/command"
	"satchel/container"
)

func verifyCommand() *command.Command {
	return &command.Command{
		Name: "verify", Usage: "check every byte of containers", ArgsUsage: "FILE...", MinArgs: 1, MaxArgs: -1,
		Description: "Holds every member against the hashes that were written with it, rebuilds the directory and accounts\n" +
			"for every byte. The exit code is 0 when all are whole and unaltered, 4 when one is cut, and 1 when bytes\n" +
			"of one were changed. Whether something failed on the host does not matter here.\n" +
			"Containers are not signed yet: their origin is \"unproven\", which is no error.",
		Examples: []command.Example{
			{Line: "ingest verify *.zip"},
			{Line: "ingest verify Collection-web-03.zip --json", What: "one JSON object with every problem, its member and offset"},
		},
		Run: verify,
	}
}

func verify(ctx context.Context, c *command.Context) error {
	code := command.OK
	for _, path := range c.Arguments() {
		res, err := container.Verify(ctx, path, container.ReadOptions{})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		one := command.OK
		switch {
		case errors.Is(err, container.ErrEncrypted):
			one = command.NoKey
		case err != nil, res.Altered:
			one = command.Failed
		case res.OK:
		case !res.Complete:
			one = command.Salvaged
		default:
			one = command.Failed
		}
		if err != nil {
			res.OK, res.Problems = false, append(res.Problems, container.Problem{Problem: err.Error(), Offset: -1})
		}
		code = command.Worst(code, one)
		if noted := notedHash(path); noted != "" && res.SHA256 != "" && !strings.EqualFold(noted, res.SHA256) {
			c.Console.Warnf("%s.sha256 notes another hash (%s) than %s has: one of them was changed or replaced", path, noted, path)
		}
		if err := printVerified(c, res, one); err != nil {
			return err
		}
	}
	if code == command.OK {
		return nil
	}
	return command.Exit(code, nil)
}

// notedHash is the hash in NAME.sha256, which a collector writes beside NAME for
// the custody form, or "".
func notedHash(path string) string {
	f, err := os.Open(path + ".sha256")
	if err != nil {
		return ""
	}
	defer f.Close()
	text := make([]byte, 2*sha256.Size)
	if _, err := io.ReadFull(f, text); err != nil {
		return ""
	}
	if _, err := hex.DecodeString(string(text)); err != nil {
		return ""
	}
	return string(text)
}

// verified is what verify tells with --json.
type verified struct {
	container.VerifyResult
	Problems []problem `json:"problems"`
}

func printVerified(c *command.Context, res container.VerifyResult, code command.Code) error {
	if c.JSON() {
		if err := printJSON(c, verified{res, problemLines(res.Problems)}); err != nil {
			return err
		}
		return c.Flush()
	}
	words := "whole and unaltered, origin " + res.Origin
	switch code {
	case command.OK:
		if !res.Complete {
			words += "; the collection in it was cut, see below"
		}
	case command.Failed:
		words = "ALTERED or unreadable"
	case command.Salvaged:
		words = "cut: not all of it is there"
	case command.NoKey:
		words = "encrypted: no key fits"
	}
	if _, err := fmt.Fprintf(c.Out(), "%s: %s\n", command.Printable(res.Path), words); err != nil {
		return err
	}
	for _, p := range res.Problems {
		if _, err := fmt.Fprintf(c.Out(), "    %s\n", command.Printable(p.String())); err != nil {
			return err
		}
	}
	if res.SHA256 != "" {
		if _, err := fmt.Fprintf(c.Out(), "    SHA-256 %s\n", res.SHA256); err != nil {
			return err
		}
	}
	return c.Flush()
}
