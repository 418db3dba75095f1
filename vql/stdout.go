package vql

import "os"

// ProtectStdout keeps standard output for results: the evaluator's library
// prints to it now and then. It returns the real one, and from then on
// os.Stdout is os.Stderr, until restore is called. Programs call it once, before
// the first query; a library has no business with it.
func ProtectStdout() (stdout *os.File, restore func()) {
	stdout = os.Stdout
	os.Stdout = os.Stderr
	return stdout, func() { os.Stdout = stdout }
}
