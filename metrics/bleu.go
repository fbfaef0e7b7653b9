package metrics

import (
	"math"
	"regexp"
	"strings"
)

// longestGram is the longest n-gram that BLEU counts.
const longestGram = 4

// BLEU is the sentence BLEU of sacrebleu 2 with its defaults, as a share
// (arXiv 1804.08771): tokenizer 13a, exponential smoothing, effective order,
// n-grams clipped by the best of all answers and the closest answer's length.
func BLEU(prediction string, answers []string) float64 {
	return bleu(prediction, answers, tokenize13a, true)
}

// BLEUT5 is the BLEU of t5.evaluation.metrics, which TruthfulQA's own evaluation
// and lm-evaluation-harness take against one answer: a corpus of one pair,
// tokenizer intl, exponential smoothing and always four orders, so that a
// prediction of fewer than four tokens scores 0.
func BLEUT5(prediction, answer string) float64 {
	return bleu(prediction, []string{answer}, tokenizeIntl, false)
}

func bleu(prediction string, answers []string, tokenize func(string) []string, effectiveOrder bool) float64 {
	p := tokenize(prediction)
	clip, closest := map[string]int{}, -1
	for _, answer := range answers {
		a := tokenize(answer)
		if near, best := abs(len(a)-len(p)), abs(closest-len(p)); closest < 0 || near < best || near == best && len(a) < closest {
			closest = len(a)
		}
		for gram, n := range countGrams(a) {
			clip[gram] = max(clip[gram], n)
		}
	}
	var correct, total [longestGram]int
	for n := range longestGram {
		total[n] = max(len(p)-n, 0)
		for gram := range nGrams(p, n+1) {
			if clip[gram] > 0 {
				clip[gram]--
				correct[n]++
			}
		}
	}
	if correct[0] == 0 {
		return 0
	}
	logs, order, smooth := 0.0, longestGram, 1.0
	for n := range longestGram {
		if total[n] == 0 {
			if !effectiveOrder {
				return 0
			}
			break
		}
		if effectiveOrder {
			order = n + 1
		}
		precision := 100 * float64(correct[n]) / float64(total[n])
		if correct[n] == 0 {
			smooth *= 2
			precision = 100 / (smooth * float64(total[n]))
		}
		logs += math.Log(precision)
	}
	brevity := 1.0
	if len(p) < closest {
		brevity = math.Exp(1 - float64(closest)/float64(len(p)))
	}
	return min(brevity*math.Exp(logs/float64(order))/100, 1)
}

func abs(n int) int { return max(n, -n) }

// countGrams counts the n-grams of all orders; tokens hold no blanks.
func countGrams(tokens []string) map[string]int {
	count := map[string]int{}
	for n := range longestGram {
		for gram := range nGrams(tokens, n+1) {
			count[gram]++
		}
	}
	return count
}

// A rewrite is a step of a tokenizer.
type rewrite struct {
	pattern *regexp.Regexp
	by      string
}

var (
	rewrites13a = []rewrite{
		{regexp.MustCompile(`[{-~\[-` + "`" + ` -&(-+:-@/]`), ` ${0} `},
		{regexp.MustCompile(`([^0-9])([.,])`), `${1} ${2} `},
		{regexp.MustCompile(`([.,])([^0-9])`), ` ${1} ${2}`},
		{regexp.MustCompile(`([0-9])-`), `${1} - `},
	}
	rewritesIntl = []rewrite{
		{regexp.MustCompile(`(\PN)(\pP)`), `${1} ${2} `},
		{regexp.MustCompile(`(\pP)(\PN)`), ` ${1} ${2}`},
		{regexp.MustCompile(`\pS`), ` ${0} `},
	}
)

// tokenize13a splits as mteval-v13a does, WMT's tokenizer.
func tokenize13a(text string) []string {
	text = trimRight(text)
	for _, r := range [][2]string{{"<skipped>", ""}, {"-\n", ""}, {"\n", " "}, {"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}} {
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	return split(" "+text+" ", rewrites13a)
}

// tokenizeIntl splits as mteval-v14 does with --international-tokenization.
func tokenizeIntl(text string) []string { return split(trimRight(text), rewritesIntl) }

func split(text string, rewrites []rewrite) []string {
	for _, r := range rewrites {
		text = r.pattern.ReplaceAllString(text, r.by)
	}
	return fields(text)
}

func trimRight(s string) string { return strings.TrimRightFunc(s, isSpace) }
