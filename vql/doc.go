// Package vql runs VQL, the query language of Velociraptor. It is the only
// door to the evaluator (today the library vfilter): plugins, functions and
// accessors are written against this package and know nothing of it.
//
// # Plugins
//
// A plugin takes a struct of arguments and emits structs as rows:
//
//	type lsArgs struct {
//		Path     vql.Path `vql:"path,required"`
//		Accessor string   `vql:"accessor"`
//	}
//	type lsRow struct {
//		Name string
//		Size int64 `vql:"Bytes"` // the column's name where it differs from the field's
//	}
//
//	var plugin = vql.NewPlugin("ls", func(ctx context.Context, s *vql.Scope, a lsArgs, emit func(*lsRow) bool) error {
//		accessor, err := s.Accessor(ctx, a.Accessor)
//		if err != nil {
//			return err
//		}
//		for info, err := range accessor.ReadDir(ctx, a.Path) {
//			if err != nil {
//				return err
//			}
//			if !emit(&lsRow{Name: info.Name(), Size: info.Size}) {
//				return nil // nobody wants more
//			}
//		}
//		return nil
//	}, vql.Doc("Lists a directory."), vql.Permission("FILESYSTEM_READ"))
//
// The columns are the exported fields in order, those of embedded structs in
// their place; the tag `vql:"-"` leaves a field out. Give times as time.Time
// (zero is NULL), paths as [Path], further structure as [*Dict]. A pointer that
// is nil is NULL. Where columns are known only at run time use [NewRowsPlugin].
//
// # Arguments
//
// The tag of an argument is its name and, if the caller must give it,
// "required". An argument that is not given, or is NULL, leaves the zero value.
// Types: string, bool, all integers, float64, time.Time, any, []any, []string,
// [Path], []Path, [*Dict], []*Dict, and three that are not evaluated before the
// call: [Lazy], [Query] and [Lambda]. A Path or []Path is parsed by the accessor
// that the argument named "accessor" of the same struct tells. A single value
// stands for a list of one, a query for the list of its rows. A field with the
// tag `vql:",rest"` of type *Dict takes the arguments that no field names, if
// the plugin has the option [FreeArgs].
//
// # Errors
//
// Return an error when the call cannot go on: it becomes a [QueryError] of the
// run and never stops the process, and neither does a panic. Use [Scope.Warn]
// for what can be passed over, and [Scope.Report] for the outcome of a path or
// glob that was asked for.
//
// # Sets
//
// A package of plugins exports a function that lists them:
//
//	func List() []vql.Registration { return []vql.Registration{ls(), cat()} }
//
// and whoever runs queries puts them into a [Set] for a [Runner].
package vql
