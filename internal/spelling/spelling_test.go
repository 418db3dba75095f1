package spelling

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"glob", "glob", 0}, {"gol b", "glob", 2}, {"golb", "glob", 1},
		{"pslist", "plist", 1}, {"kitten", "sitting", 3}, {"netstat", "netsat", 1},
	} {
		if got := Distance(tt.a, tt.b, 10); got != tt.want {
			t.Errorf("%q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestDistanceGivesUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringMatching(`[ab]{0,9}`).Draw(t, "a"), rapid.StringMatching(`[ab]{0,9}`).Draw(t, "b")
		limit := rapid.IntRange(0, 9).Draw(t, "limit")
		whole := Distance(a, b, 100)
		if got := Distance(a, b, limit); got != min(whole, limit+1) {
			t.Fatalf("%q to %q with the limit %d: %d, without %d", a, b, limit, got, whole)
		}
		if Distance(b, a, 100) != whole {
			t.Fatalf("%q to %q is not as far as back", a, b)
		}
	})
}
