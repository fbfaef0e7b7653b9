package metrics

import (
	"math"
	"strings"
)

// CodeSimilarity compares the first line of a prediction that holds none of
// "`", "#" and "//" with the answer (LongBench's code_sim_score).
func CodeSimilarity(prediction, answer string) float64 {
	code := ""
	for line := range strings.SplitSeq(strings.TrimLeft(prediction, "\n"), "\n") {
		if !strings.Contains(line, "`") && !strings.Contains(line, "#") && !strings.Contains(line, "//") {
			code = line
			break
		}
	}
	return FuzzRatio(code, answer)
}

// FuzzRatio is fuzz.ratio of fuzzywuzzy with python-Levenshtein, as a share:
// 1 - indel distance / sum of lengths over characters, rounded to hundredths.
// Equal texts score 1, two empty ones too; otherwise an empty one scores 0.
// Without python-Levenshtein, which LongBench's requirements leave out and
// ReFreeKV's name, fuzzywuzzy falls back on difflib and gives other scores.
func FuzzRatio(a, b string) float64 {
	if a == b {
		return 1
	}
	x, y := []rune(a), []rune(b)
	if len(x) == 0 || len(y) == 0 {
		return 0
	}
	sum := len(x) + len(y)
	distance := sum - 2*commonLength(x, y)
	// The subtraction comes before the factor, as in the library: it decides
	// which way half a percent is rounded.
	similarity := 1 - float64(distance)/float64(sum)
	return math.RoundToEven(100*similarity) / 100
}

// commonLength is the length of the longest common subsequence.
func commonLength(x, y []rune) int {
	row := make([]int, len(y)+1)
	for _, r := range x {
		diagonal := 0
		for j, s := range y {
			above := row[j+1]
			if r == s {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(y)]
}
