package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// rounds returns how many rounds CRASH asks for: few within the usual tests.
func rounds(t *testing.T, few, short, long int) int {
	t.Helper()
	switch how := os.Getenv("CRASH"); how {
	case "":
		return few
	case "short":
		return short
	case "long":
		return long
	default:
		t.Fatalf("CRASH=%q: use short or long", how)
		return 0
	}
}

// seed returns the seed of this run and says how to repeat it.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("CRASH_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CRASH_SEED: %v", err)
		}
	}
	t.Logf("CRASH_SEED=%d repeats this run", n)
	return n
}

// everyRound runs do for each round, a few at a time, each with its own random
// source that follows from the seed and the number of the round.
func everyRound(t *testing.T, n int, do func(t *testing.T, r *rand.Rand)) {
	t.Helper()
	s := seed(t)
	for i := range n {
		t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) {
			t.Parallel()
			do(t, rand.New(rand.NewPCG(s, uint64(i))))
			if t.Failed() {
				t.Logf("CRASH_SEED=%d", s)
			}
		})
	}
}

// between returns a duration between the two.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}
