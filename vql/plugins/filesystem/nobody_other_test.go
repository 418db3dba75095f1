//go:build unix && !linux

package filesystem

import "testing"

// runAsNobody has no way to run the test again here.
func runAsNobody(t *testing.T) { t.Skip("root is denied nothing") }
