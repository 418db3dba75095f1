package vql

import "www.velocidex.com/golang/vfilter/types"

// textMembers gives a text the member String, which is the text itself. Values
// that print themselves, such as file modes, become text on their way into the
// evaluator, and public artifacts ask them for String.
type textMembers struct{}

func (textMembers) Applicable(a, b types.Any) bool {
	_, text := a.(string)
	return text && b == "String"
}

func (textMembers) Associative(_ types.Scope, a, _ types.Any) (types.Any, bool) { return a, true }

func (textMembers) GetMembers(types.Scope, types.Any) []string { return nil }
