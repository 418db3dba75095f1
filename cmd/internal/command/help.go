package command

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

type runFunc = func(ctx context.Context, c *Context) error

// usageLine is the one-line synopsis of a command.
func usageLine(n *node) string {
	line := n.path()
	if len(n.children()) > 0 {
		return line + " COMMAND [FLAG...]"
	}
	if n.cmd.ArgsUsage != "" {
		line += " " + n.cmd.ArgsUsage
	}
	return line + " [FLAG...]"
}

// writeHelp prints the help of a command, or of the program at the root.
func writeHelp(w io.Writer, app *App, n *node) error {
	var b strings.Builder
	usage, description, examples := app.Usage, app.Description, app.Examples
	if n.cmd != nil {
		usage, description, examples = n.cmd.Usage, n.cmd.Description, n.cmd.Examples
	}
	fmt.Fprintf(&b, "%s: %s\n\nUsage: %s\n", n.path(), usage, usageLine(n))
	if description != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(description))
	}
	writeCommands(&b, n)
	if len(n.children()) == 0 && n.cmd != nil {
		writeFlags(&b, "Flags", n.cmd.Flags)
	}
	writeFlags(&b, "Flags of every command", commonFlags())
	if len(examples) > 0 {
		b.WriteString("\nExamples:\n")
		for _, e := range examples {
			fmt.Fprintf(&b, "  %s\n", e.Line)
			if e.What != "" {
				fmt.Fprintf(&b, "      %s\n", e.What)
			}
		}
	}
	if n.parent == nil {
		fmt.Fprintf(&b, "\nExit codes: 0 ok, 1 error, 2 wrong usage, 3 finished but some items failed,\n"+
			"4 damaged but salvaged, 5 no key fits, 130 interrupted.\n"+
			"`%s COMMAND --help` tells more about a command.\n", app.Name)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeCommands(b *strings.Builder, n *node) {
	var lines [][2]string
	for _, c := range n.children() {
		if !c.Hidden {
			lines = append(lines, [2]string{c.Name, c.Usage})
		}
	}
	if len(lines) > 0 {
		b.WriteString("\nCommands:\n")
		writeColumns(b, lines)
	}
}

func writeFlags(b *strings.Builder, title string, flags []cli.Flag) {
	var lines [][2]string
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if v, visible := f.(cli.VisibleFlag); !ok || visible && !v.IsVisible() {
			continue
		}
		lines = append(lines, flagLine(f, doc))
	}
	if len(lines) > 0 {
		b.WriteString("\n" + title + ":\n")
		writeColumns(b, lines)
	}
}

func flagLine(f cli.Flag, doc cli.DocGenerationFlag) [2]string {
	var names []string
	for _, name := range f.Names() {
		if len(name) == 1 {
			names = append([]string{"-" + name}, names...)
		} else {
			names = append(names, "--"+name)
		}
	}
	left, usage := strings.Join(names, ", "), doc.GetUsage()
	if doc.TakesValue() {
		word := "VALUE"
		if head, rest, ok := strings.Cut(usage, "`"); ok {
			if quoted, tail, ok := strings.Cut(rest, "`"); ok {
				word, usage = quoted, head+quoted+tail
			}
		}
		left += " " + word
	}
	if slice, ok := f.(cli.DocGenerationSliceFlag); ok && slice.IsSliceFlag() {
		usage += " (may be repeated)"
	}
	if text := doc.GetDefaultText(); doc.TakesValue() && text != "" && text != `""` {
		usage += " (default: " + strings.Trim(text, `"`) + ")"
	}
	for _, env := range doc.GetEnvVars() {
		usage += " [$" + env + "]"
	}
	return [2]string{left, usage}
}

// writeColumns prints pairs with the second column aligned and folded.
func writeColumns(b *strings.Builder, lines [][2]string) {
	width := 0
	for _, l := range lines {
		if len(l[0]) <= 28 {
			width = max(width, len(l[0]))
		}
	}
	for _, l := range lines {
		fmt.Fprintf(b, "  %-*s", width, l[0])
		column := 2 + max(width, len(l[0]))
		if len(l[0]) > width {
			b.WriteString("\n" + strings.Repeat(" ", width+2))
			column = width + 2
		}
		b.WriteString("  ")
		column += 2
		for i, word := range strings.Fields(l[1]) {
			if i > 0 && column+len(word) > 98 {
				b.WriteString("\n" + strings.Repeat(" ", width+4))
				column = width + 4
			} else if i > 0 {
				b.WriteString(" ")
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
		b.WriteString("\n")
	}
}
