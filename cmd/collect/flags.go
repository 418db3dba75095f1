package main

import (
	"strings"

	"satchel/cmd/internal/command"

	"github.com/urfave/cli/v2"
)

// rootFlag names what a query looks at instead of this host.
func rootFlag() cli.Flag {
	return &cli.StringFlag{Name: "root", Usage: "look at `DIR` instead of this host", Hidden: true}
}

// laterFlags are known words that this version does not act on. They are
// refused, never passed over: evidence must not be written in clear when its
// encryption was asked for.
func laterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "to", Hidden: true},
		&cli.StringFlag{Name: "passphrase-file", Hidden: true},
		&cli.StringFlag{Name: "x509", Hidden: true},
		&cli.StringFlag{Name: "password-file", Hidden: true},
		&cli.BoolFlag{Name: "resume", Hidden: true},
		&cli.StringFlag{Name: "split", Hidden: true},
		&cli.StringSliceFlag{Name: "deliver", Hidden: true},
		rootFlag(),
	}
}

// unavailable refuses flags that this version does not act on.
func unavailable(c *command.Context, names ...string) error {
	for _, name := range names {
		if !c.IsSet(name) {
			continue
		}
		e := command.Usagef("--%s is not available in this version", name)
		e.Hint = laterHint(name)
		return e
	}
	return nil
}

func laterHint(name string) string {
	switch name {
	case "to", "passphrase-file", "x509", "password-file":
		return "nothing was collected; encrypt the finished container with a tool of your own, or write it to an encrypted disk"
	case "resume":
		return "collect again into another file; `ingest import` takes the cut container as it is"
	case "split":
		return "write to a file system that takes large files, or bound the container with --max-size"
	case "deliver":
		return "carry the finished container with a tool of your own"
	}
	return "this version collects from the running host only"
}

// runFlags are the flags of `collect run`.
func runFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the container to `FILE` (default Collection-<hostname>-<UTC time>.zip here); a directory takes the default name", EnvVars: []string{"SATCHEL_OUTPUT"}},
		&cli.BoolFlag{Name: "overwrite", Usage: "replace an existing container"},
		&cli.StringFlag{Name: "plan", Usage: "read what to collect, and limits, from `FILE` (YAML or JSON); flags beat it"},
		&cli.StringSliceFlag{Name: "args", Usage: "set a parameter `[ARTIFACT::]NAME=VALUE`"},
		definitionsFlag(),
		&cli.BoolFlag{Name: "dry-run", Usage: "print what would be collected, in order, and collect nothing"},
		command.ChoiceFlag("compression", "how files are compressed; Velociraptor cannot read zstd", "deflate", "zstd", "store"),
		&cli.IntFlag{Name: "level", Usage: "compress with level `N`, 1 (fast) to 9 (small)", Value: 5},
		command.DurationFlag("timeout", "end the whole collection within `D`, the closing of the container included"),
		command.DurationFlag("artifact-timeout", "stop every source of an artifact after `D`"),
		command.PercentFlag("cpu-limit", "use at most `PCT` percent of this machine's processors"),
		command.SizeFlag("min-free", "stop before less than `SIZE` is free where the container is written"),
		command.SizeFlag("max-size", "stop before the container is larger than `SIZE`"),
		command.SizeFlag("max-file-size", "leave out files larger than `SIZE`"),
		&cli.StringFlag{Name: "case", Usage: "note the case `ID` in the container"},
		&cli.StringFlag{Name: "examiner", Usage: "note who collects, `NAME`"},
		&cli.StringFlag{Name: "notes", Usage: "note `TEXT` in the container"},
	}, laterFlags()...)
}

// laterNames lists the names of laterFlags.
func laterNames() []string {
	var names []string
	for _, f := range laterFlags() {
		names = append(names, f.Names()[0])
	}
	return names
}

// fileName keeps what is safe in file names on every system.
func fileName(s string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r == '-', r == '.':
			return r
		}
		return '_'
	}, s)
	if safe = strings.Trim(safe, "."); len(safe) > 100 {
		safe = safe[:100]
	}
	if safe == "" {
		return "host"
	}
	return safe
}
