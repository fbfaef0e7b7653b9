package metrics

import (
	"math"
	"strings"
)

// CodeSimilarity compares the first line of a prediction that holds none of
// "`", "#" and "//" with the answer (LongBench's code_sim_score), by FuzzRatio:
// fuzzywuzzy with python-Levenshtein, which ReFreeKV's requirements name.
func CodeSimilarity(prediction, answer string) float64 {
	return FuzzRatio(codeLine(prediction), answer)
}

// CodeSimilarityDifflib is CodeSimilarity by FuzzRatioDifflib: fuzzywuzzy without
// python-Levenshtein, which LongBench's requirements leave out.
func CodeSimilarityDifflib(prediction, answer string) float64 {
	return FuzzRatioDifflib(codeLine(prediction), answer)
}

// codeLine is the first line that is code; none is "".
func codeLine(prediction string) string {
	for line := range strings.SplitSeq(strings.TrimLeft(prediction, "\n"), "\n") {
		if !strings.Contains(line, "`") && !strings.Contains(line, "#") && !strings.Contains(line, "//") {
			return line
		}
	}
	return ""
}

// FuzzRatio is fuzz.ratio of fuzzywuzzy with python-Levenshtein, as a share:
// 1 - indel distance / sum of lengths over characters, rounded to hundredths.
// Equal texts score 1, two empty ones too; otherwise an empty one scores 0.
func FuzzRatio(a, b string) float64 {
	return fuzzRatio(a, b, func(x, y []rune) float64 {
		if len(x) < len(y) {
			x, y = y, x // the shorter one is cheaper to index
		}
		sum := len(x) + len(y)
		distance := sum - 2*newLCSIndex(y).length(x)
		// The subtraction comes before the factor, as in the library: it decides
		// which way half a percent is rounded.
		return 1 - float64(distance)/float64(sum)
	})
}

// FuzzRatioDifflib is fuzz.ratio of fuzzywuzzy without python-Levenshtein, where
// it falls back on difflib's SequenceMatcher: matching blocks instead of a
// longest common subsequence, and in answers b of 200 characters or more,
// frequent characters do not begin a block. The order of the texts matters.
func FuzzRatioDifflib(a, b string) float64 {
	return fuzzRatio(a, b, func(x, y []rune) float64 { return newDifflib(x, y).ratio() })
}

// fuzzRatio rounds a similarity of two texts that are not empty to hundredths.
func fuzzRatio(a, b string, similarity func(x, y []rune) float64) float64 {
	if a == b {
		return 1
	}
	if a == "" || b == "" {
		return 0
	}
	return math.RoundToEven(100*similarity([]rune(a), []rune(b))) / 100
}
