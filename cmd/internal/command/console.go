package command

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Console is standard error: notes, warnings, errors and one line of progress
// that is redrawn below them on a terminal. It may be used by several
// goroutines.
type Console struct {
	mu       sync.Mutex
	w        io.Writer
	program  string
	terminal bool
	width    int
	quiet    bool
	verbose  bool
	progress bool
	line     string // the progress line as it stands
}

// Notef tells the user something; --quiet hides it.
func (c *Console) Notef(format string, args ...any) {
	if !c.quiet {
		c.print(fmt.Sprintf(format, args...))
	}
}

// Debugf tells more; only --verbose shows it.
func (c *Console) Debugf(format string, args ...any) {
	if c.verbose && !c.quiet {
		c.print(fmt.Sprintf(format, args...))
	}
}

// Warnf tells of something that the user should know, as
// `program: warning: ...`.
func (c *Console) Warnf(format string, args ...any) {
	c.print(c.program + ": warning: " + fmt.Sprintf(format, args...))
}

// failure prints an error, and a hint below it.
func (c *Console) failure(text, hint string) {
	for _, line := range strings.Split(text, "\n") {
		c.print(c.program + ": error: " + line)
	}
	if hint != "" {
		c.print(c.program + ": hint: " + hint)
	}
}

// Verbose says whether --verbose was given.
func (c *Console) Verbose() bool { return c.verbose && !c.quiet }

// Draws says whether Progress draws anything.
func (c *Console) Draws() bool { return c.terminal && c.progress }

// Progress replaces the progress line. It draws on a terminal only.
func (c *Console) Progress(format string, args ...any) {
	if !c.Draws() {
		return
	}
	line := Printable(fmt.Sprintf(format, args...))
	if width := c.width; width > 1 {
		line = cutColumns(line, width-1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	io.WriteString(c.w, line)
	c.line = line
}

// Clear removes the progress line.
func (c *Console) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	c.line = ""
}

func (c *Console) erase() {
	if c.line != "" {
		io.WriteString(c.w, "\r\x1b[K")
	}
}

func (c *Console) print(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	io.WriteString(c.w, Printable(text)+"\n"+c.line)
}

// Printable returns s with control characters and bytes that are not UTF-8
// written as escapes, so that collected names cannot drive a terminal. Line
// breaks and tabs stay.
func Printable(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || hostile(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hostile(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case hostile(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// hostile says whether r could move the cursor or change the reading
// direction.
func hostile(r rune) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}
