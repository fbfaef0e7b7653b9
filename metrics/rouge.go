package metrics

import "strings"

// deepest is the longest walk back through a table of two sentences that scores.
// The package rouge walks by recursion; at Python's default limit of 1,000 calls,
// nine of which LongBench's evaluation and the package have used by then, one
// more step raises an error, which LongBench turns into a score of 0. It takes
// two sentences of about a thousand words together.
const deepest = 990

// RougeL is the F score of ROUGE-L at summary level as the Python package rouge
// 1.0 computes it and LongBench uses it: sentences end at full stops, the words
// of the longest common subsequences of all sentence pairs are united into one
// set, and precision and recall are over distinct words (spec 6.4). It is 0
// wherever the package raises an error: if a text is empty or holds full stops
// only, and if sentences are too long for it. Identical texts score a little
// less than 1, for the package adds 1e-8 to the divisor.
func RougeL(prediction, answer string) float64 {
	return rougeL(sentences(prediction), sentences(answer), deepest)
}

// rougeL is RougeL of sentences split into words, with walks of at most limit
// steps.
func rougeL(prediction, answer [][]string, limit int) float64 {
	if len(prediction) == 0 || len(answer) == 0 {
		return 0
	}
	words := symbols{}
	p, a := make([][]int32, len(prediction)), make([][]int32, len(answer))
	for i, s := range prediction {
		p[i] = words.of(s)
	}
	predicted := len(words)
	for i, s := range answer {
		a[i] = words.of(s)
	}
	index := newSentenceIndex(a)
	answered, longest := len(index), 0
	for _, ref := range a {
		longest = max(longest, len(ref))
	}
	union := map[int32]bool{}
	for _, hyp := range withoutUnshared(p, index) {
		table := newLCSIndex(hyp)
		if len(hyp)+longest > limit && !table.walksWithin(a, limit) {
			return 0
		}
		// Only sentences that hold a word which is not united yet can add one.
		walked := map[int]bool{}
		for _, id := range hyp {
			for _, n := range index[id] {
				if union[id] {
					break
				}
				if !walked[n] {
					walked[n] = true
					table.walk(a[n], func(j int) { union[hyp[j]] = true })
				}
			}
		}
	}
	recall := float64(len(union)) / float64(answered)
	precision := float64(len(union)) / float64(predicted)
	return 2 * (precision * recall / (precision + recall + 1e-8))
}

// walksWithin tells whether no walk with one of the sentences is longer than
// limit.
func (x *lcsIndex) walksWithin(sentences [][]int32, limit int) bool {
	for _, s := range sentences {
		// A walk takes the shorter one's length at least and both lengths at most.
		if min(len(s), len(x.sequence)) > limit {
			return false
		}
		if len(s)+len(x.sequence) > limit && x.walk(s, func(int) {}) > limit {
			return false
		}
	}
	return true
}

// sentences cuts at full stops, drops empty pieces and splits the rest into
// words; a piece of blanks becomes one empty word. A repeated piece, which adds
// nothing to the score, stands once.
func sentences(text string) [][]string {
	var out [][]string
	seen := map[string]bool{"": true}
	for piece := range strings.SplitSeq(text, ".") {
		if seen[piece] {
			continue
		}
		seen[piece] = true
		words := fields(piece)
		if len(words) == 0 {
			words = []string{""}
		}
		out = append(out, words)
	}
	return out
}
