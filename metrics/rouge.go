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
	p, a := sentences(prediction), sentences(answer)
	if len(p) == 0 || len(a) == 0 {
		return 0
	}
	union := map[string]bool{}
	for _, ref := range a {
		for _, hyp := range p {
			words, ok := commonSubsequence(ref, hyp)
			if !ok {
				return 0
			}
			for _, word := range words {
				union[word] = true
			}
		}
	}
	recall := float64(len(union)) / float64(distinct(a))
	precision := float64(len(union)) / float64(distinct(p))
	return 2 * (precision * recall / (precision + recall + 1e-8))
}

// sentences cuts at full stops, drops empty pieces and splits the rest into
// words; a piece of blanks becomes one empty word.
func sentences(text string) [][]string {
	var out [][]string
	for piece := range strings.SplitSeq(text, ".") {
		if piece == "" {
			continue
		}
		words := fields(piece)
		if len(words) == 0 {
			words = []string{""}
		}
		out = append(out, words)
	}
	return out
}

func distinct(sentences [][]string) int {
	seen := map[string]bool{}
	for _, words := range sentences {
		for _, w := range words {
			seen[w] = true
		}
	}
	return len(seen)
}

// commonSubsequence returns the words of one longest common subsequence: where
// several are equally long, the step is taken in the reference only if that is
// strictly better. It fails where the walk is longer than deepest.
func commonSubsequence(ref, hyp []string) ([]string, bool) {
	if min(len(ref), len(hyp)) > deepest {
		return nil, false // every walk is at least that long
	}
	row := make([]int, len(hyp)+1)
	inRef := make([]bool, len(ref)*len(hyp)) // whether the step from a cell of unequal words is in the reference
	for i, r := range ref {
		diagonal := 0
		for j, h := range hyp {
			above := row[j+1]
			switch {
			case r == h:
				row[j+1] = diagonal + 1
			case above > row[j]:
				inRef[i*len(hyp)+j] = true
			default:
				row[j+1] = row[j]
			}
			diagonal = above
		}
	}
	var out []string
	i, j, steps := len(ref), len(hyp), 0
	for ; i > 0 && j > 0 && steps <= deepest; steps++ {
		switch {
		case ref[i-1] == hyp[j-1]:
			out = append(out, ref[i-1])
			i, j = i-1, j-1
		case inRef[(i-1)*len(hyp)+j-1]:
			i--
		default:
			j--
		}
	}
	return out, steps <= deepest
}
