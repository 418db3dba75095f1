// Ingest is the analyst's program: it takes containers into a store of plain
// files and answers from them.
package main

import (
	"context"
	"os"

	"satchel/cmd/internal/command"
)

func main() { os.Exit(command.Run(context.Background(), program(), command.Process())) }

// program is the tree of commands.
func program() *command.App {
	return &command.App{
		Name:    "ingest",
		Usage:   "import collections and answer questions from them",
		Version: command.Version,
		Description: "Takes containers that `collect` or Velociraptor made into a store: a directory of plain files.\n" +
			"Every container is kept as it is and read in place. The store is --store DIR, else $SATCHEL_STORE, else\n" +
			"a directory of the user's data.\n\n" +
			"FLOW is the id of a collection (F.XXXXXXXXXXXXX), or CLIENT/FLOW where several clients have that id.",
		Examples: []command.Example{
			{Line: "ingest import /media/usb", What: "take in every container on a stick"},
			{Line: "ingest flows", What: "what is there"},
			{Line: "ingest report F.D0VJ3C0PQ2T1K -o report.html", What: "one page about one collection"},
		},
		Later: []string{"query", "run", "artifacts", "tools", "config", "serve", "hunt", "events", "alerts", "replay", "user", "audit", "backup",
			"client label", "client merge", "client split", "client delete", "flow new", "flow cancel"},
		LaterFlags: []string{"identity", "password-file", "hunt", "watch", "signer", "server", "token-file"},
		Commands: []*command.Command{
			inspectCommand(), verifyCommand(), recoverCommand(), importCommand(),
			clientsCommand(), clientCommand(), flowsCommand(), flowCommand(),
			resultsCommand(), uploadsCommand(), reportCommand(), exportCommand(),

			command.VersionCommand("ingest"), command.CompletionCommand("ingest"),
		},
	}
}
