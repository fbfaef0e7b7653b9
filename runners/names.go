package runners

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"refreekv/model/hub"
)

// DidYouMean is "; did you mean …?" with the one of names that a misspelt name
// is nearest to, or empty if none is near.
func DidYouMean(name string, names []string) string {
	best, at := 3, -1
	lower := strings.ToLower(name)
	for i, n := range names {
		d := distance(lower, strings.ToLower(n))
		if d >= best && at < 0 && len(lower) >= 3 && strings.HasPrefix(strings.ToLower(n), lower) {
			at = i // the beginning of a name is a guess that a near name overrules
		}
		if d < best && d < len(name) {
			best, at = d, i
		}
	}
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", names[at])
}

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

var hubID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

// CheckModel refuses a name that cannot be a model's: neither a registry name,
// nor a folder or file that is there, nor written like a hub id.
func CheckModel(name string) error {
	var names []string
	for _, m := range hub.Models() {
		if m.Name == name {
			return nil
		}
		names = append(names, m.Name)
	}
	if _, err := os.Stat(name); err == nil && name != "" {
		return nil
	}
	if hubID.MatchString(name) && !strings.HasSuffix(name, ".gguf") {
		return nil
	}
	return fmt.Errorf("no model %q%s; want a registry name (%s), a hub id (org/name), a folder or a .gguf file", name, DidYouMean(name, names), strings.Join(names, ", "))
}
