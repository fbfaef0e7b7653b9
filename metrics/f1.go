package metrics

import "strings"

// F1 is the harmonic mean of precision and recall over words, after
// normalisation: lower case, ASCII punctuation deleted, the words a, an and the
// dropped (LongBench's qa_f1_score, arXiv 2308.14508, from SQuAD's script).
func F1(prediction, answer string) float64 {
	p, a := fields(normalize(prediction)), fields(normalize(answer))
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
	if same == 0 {
		return 0
	}
	precision, recall := float64(same)/float64(len(p)), float64(same)/float64(len(a))
	return 2 * precision * recall / (precision + recall)
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
