// Package librarytest holds the golden tests of the artifacts that come with the
// program: each is run over a fixed host, a small tree of files that the tests
// make, and its rows are held against testdata/golden. `go test -update`
// rewrites them. Artifacts that ask the running system are held to what must be
// true of any host.
package librarytest
