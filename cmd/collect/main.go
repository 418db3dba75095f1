// Collect gathers forensic evidence on a host into a container. It is the
// endpoint's program: it asks no server and carries its library with it.
package main

import (
	"context"
	"os"

	"satchel/cmd/internal/command"
	"satchel/vql"
)

func main() { os.Exit(run(context.Background())) }

// run is main with an exit code, so that tests can run the program too.
func run(ctx context.Context) int {
	env := command.Process()
	_, restore := vql.ProtectStdout()
	defer restore()
	return command.Run(ctx, program(), env)
}

// program is the tree of commands.
func program() *command.App {
	return &command.App{
		Name:    "collect",
		Usage:   "gather forensic evidence on this host",
		Version: command.Version,
		Description: "Runs artifacts (named VQL queries) on this host and writes what they find, rows and files, into\n" +
			"one container: a ZIP that any tool opens and that `ingest` and Velociraptor import.\n" +
			"Pull the plug at any moment: what was finished a second ago is in the container and its spool.",
		Examples: []command.Example{
			{Line: "collect run Linux.Triage -o host.zip", What: "collect the triage set of this host"},
			{Line: "collect artifacts list", What: "see what can be collected"},
			{Line: "collect query 'SELECT * FROM info()'", What: "ask one question, on the screen"},
		},
		Later: []string{"plan", "pack", "deliver", "agent", "export"},
		Commands: []*command.Command{
			runCommand(), queryCommand(), artifactsCommand(), command.VersionCommand("collect"), command.CompletionCommand("collect"),
		},
	}
}
