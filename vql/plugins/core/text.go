package core

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"satchel/vql"
)

func textList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("format", format, vql.Doc("Fills values into a text, by the verbs of Go's fmt.")),
		vql.NewFunction("join", join, vql.Doc("Joins texts with a separator.")),
		vql.NewFunction("split", split, vql.Doc("Splits a text at a regular expression or a text.")),
		vql.NewFunction("str", str, vql.Doc("Returns a value as text.")),
		vql.NewFunction("lowcase", func(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
			return strings.ToLower(a.String), nil
		}, vql.Doc("Makes letters small.")),
		vql.NewFunction("upcase", func(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
			return strings.ToUpper(a.String), nil
		}, vql.Doc("Makes letters capital.")),
		vql.NewFunction("strip", strip, vql.Doc("Takes a prefix, a suffix, or white space off a text.")),
		vql.NewFunction("substr", substr, vql.Doc("Cuts a part out of a text, counted in characters.")),
		vql.NewFunction("regex_replace", regexReplace, vql.Doc("Replaces what matches a regular expression.")),
		vql.NewFunction("regex_transform", regexTransform, vql.Doc("Replaces what matches, with several regular expressions in turn.")),
		vql.NewFunction("parse_string_with_regex", parseStringWithRegex, vql.Doc("Makes a dictionary of what the groups of regular expressions capture.")),
		vql.NewFunction("commandline_split", commandlineSplit, vql.Doc("Splits a command line into its arguments.")),
		vql.NewFunction("rot13", rot13, vql.Doc("Rotates letters by 13.")),
		vql.NewFunction("typeof", typeOf, vql.FreeArgs(), vql.Doc("Names the type of a value.")),
	}
}

type stringArgs struct {
	String string `vql:"string,required"`
}

type formatArgs struct {
	Format string   `vql:"format,required"`
	Args   vql.Lazy `vql:"args"`
}

// maxText bounds the texts that functions make.
const maxText = 100 << 20

var errTooLong = errors.New("the text would be longer than 100 MiB")

func format(ctx context.Context, s *vql.Scope, a formatArgs) (any, error) {
	var args []any
	if a.Args.IsSet() {
		v := a.Args.Reduce(ctx)
		if v == nil {
			args = append(args, printable(nil))
		}
		for _, item := range s.Items(ctx, v) {
			args = append(args, printable(item))
		}
	}
	if wideVerb.MatchString(a.Format) {
		return nil, errors.New("a width or precision of more than 4 digits")
	}
	return fmt.Sprintf(a.Format, args...), nil
}

var wideVerb = regexp.MustCompile(`%[-+# 0]*(\d{5,}|\d*\.\d{5,})`)

// printable is what fmt is given for a value.
func printable(v any) any {
	switch t := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		return string(t)
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = printable(t[i])
		}
		return out
	}
	return v
}

type joinArgs struct {
	Array []string `vql:"array,required"`
	Sep   string   `vql:"sep"`
}

func join(_ context.Context, _ *vql.Scope, a joinArgs) (any, error) {
	n := len(a.Array) * len(a.Sep)
	for _, text := range a.Array {
		n += len(text)
	}
	if n > maxText {
		return nil, errTooLong
	}
	return strings.Join(a.Array, a.Sep), nil
}

type splitArgs struct {
	String    string `vql:"string,required"`
	Sep       string `vql:"sep"`
	SepString string `vql:"sep_string"`
}

func split(_ context.Context, s *vql.Scope, a splitArgs) (any, error) {
	switch {
	case a.SepString != "":
		return strings.Split(a.String, a.SepString), nil
	case a.Sep == "":
		return strings.Split(a.String, ","), nil
	}
	if _, err := s.Regexp(a.Sep); err != nil {
		return nil, err
	}
	re, err := s.Regexp("(?-i:" + a.Sep + ")") // unlike others it regards case
	if err != nil {
		return nil, err
	}
	return re.Split(a.String, -1), nil
}

type strArgs struct {
	Str any `vql:"str,required"`
}

func str(_ context.Context, s *vql.Scope, a strArgs) (any, error) { return s.Text(a.Str), nil }

type stripArgs struct {
	String string `vql:"string,required"`
	Prefix string `vql:"prefix"`
	Suffix string `vql:"suffix"`
}

func strip(_ context.Context, _ *vql.Scope, a stripArgs) (any, error) {
	if a.Prefix == "" && a.Suffix == "" {
		return strings.TrimSpace(a.String), nil
	}
	return strings.TrimSuffix(strings.TrimPrefix(a.String, a.Prefix), a.Suffix), nil
}

type substrArgs struct {
	Str   string `vql:"str,required"`
	Start int64  `vql:"start"`
	End   any    `vql:"end"`
}

func substr(_ context.Context, _ *vql.Scope, a substrArgs) (any, error) {
	runes := utf8.RuneCountInString(a.Str)
	end, ok := a.End.(int64)
	if !ok {
		end = int64(runes)
	}
	from, to := clampRange(a.Start, end, runes)
	at, begin, stop := 0, len(a.Str), len(a.Str)
	for i := range a.Str {
		if at == from {
			begin = i
		}
		if at == to {
			stop = i
		}
		at++
	}
	return a.Str[begin:max(begin, stop)], nil
}

type regexReplaceArgs struct {
	Source        string     `vql:"source,required"`
	Replace       string     `vql:"replace"`
	ReplaceLambda vql.Lambda `vql:"replace_lambda"`
	Re            string     `vql:"re,required"`
}

func regexReplace(ctx context.Context, s *vql.Scope, a regexReplaceArgs) (any, error) {
	re, err := s.Regexp(a.Re)
	if err != nil {
		return a.Source, err
	}
	if a.ReplaceLambda.IsSet() {
		return re.ReplaceAllStringFunc(a.Source, func(hit string) string {
			return s.Text(a.ReplaceLambda.Call(ctx, s, hit))
		}), nil
	}
	return re.ReplaceAllString(a.Source, a.Replace), nil
}

type regexTransformArgs struct {
	Source string    `vql:"source,required"`
	Map    *vql.Dict `vql:"map,required"`
	Key    string    `vql:"key"`
}

func regexTransform(_ context.Context, s *vql.Scope, a regexTransformArgs) (any, error) {
	out := a.Source
	for pattern, replacement := range a.Map.All() {
		re, err := s.Regexp(pattern)
		if err != nil {
			return a.Source, err
		}
		if out = re.ReplaceAllString(out, s.Text(replacement)); len(out) > maxText {
			return nil, errTooLong
		}
	}
	return out, nil
}

type parseRegexArgs struct {
	String string   `vql:"string,required"`
	Regex  []string `vql:"regex,required"`
}

// parseStringWithRegex gives groups without a name the names g1, g2 and so on.
func parseStringWithRegex(_ context.Context, s *vql.Scope, a parseRegexArgs) (any, error) {
	out := vql.NewDict()
	for _, pattern := range a.Regex {
		re, err := s.Regexp(pattern)
		if err != nil {
			return nil, err
		}
		hit := re.FindStringSubmatch(a.String)
		for i, name := range re.SubexpNames() {
			if i == 0 || hit == nil {
				continue
			}
			if name == "" {
				name = "g" + strconv.Itoa(i)
			}
			out.Update(name, hit[i])
		}
	}
	return out, nil
}

type commandlineArgs struct {
	Command   string `vql:"command,required"`
	BashStyle bool   `vql:"bash_style"`
}

func commandlineSplit(_ context.Context, _ *vql.Scope, a commandlineArgs) (any, error) {
	if a.BashStyle {
		return splitBash(a.Command), nil
	}
	return splitWindows(a.Command), nil
}

// splitBash splits as a shell does, without expanding anything.
func splitBash(text string) []string {
	out := []string{}
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == '\'' && c != '\'':
			word.WriteByte(c)
		case c == '\\' && i+1 < len(text) && (quote == 0 || strings.IndexByte("\"\\$`", text[i+1]) >= 0):
			i++
			word.WriteByte(text[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if inWord {
				out, inWord = append(out, word.String()), false
				word.Reset()
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		out = append(out, word.String())
	}
	return out
}

// splitWindows splits by the rules of CommandLineToArgvW.
func splitWindows(text string) []string {
	out := []string{}
	var word strings.Builder
	inWord, quoted := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\':
			n := i
			for n < len(text) && text[n] == '\\' {
				n++
			}
			slashes := n - i
			if n < len(text) && text[n] == '"' {
				word.WriteString(strings.Repeat(`\`, slashes/2))
				if slashes%2 == 1 {
					word.WriteByte('"')
					n++
				}
			} else {
				word.WriteString(strings.Repeat(`\`, slashes))
			}
			inWord = true
			i = n - 1
		case c == '"':
			if quoted && i+1 < len(text) && text[i+1] == '"' {
				word.WriteByte('"')
				i++
			} else {
				quoted = !quoted
			}
			inWord = true
		case !quoted && (c == ' ' || c == '\t'):
			if inWord {
				out, inWord = append(out, word.String()), false
				word.Reset()
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		out = append(out, word.String())
	}
	return out
}

func rot13(_ context.Context, _ *vql.Scope, a stringArgs) (any, error) {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, a.String), nil
}

func typeOf(_ context.Context, s *vql.Scope, a freeArgs) (any, error) {
	for _, v := range a.Args.All() {
		return strings.TrimPrefix(strings.TrimPrefix(vql.TypeName(v), "a "), "an "), nil
	}
	return nil, errors.New("needs an argument")
}
