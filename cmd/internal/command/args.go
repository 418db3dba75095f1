package command

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"satchel/internal/spelling"
)

// node is a place in the tree of commands; the root has no command.
type node struct {
	app    *App
	cmd    *Command
	parent *node
}

func (n *node) children() []*Command {
	if n.cmd == nil {
		return n.app.Commands
	}
	return n.cmd.Commands
}

func (n *node) run() runFunc {
	if n.cmd == nil {
		return n.app.Run
	}
	return n.cmd.Run
}

// flags returns the command's own flags and the ones every command has.
func (n *node) flags() []cli.Flag {
	var own []cli.Flag
	if n.cmd != nil {
		own = append(own, n.cmd.Flags...)
	}
	return append(own, commonFlags()...)
}

// path returns the words that lead to the node, the program's name first.
func (n *node) path() string {
	if n.parent == nil {
		return n.app.Name
	}
	return n.parent.path() + " " + n.cmd.Name
}

func (n *node) helpHint() string { return "see `" + n.path() + " --help`" }

func (n *node) child(name string) *node {
	for _, c := range n.children() {
		if c.Name == name {
			return &node{app: n.app, cmd: c, parent: n}
		}
		for _, alias := range c.Aliases {
			if alias == name {
				return &node{app: n.app, cmd: c, parent: n}
			}
		}
	}
	return nil
}

// lookup finds a flag of the node, else of the commands below it: a flag may
// stand before the verb it belongs to.
func (n *node) lookup(name string) cli.Flag {
	for _, f := range n.flags() {
		for _, have := range f.Names() {
			if have == name {
				return f
			}
		}
	}
	for _, c := range n.children() {
		below := node{app: n.app, cmd: c, parent: n}
		if f := below.lookup(name); f != nil {
			return f
		}
	}
	return nil
}

func (n *node) flagNames() []string {
	var names []string
	for _, f := range n.flags() {
		names = append(names, f.Names()...)
	}
	for _, c := range n.children() {
		below := node{app: n.app, cmd: c, parent: n}
		names = append(names, below.flagNames()...)
	}
	return append(names, "help")
}

func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "print listings and reports as one JSON object per line"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print only results, warnings and errors"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say more about what is done"},
		&cli.BoolFlag{Name: "no-progress", Usage: "draw no progress line"},
	}
}

// given is one flag as it was typed, by its main name.
type given struct {
	name, value string
	typed       string
}

// commandLine is a command line taken apart.
type commandLine struct {
	node    *node
	given   []given
	args    []string
	help    bool
	version bool
}

// has says whether a flag without value was switched on.
func (l *commandLine) has(name string) bool {
	on := false
	for _, g := range l.given {
		if g.name == name {
			on = g.value != "false"
		}
	}
	return on
}

// canonical writes the command line with all flags first, which is what the
// flag package of the standard library needs.
func (l *commandLine) canonical() []string {
	out := make([]string, 0, len(l.given)+len(l.args)+1)
	for _, g := range l.given {
		out = append(out, "--"+g.name+"="+g.value)
	}
	return append(append(out, "--"), l.args...)
}

// resolve finds the command, its flags and its arguments in args.
func resolve(app *App, args []string) (*commandLine, error) {
	l := &commandLine{node: &node{app: app}}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			l.args = append(l.args, args[i+1:]...)
			return l, l.check()
		case len(arg) > 1 && arg[0] == '-':
			next, err := l.flag(args, i)
			if err != nil {
				return nil, err
			}
			i = next
		case len(l.args) > 0 || len(l.node.children()) == 0:
			l.args = append(l.args, arg)
		case arg == "help" && l.node.child("help") == nil:
			l.help = true
		default:
			child := l.node.child(arg)
			if child == nil && (l.node.run() == nil || l.node.parent == nil) {
				return nil, l.unknownCommand(arg)
			}
			if child == nil {
				l.args = append(l.args, arg)
				continue
			}
			l.node = child
		}
	}
	return l, l.check()
}

// flag takes the flag at args[i] and returns the index of its last word.
func (l *commandLine) flag(args []string, i int) (int, error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
	switch {
	case name == "help" || name == "h":
		l.help = true
		return i, nil
	case name == "version" && l.node.parent == nil && l.node.app.Version != "":
		l.version = true
		return i, nil
	}
	f := l.node.lookup(name)
	if f == nil {
		return 0, l.unknownFlag(name)
	}
	g := given{name: f.Names()[0], value: value, typed: args[i]}
	if doc, ok := f.(cli.DocGenerationFlag); ok && !hasValue {
		if !doc.TakesValue() {
			g.value = "true"
		} else if i+1 < len(args) {
			i++
			g.value = args[i]
		} else {
			e := Usagef("--%s needs a value", g.name)
			e.Hint = l.node.helpHint()
			return 0, e
		}
	}
	l.given = append(l.given, g)
	return i, nil
}

// check refuses flags that belong to another command and a wrong number of
// arguments.
func (l *commandLine) check() error {
	if l.help || l.version {
		return nil
	}
	own := map[string]bool{}
	for _, f := range l.node.flags() {
		own[f.Names()[0]] = true
	}
	for _, g := range l.given {
		if !own[g.name] {
			if l.node.run() == nil {
				return nil // help is all there is to show
			}
			return l.unknownFlag(g.name)
		}
	}
	if l.node.cmd == nil || l.node.run() == nil {
		return nil
	}
	want := l.node.cmd
	var e *Error
	switch {
	case len(l.args) < want.MinArgs:
		e = Usagef("%s: argument missing", l.node.path())
	case want.MaxArgs >= 0 && len(l.args) > want.MaxArgs:
		e = Usagef("%s: unexpected argument %q", l.node.path(), l.args[want.MaxArgs])
	default:
		return nil
	}
	e.Hint = "usage: " + usageLine(l.node)
	return e
}

func (l *commandLine) unknownFlag(name string) error {
	dash := "--"
	if len(name) == 1 {
		dash = "-"
	}
	if slices.Contains(l.node.app.LaterFlags, name) {
		e := Usagef("--%s is not available in this version", name)
		e.Hint = l.node.helpHint()
		return e
	}
	e := Usagef("unknown flag %s%s", dash, name)
	e.Hint = l.node.helpHint()
	if near := Nearest(name, l.node.flagNames()); near != "" && len(name) > 1 {
		e.Hint = "did you mean --" + near + "? " + e.Hint
	}
	return e
}

func (l *commandLine) unknownCommand(name string) error {
	words := strings.TrimPrefix(l.node.path()+" "+name, l.node.app.Name+" ")
	if slices.Contains(l.node.app.Later, words) {
		e := Usagef("`%s %s` is not available in this version", l.node.app.Name, words)
		e.Hint = l.node.helpHint()
		return e
	}
	e := Usagef("unknown command %q", name)
	e.Hint = l.node.helpHint()
	var names []string
	for _, c := range l.node.children() {
		if !c.Hidden {
			names = append(append(names, c.Name), c.Aliases...)
		}
	}
	if near := Nearest(name, names); near != "" {
		e.Hint = "did you mean `" + l.node.path() + " " + near + "`? " + e.Hint
	}
	return e
}

// Nearest returns the word that is most like name, or "" when none is near:
// at most a third of the letters differ. Letter case does not count.
func Nearest(name string, words []string) string {
	best, bestDistance := "", len(name)/3+1
	for _, w := range words {
		if d := spelling.Distance(strings.ToLower(name), strings.ToLower(w), bestDistance); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = w, d
		}
	}
	return best
}
