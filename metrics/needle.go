package metrics

// StringMatchPart is 1 if any of the answers occurs in a prediction, case
// ignored: RULER's string_match_part (arXiv 2404.06654), for its QA tasks. Its
// string_match_all is Contains.
func StringMatchPart(prediction string, refs Refs) float64 {
	return best(func(prediction, answer string) float64 {
		return Contains(prediction, Refs{Answers: []string{answer}})
	})(prediction, refs)
}

// NeedleRecall is the share of the distinct words of an answer that a prediction
// holds, case ignored, words split at blanks only: the recall that the plots of
// the needle-in-a-haystack scripts show. Their ROUGE-1 F times 10 is ten times
// rouge-score's rouge1 with stemming.
func NeedleRecall(prediction, answer string) float64 {
	found := map[string]bool{}
	for _, w := range fields(lower(prediction)) {
		found[w] = true
	}
	want := map[string]bool{}
	hits := 0
	for _, w := range fields(lower(answer)) {
		if !want[w] && found[w] {
			hits++
		}
		want[w] = true
	}
	return float64(hits) / float64(max(len(want), 1))
}
