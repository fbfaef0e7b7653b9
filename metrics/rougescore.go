package metrics

import (
	"iter"
	"slices"
	"strings"
)

// The package rouge-score (Google Research) computes ROUGE otherwise than the
// package rouge, which LongBench uses: words are runs of a-z and 0-9 in lower
// case, they count as often as they occur, nothing is added to the divisor, and
// long texts are no error.

// RougeScoreN is the F score of ROUGE-N as rouge-score computes it: the n-grams
// that prediction and answer share over those of each.
func RougeScoreN(prediction, answer string, n int, stem bool) float64 {
	p, a := rougeWords(prediction, stem), rougeWords(answer, stem)
	grams := slices.Collect(nGrams(p, n))
	return harmonic(shared(grams, slices.Collect(nGrams(a, n))), len(grams), len(a)-n+1)
}

// RougeScoreL is the F score of rouge-score's rougeL: the longest common
// subsequence of the whole texts, line breaks ignored.
func RougeScoreL(prediction, answer string, stem bool) float64 {
	words := symbols{}
	p, a := words.of(rougeWords(prediction, stem)), words.of(rougeWords(answer, stem))
	return harmonic(newLCSIndex(a).length(p), len(p), len(a))
}

// RougeScoreLsum is the F score of rouge-score's rougeLsum: sentences are lines,
// each sentence of the answer is matched with all of the prediction's, and its
// words in the union of the longest common subsequences count, none more often
// than it occurs in both texts.
func RougeScoreLsum(prediction, answer string, stem bool) float64 {
	words := symbols{}
	p, a := rougeLines(prediction, stem, words), rougeLines(answer, stem, words)
	inPrediction, predicted := occurrences(p, len(words))
	inAnswer, answered := occurrences(a, len(words))
	p = withoutUnshared(p, newSentenceIndex(a))
	holding := newSentenceIndex(p)
	hits := 0
	for _, ref := range a {
		table, inUnion := newLCSIndex(ref), make([]bool, len(ref))
		walked := map[int]bool{}
		for j, id := range ref {
			for _, n := range holding[id] {
				if inUnion[j] {
					break
				}
				if !walked[n] {
					walked[n] = true
					table.walk(p[n], func(j int) { inUnion[j] = true })
				}
			}
		}
		for j, id := range ref {
			if inUnion[j] && inPrediction[id] > 0 && inAnswer[id] > 0 {
				hits++
				inPrediction[id]--
				inAnswer[id]--
			}
		}
	}
	return harmonic(hits, predicted, answered)
}

// rougeLines are the words of each line.
func rougeLines(text string, stem bool, words symbols) [][]int32 {
	var out [][]int32
	for line := range strings.SplitSeq(text, "\n") {
		out = append(out, words.of(rougeWords(line, stem)))
	}
	return out
}

// occurrences counts each of n words, and all of them.
func occurrences(lines [][]int32, n int) (each []int, all int) {
	each = make([]int, n)
	for _, line := range lines {
		for _, id := range line {
			each[id]++
		}
		all += len(line)
	}
	return each, all
}

// rougeWords are the words of a text, the longer ones stemmed if so asked.
func rougeWords(text string, stem bool) []string {
	words := strings.FieldsFunc(lower(text), func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') })
	if stem {
		for i, w := range words {
			if len(w) > 3 {
				words[i] = PorterStem(w)
			}
		}
	}
	return words
}

// harmonic is the F score of hits among predicted and answered items.
func harmonic(hits, predicted, answered int) float64 {
	if hits == 0 {
		return 0
	}
	precision, recall := float64(hits)/float64(predicted), float64(hits)/float64(answered)
	return 2 * precision * recall / (precision + recall)
}

// nGrams yields the runs of n words, joined by blanks.
func nGrams(words []string, n int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(words) - n + 1 {
			if !yield(strings.Join(words[i:i+n], " ")) {
				return
			}
		}
	}
}
