package filesystem

import (
	"context"
	"os"
	"regexp"

	"satchel/vql"
)

// variablePattern finds %NAME%, ${NAME} and $NAME. Windows has names with
// brackets, such as ProgramFiles(x86).
var variablePattern = regexp.MustCompile(`%([A-Za-z_][A-Za-z0-9_()]*)%|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)`)

// expandVariables puts in the values that lookup knows and leaves the rest.
func expandVariables(text string, lookup func(string) (string, bool)) string {
	return variablePattern.ReplaceAllStringFunc(text, func(found string) string {
		m := variablePattern.FindStringSubmatch(found)
		for _, name := range m[1:] {
			if name == "" {
				continue
			}
			if value, ok := lookup(name); ok {
				return value
			}
		}
		return found
	})
}

func expandFunction() vql.Function {
	type args struct {
		Path string `vql:"path,required"`
	}
	return vql.NewFunction("expand", func(_ context.Context, _ *vql.Scope, a args) (any, error) {
		return expandVariables(a.Path, os.LookupEnv), nil
	}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Puts the values of environment variables, %NAME% or $NAME, into a path. Unknown ones stay as they are."))
}
