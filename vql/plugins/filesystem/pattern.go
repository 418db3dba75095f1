package filesystem

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of one glob expression.
const (
	maxPatternBytes = 64 << 10
	maxAlternatives = 4096
	maxParts        = 512
	defaultDepth    = 30
	maxDepth        = 1000
)

// ErrPattern says that a glob expression cannot be read or is beyond a limit.
var ErrPattern = errors.New("bad glob")

// expandBraces writes out the alternatives {a,b} of a glob expression, nested
// ones too. Braces that hold no comma, or are not closed, stand for themselves.
func expandBraces(text string) ([]string, error) {
	if len(text) > maxPatternBytes {
		return nil, fmt.Errorf("%d bytes: %w", len(text), ErrPattern)
	}
	done := []string{}
	todo := []string{text}
	from := []int{0} // where in todo to look for the next brace
	for len(todo) > 0 {
		last := len(todo) - 1
		s, start := todo[last], from[last]
		todo, from = todo[:last], from[:last]
		open, commas, end := findBraces(s, start)
		if open < 0 {
			done = append(done, s)
			if len(done) > maxAlternatives {
				return nil, fmt.Errorf("more than %d alternatives: %w", maxAlternatives, ErrPattern)
			}
			continue
		}
		cuts := append(append([]int{open}, commas...), end)
		if len(todo)+len(cuts) > maxAlternatives {
			return nil, fmt.Errorf("more than %d alternatives: %w", maxAlternatives, ErrPattern)
		}
		for i := len(cuts) - 2; i >= 0; i-- { // last first, so that the first is taken first
			todo = append(todo, s[:open]+s[cuts[i]+1:cuts[i+1]]+s[end+1:])
			from = append(from, open)
		}
	}
	return done, nil
}

// findBraces returns the first group at or after start that has a comma at its
// own level: the places of its opening brace, its commas and its closing brace.
func findBraces(s string, start int) (open int, commas []int, end int) {
	for i := start; i < len(s); i++ {
		if s[i] != '{' {
			continue
		}
		commas, depth := commas[:0], 0
		for j := i; j < len(s); j++ {
			switch s[j] {
			case '{':
				depth++
			case '}':
				depth--
			case ',':
				if depth == 1 {
					commas = append(commas, j)
				}
			}
			if depth == 0 {
				if len(commas) > 0 {
					return i, commas, j
				}
				break
			}
		}
	}
	return -1, nil, -1
}

type partKind uint8

const (
	literal   partKind = iota
	wild               // holds * ? or [
	recursive          // ** or **N
)

// part is one component of a glob expression.
type part struct {
	kind  partKind
	text  string // of a literal, as it was written
	folds string // of a literal, folded if fold is set
	depth int    // of a recursive part: how many levels it goes down
	fold  bool
	steps []step // of a wild part
}

type stepKind uint8

const (
	stepRune stepKind = iota
	stepAny
	stepStar
	stepClass
)

// step matches one rune, or any run of them.
type step struct {
	kind   stepKind
	r      rune
	negate bool
	ranges []rune // pairs of first and last
}

// badByte marks a byte that is not UTF-8: it is matched as a rune beyond Unicode,
// so that it equals itself alone.
const badByte = unicode.MaxRune + 1

// next returns the first rune of s and its size in bytes.
func next(s string) (rune, int) {
	if c := s[0]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 {
		return badByte + rune(s[0]), 1
	}
	return r, n
}

func foldRune(r rune) rune {
	if r > unicode.MaxRune {
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

func foldText(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// parsePart reads one component. fold makes it match in any case.
func parsePart(text string, fold bool) (part, error) {
	if rest, ok := strings.CutPrefix(text, "**"); ok {
		if rest == "" {
			return part{kind: recursive, depth: defaultDepth}, nil
		}
		if n, err := strconv.Atoi(rest); err == nil && n >= 0 {
			if n == 0 || n > maxDepth {
				return part{}, fmt.Errorf("depth of %q: %w", text, ErrPattern)
			}
			return part{kind: recursive, depth: n}, nil
		}
	}
	if !strings.ContainsAny(text, "*?[") {
		p := part{kind: literal, text: text, fold: fold}
		if fold {
			p.folds = foldText(text)
		}
		return p, nil
	}
	p := part{kind: wild, fold: fold}
	for rest := text; rest != ""; {
		r, n := next(rest)
		switch r {
		case '*':
			if len(p.steps) == 0 || p.steps[len(p.steps)-1].kind != stepStar {
				p.steps = append(p.steps, step{kind: stepStar})
			}
		case '?':
			p.steps = append(p.steps, step{kind: stepAny})
		case '[':
			s, size := parseClass(rest, fold)
			if size == 0 { // not closed: a plain bracket
				s, size = step{kind: stepRune, r: '['}, 1
			}
			p.steps = append(p.steps, s)
			n = size
		default:
			if fold {
				r = foldRune(r)
			}
			p.steps = append(p.steps, step{kind: stepRune, r: r})
		}
		rest = rest[n:]
	}
	return p, nil
}

// parseClass reads [abc], [a-z], [!a] or [^a] and returns its length, 0 if it
// is not closed. A ] that stands first is a member.
func parseClass(text string, fold bool) (step, int) {
	s := step{kind: stepClass}
	i := 1
	if i < len(text) && (text[i] == '!' || text[i] == '^') {
		s.negate = true
		i++
	}
	for first := true; i < len(text); first = false {
		lo, n := next(text[i:])
		if lo == ']' && !first {
			return s, i + 1
		}
		i += n
		hi := lo
		if i+1 < len(text) && text[i] == '-' && text[i+1] != ']' {
			hi, n = next(text[i+1:])
			i += 1 + n
		}
		if fold && lo == hi {
			lo = foldRune(lo)
			hi = lo
		}
		s.ranges = append(s.ranges, lo, hi)
	}
	return step{}, 0
}

func (s *step) matches(r rune, fold bool) bool {
	switch s.kind {
	case stepAny:
		return true
	case stepRune:
		if fold {
			r = foldRune(r)
		}
		return r == s.r
	}
	in := func(r rune) bool {
		for i := 0; i+1 < len(s.ranges); i += 2 {
			if s.ranges[i] <= r && r <= s.ranges[i+1] {
				return true
			}
		}
		return false
	}
	found := in(r)
	if fold && !found && r <= unicode.MaxRune {
		found = in(unicode.ToLower(r)) || in(unicode.ToUpper(r))
	}
	return found != s.negate
}

// matches says whether the part matches a name. A recursive part matches every
// name. The work is at most len(name) times the number of steps.
func (p *part) matches(name string) bool {
	switch p.kind {
	case recursive:
		return true
	case literal:
		return name == p.text || p.fold && foldText(name) == p.folds
	}
	i, s := 0, 0
	star, mark := -1, 0
	for i < len(name) {
		if s < len(p.steps) && p.steps[s].kind == stepStar {
			star, mark = s, i
			s++
			continue
		}
		r, n := next(name[i:])
		if s < len(p.steps) && p.steps[s].matches(r, p.fold) {
			i += n
			s++
			continue
		}
		if star < 0 {
			return false
		}
		_, n = next(name[mark:])
		mark += n
		i, s = mark, star+1
	}
	for s < len(p.steps) && p.steps[s].kind == stepStar {
		s++
	}
	return s == len(p.steps)
}

// pattern is one alternative of a glob expression.
type pattern struct {
	number int // among all patterns of a walk
	target int // number of the expression it comes from
	parts  []part
}

// compile reads the components of one alternative.
func compile(target int, components []string, fold bool) (*pattern, error) {
	if len(components) > maxParts {
		return nil, fmt.Errorf("%d components: %w", len(components), ErrPattern)
	}
	p := &pattern{target: target}
	for _, text := range components {
		one, err := parsePart(text, fold)
		if err != nil {
			return nil, err
		}
		if n := len(p.parts); one.kind == recursive && n > 0 && p.parts[n-1].kind == recursive {
			p.parts[n-1].depth = min(maxDepth, p.parts[n-1].depth+one.depth)
			continue
		}
		p.parts = append(p.parts, one)
	}
	return p, nil
}

// state is how far a pattern has come when the walk stands in a directory.
type state struct {
	p    *pattern
	pos  int // part to match next
	left int // levels left if that part is recursive
}

// enter adds the state at pos, and the states behind a recursive part, which
// may match no directory at all.
func enter(to []state, p *pattern, pos int) []state {
	for {
		s := state{p, pos, p.parts[pos].depth}
		for _, have := range to {
			if have.p == p && have.pos == pos && have.left >= s.left {
				return to
			}
		}
		to = append(to, s)
		if p.parts[pos].kind != recursive || pos == len(p.parts)-1 {
			return to
		}
		pos++
	}
}

// advance follows a name: whether it is a match of some pattern, and with what
// states to go down into it. The targets that matched are added to hits.
func advance(states []state, name string, hits []int) (matched []int, down []state) {
	for _, s := range states {
		one := &s.p.parts[s.pos]
		if !one.matches(name) {
			continue
		}
		last := s.pos == len(s.p.parts)-1
		if one.kind == recursive {
			if last {
				hits = append(hits, s.p.target)
			}
			if s.left > 1 {
				down = addState(down, state{s.p, s.pos, s.left - 1})
				if !last {
					down = enter(down, s.p, s.pos+1)
				}
			} else if !last {
				down = enter(down, s.p, s.pos+1)
			}
			continue
		}
		if last {
			hits = append(hits, s.p.target)
		} else {
			down = enter(down, s.p, s.pos+1)
		}
	}
	return hits, down
}

// probe says whether advance would give targets, and states to go down with.
func probe(states []state, name string) (hit, goes bool) {
	for _, s := range states {
		one := &s.p.parts[s.pos]
		if !one.matches(name) {
			continue
		}
		last := s.pos == len(s.p.parts)-1
		hit = hit || last
		goes = goes || !last || one.kind == recursive && s.left > 1
	}
	return hit, goes
}

// matches is advance without the states.
func matches(states []state, name string, hits []int) []int {
	for _, s := range states {
		if s.pos == len(s.p.parts)-1 && s.p.parts[s.pos].matches(name) {
			hits = append(hits, s.p.target)
		}
	}
	return hits
}

func addState(to []state, s state) []state {
	for i, have := range to {
		if have.p == s.p && have.pos == s.pos {
			to[i].left = max(have.left, s.left)
			return to
		}
	}
	return append(to, s)
}

// literals returns the names to look up if all states wait for a literal, so
// that the directory need not be read, and nil otherwise.
func literals(states []state) []string {
	var names []string
	for _, s := range states {
		one := &s.p.parts[s.pos]
		if one.kind != literal {
			return nil
		}
		if !slices.Contains(names, one.text) {
			names = append(names, one.text)
		}
	}
	return names
}
