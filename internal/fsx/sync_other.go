//go:build !linux

package fsx

import "os"

// syncData is fsync, which on macOS is F_FULLFSYNC and on Windows FlushFileBuffers.
func syncData(f *os.File) error { return f.Sync() }
