package artifacts

import (
	"slices"
	"strings"

	"satchel/internal/spelling"
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
			if cost := spelling.Distance(lower, l, limit); cost <= limit {
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
