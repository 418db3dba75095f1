// Package crashtest holds the tests that end collections the hard way and then
// ask what is left: SIGKILL of a real `collect run`, power loss on a file system
// that is shut down in mid-write, and disks that fill up.
//
// All of them follow one rule. Something that does not share the fate of the
// evidence, the witness, knows what was accepted and when. Afterwards everything
// that was accepted longer ago than the promise allows must be there, nothing may
// be there that was not written, and the tools must say what is missing, without
// touching the evidence.
//
// What is written describes itself, so that it can be checked without the
// witness too: rows carry a sequence number and the time at which they were made,
// and the bytes of a file follow from its name.
//
// CRASH chooses how much is done: "long" kills 500 times, "short" 50 times, and
// anything else a few times, as part of the usual tests. CRASH_SEED repeats a
// run. The package has no code besides its tests.
package crashtest
