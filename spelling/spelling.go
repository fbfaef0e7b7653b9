// Package spelling finds the name that a misspelt one was meant to be, for
// messages to people. It knows no other package.
package spelling

import (
	"fmt"
	"strings"
)

// Suggest is the end of a message about a misspelt name: "; did you mean …?" with
// the one of names that is nearest or, where none is near, what else helps, as in
// "; refreekv list tasks shows what there is". Empty, if that is empty too.
func Suggest(name string, names []string, otherwise string) string {
	if at := nearest(name, names); at >= 0 {
		return fmt.Sprintf("; did you mean %q?", names[at])
	}
	if otherwise == "" {
		return ""
	}
	return "; " + otherwise
}

// OneOf is Suggest, with all names where none is near.
func OneOf(name string, names []string) string {
	return Suggest(name, names, "want one of "+strings.Join(names, ", "))
}

// nearest is the place of the name that is likest, or -1. Capitals, hyphens, dots
// and underscores make no difference.
func nearest(name string, names []string) int {
	given := squash(name)
	// One letter in three may be wrong, and at most three.
	best, at := min(max(len(given)/3, 1), 3)+1, -1
	for i, n := range names {
		known := squash(n)
		d := distance(given, known)
		if d >= best && at < 0 && partOf(known, given) {
			at = i // a part of a name is a guess that a near name overrules
		}
		if d < best && d < len(given) {
			best, at = d, i
		}
	}
	return at
}

// partOf tells whether a name begins with a part that was given, or holds a longer
// one.
func partOf(name, part string) bool {
	return len(part) >= 3 && strings.HasPrefix(name, part) || len(part) >= 4 && strings.Contains(name, part)
}

var separators = strings.NewReplacer("-", "", "_", "", ".", "")

func squash(name string) string { return separators.Replace(strings.ToLower(name)) }

// distance is how many letters must be changed, added, left out or exchanged
// with their neighbour to get from a to b.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
