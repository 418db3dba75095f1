package artifacts

import (
	"strings"
	"testing"
)

func TestParameterLet(t *testing.T) {
	t.Parallel()
	for typ, want := range map[string]string{
		"":                "",
		"string":          "",
		"regex":           "",
		"choices":         "",
		"yara":            "",
		"hidden":          "",
		"unknown":         "",
		"int":             "LET `P` <= int(int=`P`)",
		"int64":           "LET `P` <= int(int=`P`)",
		"integer":         "LET `P` <= int(int=`P`)",
		"float":           "LET `P` <= parse_float(string=`P`)",
		"bool":            "LET `P` <= `P` =~ '^(Y|TRUE|YES|OK)$'",
		"json":            "LET `P` <= parse_json(data=`P`)",
		"json_array":      "LET `P` <= parse_json_array(data=`P`)",
		"multichoice":     "LET `P` <= parse_json_array(data=`P`)",
		"csv":             "LET `P` <= SELECT * FROM parse_csv(filename=`P`, accessor='data')",
		"timestamp":       "LET `P` <= timestamp(epoch=`P`)",
		"starlark":        "",
		"server_metadata": "",
	} {
		if got := (Parameter{Name: "P", Type: typ}).Let(); got != want {
			t.Errorf("%s: %s, want %s", typ, got, want)
		}
	}
	for _, typ := range typeNames() {
		if !knownType(typ) {
			t.Errorf("%s is listed and not known", typ)
		}
		let := Parameter{Name: "P", Type: typ}.Let()
		if _, err := split(let); err != nil {
			t.Errorf("%s: %q is not VQL: %s", typ, let, err.message)
		}
	}
}

func TestParameterValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		parameter Parameter
		good, bad []string
	}{
		{Parameter{}, []string{"anything", "\n"}, nil},
		{Parameter{Type: "int"}, []string{"", "0", "-5", "0x10", "9223372036854775807"}, []string{"1.5", "x", "9223372036854775808", " 1"}},
		{Parameter{Type: "float"}, []string{"1", "1.5", "1e3", "-0.1"}, []string{"1,5", "x"}},
		{Parameter{Type: "bool"}, []string{"Y", "n", "TRUE", "false", "yes", "No", "ok"}, []string{"1", "on", "maybe", "T"}},
		{Parameter{Type: "timestamp"}, []string{"0", "1700000000", "1700000000.5", "2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+01:00", "2026-01-02 03:04:05", "2026-01-02 03:04"},
			[]string{"yesterday", "2026-13-01", "02.01.2026"}},
		{Parameter{Type: "regex"}, []string{".", "^a|b$", "(?i)x"}, []string{"(", "[a", "(?=a)"}},
		{Parameter{Type: "choices", Choices: []string{"One", "Two"}}, []string{"One", "Two"}, []string{"one", "Three", "One,Two"}},
		{Parameter{Type: "choices"}, []string{"anything"}, nil},
		{Parameter{Type: "json"}, []string{"{}", "[1]", "1", `"a"`}, []string{"{", "a", "{'a':1}"}},
		{Parameter{Type: "json_array"}, []string{"[]", `[1, "a", {}]`}, []string{"{}", "1", "[", "a"}},
		{Parameter{Type: "regex_array"}, []string{"[]", `["a", "^b$"]`}, []string{`["("]`, "[1]"}},
		{Parameter{Type: "multichoice", Choices: []string{"a", "b"}}, []string{"[]", `["a"]`, `["a","b"]`}, []string{`["c"]`, "a", "[1]", "[null]"}},
		{Parameter{Type: "csv"}, []string{"A,B\n1,2\n", "A\n", "A\n\"x, y\"\n", "A,B\n1\n"}, []string{"A\nx,y\n", "Glob\n/a\n/{b,c}\n"}},
		{Parameter{Type: "csv", Default: "Group,Glob\na,b\n"}, []string{"Glob\n/a\n", "Glob,Group,More\n"}, []string{"/a\n/b\n", "x"}},
		{Parameter{Type: "yaml"}, []string{"a: b"}, nil},
		{Parameter{ValidatingRegex: "^[0-9]+$"}, []string{"", "12"}, []string{"a", "12a"}},
		{Parameter{ValidatingRegex: "(?=cannot)"}, []string{"anything"}, nil},
		{Parameter{Type: "int", ValidatingRegex: "^.$"}, []string{"1"}, []string{"12", "a"}},
	} {
		for _, v := range c.good {
			if reason := c.parameter.Validate(v); reason != "" {
				t.Errorf("%+v refuses %q: %s", c.parameter, v, reason)
			}
		}
		for _, v := range c.bad {
			if c.parameter.Validate(v) == "" {
				t.Errorf("%+v takes %q", c.parameter, v)
			}
		}
	}
}

func TestParameterNormal(t *testing.T) {
	t.Parallel()
	choices := Parameter{Type: "multichoice", Choices: []string{"a", "b"}}
	csv := Parameter{Type: "csv", Default: "Glob\n/x\n"}
	set := Parameter{Type: "artifactset"}
	for _, c := range []struct {
		parameter   Parameter
		value, want string
	}{
		{Parameter{Type: "bool"}, "1", "Y"},
		{Parameter{Type: "bool"}, "off", "N"},
		{Parameter{Type: "bool"}, "YES", "YES"},
		{Parameter{Type: "bool"}, "maybe", "maybe"},
		{choices, "a", `["a"]`},
		{choices, "b,a", `["b","a"]`},
		{choices, `["a"]`, `["a"]`},
		{choices, "a,c", "a,c"},
		{choices, "", ""},
		{csv, "/a/{b,c}", "Glob\n\"/a/{b,c}\"\n"},
		{csv, `say "x"`, "Glob\n\"say \"\"x\"\"\"\n"},
		{csv, "Glob\n/a\n", "Glob\n/a\n"},
		{csv, "Glob", "Glob"},
		{csv, `["/a/{b,c}", "say \"x\""]`, "Glob\n\"/a/{b,c}\"\n\"say \"\"x\"\"\"\n"},
		{csv, "[]", "Glob\n"},
		{csv, "[a-z]*.log", "Glob\n\"[a-z]*.log\"\n"},
		{csv, "", ""},
		{Parameter{Type: "csv", Default: "A,B\n"}, "x", "x"},
		{Parameter{Type: "csv"}, "x", "x"},
		{set, "A.B,C", "Artifact\nA.B\nC\n"},
		{set, "Artifact\nA\n", "Artifact\nA\n"},
		{set, "Artifact", "Artifact"},
		{Parameter{}, "1", "1"},
	} {
		if got := c.parameter.Normal(c.value); got != c.want {
			t.Errorf("%s %q becomes %q, want %q", c.parameter.Type, c.value, got, c.want)
		}
	}
}

func TestValidateClips(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 10_000)
	if reason := (Parameter{Type: "int"}).Validate(long); len(reason) > 300 {
		t.Errorf("the reason has %d bytes", len(reason))
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"Linux.Sys.Pslist", "Windows.System.Pslist", "Linux.Sys.Users", "Generic.Client.Info", "Linux.Triage"}
	for name, want := range map[string]string{
		"Pslist":                  "Linux.Sys.Pslist Windows.System.Pslist",
		"linux.sys.users":         "Linux.Sys.Users",
		"Linux.Sys.User":          "Linux.Sys.Users",
		"Linux.Sys.Uesrs":         "Linux.Sys.Users",
		"Generic.Client.Inof":     "Generic.Client.Info",
		"Users":                   "Linux.Sys.Users",
		"Client.Info":             "Generic.Client.Info",
		"triage":                  "Linux.Triage",
		"zzz":                     "",
		"":                        "",
		strings.Repeat("x", 5000): "",
	} {
		if got := strings.Join(nearest(name, known), " "); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := didYouMean("Pslist", known); got != " (did you mean Linux.Sys.Pslist, Windows.System.Pslist?)" {
		t.Error(got)
	}
}
