package metrics

import (
	"slices"
	"strings"
)

// Classification is LongBench's classification_score: the gold class must be
// among the class names that occur in the prediction; the score is one over
// their number. Names that are a proper part of the gold name do not count, but
// the official loop removes them while it iterates and so spares the name that
// follows a removed one. That bug changes scores and stays.
func Classification(prediction, answer string, classes []string) float64 {
	var found []string
	for _, class := range classes {
		if strings.Contains(prediction, class) {
			found = append(found, class)
		}
	}
	for i := 0; i < len(found); i++ {
		if found[i] != answer && strings.Contains(answer, found[i]) {
			found = slices.Delete(found, i, i+1)
		}
	}
	if !slices.Contains(found, answer) {
		return 0
	}
	return 1 / float64(len(found))
}

func equal(a, b string) float64 {
	if a == b {
		return 1
	}
	return 0
}

// Contains is the share of the answers that occur in a prediction, case
// ignored.
func Contains(prediction string, refs Refs) float64 {
	if len(refs.Answers) == 0 {
		return 0
	}
	text, found := lower(prediction), 0
	for _, answer := range refs.Answers {
		if strings.Contains(text, lower(answer)) {
			found++
		}
	}
	return float64(found) / float64(len(refs.Answers))
}

// Exact compares the trimmed prediction with an answer.
func Exact(prediction, answer string) float64 {
	return equal(trim(prediction), trim(answer))
}
