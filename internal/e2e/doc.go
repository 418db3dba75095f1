// Package e2e holds tests of the whole as its readers meet it: the README's
// tour typed as it stands there, its promises and links, and the way of one
// collection from this host to an answer. The package has no code besides its
// tests.
package e2e
