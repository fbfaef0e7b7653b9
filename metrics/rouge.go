package metrics

import "strings"

// RougeL is the F score of ROUGE-L at summary level as the Python package rouge
// 1.0 computes it and LongBench uses it: sentences end at full stops, the words
// of the longest common subsequences of all sentence pairs are united into one
// set, and precision and recall are over distinct words (spec 6.4). It is 0 if
// either text is empty.
func RougeL(prediction, answer string) float64 {
	p, a := sentences(prediction), sentences(answer)
	if len(p) == 0 || len(a) == 0 {
		return 0
	}
	union := map[string]bool{}
	for _, ref := range a {
		for _, hyp := range p {
			for _, word := range commonSubsequence(ref, hyp) {
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
// strictly better.
func commonSubsequence(ref, hyp []string) []string {
	width := len(hyp) + 1
	table := make([]int32, (len(ref)+1)*width)
	for i, r := range ref {
		for j, h := range hyp {
			at := (i+1)*width + j + 1
			if r == h {
				table[at] = table[at-width-1] + 1
			} else {
				table[at] = max(table[at-width], table[at-1])
			}
		}
	}
	var out []string
	for i, j := len(ref), len(hyp); i > 0 && j > 0; {
		switch {
		case ref[i-1] == hyp[j-1]:
			out = append(out, ref[i-1])
			i, j = i-1, j-1
		case table[(i-1)*width+j] > table[i*width+j-1]:
			i--
		default:
			j--
		}
	}
	return out
}
