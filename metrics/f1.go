package metrics

import "strings"

// F1 is the harmonic mean of precision and recall over words, after
// normalisation: lower case, ASCII punctuation deleted, the words a, an and the
// dropped (LongBench's qa_f1_score, arXiv 2308.14508, from SQuAD's script).
func F1(prediction, answer string) float64 {
	return wordF1(fields(normalize(prediction)), fields(normalize(answer)))
}

// wordF1 is the F score of the words that both texts hold, each as often as it
// occurs in both.
func wordF1(p, a []string) float64 {
	return harmonic(shared(p, a), len(p), len(a))
}

// shared counts the items in both lists.
func shared(p, a []string) int {
	count := map[string]int{}
	for _, w := range a {
		count[w]++
	}
	same := 0
	for _, w := range p {
		if count[w] > 0 {
			count[w]--
			same++
		}
	}
	return same
}

// CoQAF1 is the F1 of CoQA's own evaluation (arXiv 1808.07042): with several
// people's answers, the mean over them of the best F1 against all the others,
// which is how each of the people is scored. A text without a word scores 1
// against an answer without one.
func CoQAF1(prediction string, answers []string) float64 {
	p := fields(normalize(prediction))
	scores := make([]float64, len(answers))
	for i, answer := range answers {
		a := fields(normalize(answer))
		if len(p) == 0 && len(a) == 0 {
			scores[i] = 1
			continue
		}
		scores[i] = wordF1(p, a)
	}
	if len(scores) == 1 {
		return scores[0]
	}
	sum := 0.0
	for left := range scores {
		most := 0.0
		for i, score := range scores {
			if i != left {
				most = max(most, score)
			}
		}
		sum += most
	}
	return sum / float64(max(len(scores), 1))
}

func normalize(s string) string {
	s = strings.Map(func(r rune) rune {
		if isPunctuation(r) {
			return -1
		}
		return r
	}, lower(s))
	return dropArticles(s)
}

// dropArticles replaces whole words a, an and the by blanks. Words are runs of
// letters, digits and underscores of any script.
func dropArticles(s string) string {
	var out, word strings.Builder
	flush := func() {
		switch w := word.String(); w {
		case "a", "an", "the":
			out.WriteByte(' ')
		default:
			out.WriteString(w)
		}
		word.Reset()
	}
	for _, r := range s {
		if isWord(r) {
			word.WriteRune(r)
			continue
		}
		flush()
		out.WriteRune(r)
	}
	flush()
	return out.String()
}
