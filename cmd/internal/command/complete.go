package command

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// completeWord is the hidden command that the shells' scripts call with the
// words typed so far; the last one is the word to complete.
const completeWord = "__complete"

// CompletionCommand prints the completion script of a shell.
func CompletionCommand(program string) *Command {
	return &Command{
		Name: "completion", Usage: "print the completion script of a shell", ArgsUsage: "bash|zsh|fish",
		MinArgs: 1, MaxArgs: 1,
		Examples: []Example{
			{Line: "source <(" + program + " completion bash)", What: "complete commands, flags and artifact names in this shell"},
			{Line: program + " completion fish > ~/.config/fish/completions/" + program + ".fish"},
		},
		Run: func(_ context.Context, c *Context) error {
			script, ok := completionScript(program, c.Args().First())
			if !ok {
				return Usagef("no completion for shell %q: bash, zsh or fish", c.Args().First())
			}
			_, err := io.WriteString(c.Out(), script)
			return err
		},
		Complete: func(context.Context, []string, string) []string { return []string{"bash", "zsh", "fish"} },
	}
}

func completionScript(program, shell string) (string, bool) {
	fn := strings.ReplaceAll(program, "-", "_")
	switch shell {
	case "bash":
		return fmt.Sprintf(`_%[2]s_complete() {
    local IFS=$'\n'
    COMPREPLY=($(%[1]s %[3]s "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
    if [ ${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")); fi
}
complete -F _%[2]s_complete %[1]s
`, program, fn, completeWord), true
	case "zsh":
		return fmt.Sprintf(`#compdef %[1]s
_%[2]s_complete() {
    local -a found
    local word what
    while IFS=$'\t' read -r word what; do found+=("${word//:/\\:}:${what}"); done < <(%[1]s %[3]s "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then _describe '%[1]s' found; else _files; fi
}
compdef _%[2]s_complete %[1]s
`, program, fn, completeWord), true
	case "fish":
		return fmt.Sprintf(`function __%[2]s_complete
    set -l words (commandline -opc)
    %[1]s %[3]s $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c %[1]s -a '(__%[2]s_complete)'
`, program, fn, completeWord), true
	}
	return "", false
}

// complete prints the words that can stand at the end of the line, one per
// line, each with a tab and what it means.
func complete(ctx context.Context, app *App, words []string, w io.Writer) error {
	prefix := ""
	if len(words) > 0 {
		prefix, words = words[len(words)-1], words[:len(words)-1]
	}
	n, args, waiting := walk(app, words)
	var lines [][2]string
	switch {
	case waiting != nil:
		if generic, ok := waiting.(*cli.GenericFlag); ok {
			if c, ok := generic.Value.(*choice); ok {
				for _, word := range c.words {
					lines = append(lines, [2]string{word, ""})
				}
			}
		}
	case strings.HasPrefix(prefix, "-"):
		for _, f := range n.flags() {
			if doc, ok := f.(cli.DocGenerationFlag); ok {
				lines = append(lines, [2]string{"--" + f.Names()[0], strings.ReplaceAll(doc.GetUsage(), "`", "")})
			}
		}
		lines = append(lines, [2]string{"--help", "tell more"})
	case len(n.children()) > 0:
		for _, c := range n.children() {
			if !c.Hidden {
				lines = append(lines, [2]string{c.Name, c.Usage})
			}
		}
	case n.cmd.Complete != nil:
		for _, word := range n.cmd.Complete(ctx, args, prefix) {
			lines = append(lines, [2]string{word, ""})
		}
	}
	for _, l := range lines {
		if strings.HasPrefix(l[0], prefix) {
			if _, err := fmt.Fprintf(w, "%s\t%s\n", l[0], l[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// walk follows whole words to a command; waiting is a flag whose value comes
// next.
func walk(app *App, words []string) (n *node, args []string, waiting cli.Flag) {
	n = &node{app: app}
	for _, word := range words {
		if waiting != nil {
			waiting = nil
			continue
		}
		if strings.HasPrefix(word, "-") {
			if f := n.lookup(strings.TrimLeft(word, "-")); f != nil {
				if doc, ok := f.(cli.DocGenerationFlag); ok && doc.TakesValue() {
					waiting = f
				}
			}
			continue
		}
		if child := n.child(word); child != nil && len(args) == 0 {
			n = child
		} else {
			args = append(args, word)
		}
	}
	return n, args, waiting
}
