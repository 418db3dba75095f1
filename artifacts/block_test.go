package artifacts

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The text of a block comes back byte for byte, whatever stands in it: queries
// are written in blocks, and hold comments, rules of YAML and tables.
func TestBlocksAreKept(t *testing.T) {
	t.Parallel()
	lines := []string{
		"LET X = 1", "  SELECT * FROM x()", "# a comment", "-- a comment", "- a list", "key: value", "key:", "? what",
		"", "", "'quoted'", `"quoted: \" # x"`, "a\tb", "'''raw", "}", "{", "[", "%YAML", "&anchor *alias", "| > x", "a: |", "---x", "...x",
		"<<: x", "ünï ☃ 𝄞", "!!tag", "@at `tick`", "trailing #", "a  b", "    deep", "x: # y", "'", `\n`, "0x10", "~", "- - -", "spaces behind  ", "  ",
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "lines")
		text := []string{"first"}
		for range n {
			text = append(text, rapid.SampledFrom(lines).Draw(t, "line"))
		}
		text = append(text, "last")
		indent := strings.Repeat(" ", rapid.IntRange(1, 8).Draw(t, "indent"))
		var b strings.Builder
		b.WriteString("name: A\ndescription: |\n")
		for _, l := range text {
			if l != "" {
				b.WriteString(indent)
			}
			b.WriteString(l + "\n")
		}
		after := rapid.SampledFrom([]string{"", "\n\n", "# end\n", "\n# end\n"}).Draw(t, "after")
		b.WriteString(after + "author: me\nexport: LET X = 1\n")
		eol := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end of line")
		a, err := Parse([]byte(strings.ReplaceAll(b.String(), "\n", eol)), "f")
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
		if want := strings.Join(text, "\n") + "\n"; a.Description != want || a.Author != "me" {
			t.Fatalf("%q\ngives %q\nwant  %q", b.String(), a.Description, want)
		}
	})
}
