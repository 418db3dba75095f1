package artifacts

import (
	"slices"
	"strings"
)

// nearest returns up to three of the known names that a person who wrote name
// may have meant, best first: names that end in it (Pslist for
// Linux.Sys.Pslist), then those few letters away.
func nearest(name string, known []string) []string {
	type candidate struct {
		name string
		cost int
	}
	if len(name) > 200 {
		return nil
	}
	lower := strings.ToLower(name)
	limit := max(2, len(name)/4)
	var found []candidate
	for _, k := range known {
		l := strings.ToLower(k)
		switch {
		case l == lower:
			found = append(found, candidate{k, 0})
		case lower != "" && strings.HasSuffix(l, "."+lower):
			found = append(found, candidate{k, 1})
		case len(k) <= 200:
			if cost := distance(lower, l, limit); cost <= limit {
				found = append(found, candidate{k, 1 + cost})
			} else if len(lower) >= 4 && strings.Contains(l, lower) {
				found = append(found, candidate{k, 100})
			}
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		if a.cost != b.cost {
			return a.cost - b.cost
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for _, c := range found {
		if len(names) < 3 && !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

// didYouMean words the nearest names for the end of a message, or is empty.
func didYouMean(name string, known []string) string {
	names := nearest(name, known)
	if len(names) == 0 {
		return ""
	}
	return " (did you mean " + strings.Join(names, ", ") + "?)"
}

// distance is the Levenshtein distance of the bytes of a and b, or something
// greater than limit as soon as it is certain to be.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal, least := row[0], i
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
			least = min(least, cost)
		}
		if least > limit {
			return limit + 1
		}
	}
	return row[len(b)]
}
