package jieba

import (
	_ "embed"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed hmm.txt.gz
var hmmFile []byte

// A character begins a word, ends one, stands inside or is one (B, E, M, S).
const (
	begins = iota
	ends
	inside
	single
	states
)

// before are the two states that may precede each, the later letter second: it
// wins a tie.
var before = [states][2]int{begins: {ends, single}, ends: {begins, inside}, inside: {begins, inside}, single: {ends, single}}

// never is the log probability of what does not occur.
const never = -3.14e100

// hmm holds log probabilities.
type hmm struct {
	start [states]float64
	step  [states][states]float64
	emit  map[rune][states]float64
}

var loadHMM = sync.OnceValue(func() *hmm {
	h := &hmm{emit: map[rune][states]float64{}}
	for n, line := range strings.Split(strings.TrimSuffix(unzip(hmmFile), "\n"), "\n") {
		name, rest, _ := strings.Cut(line, " ")
		var row [states]float64
		for i, field := range strings.Fields(rest) {
			row[i] = number(field)
		}
		switch {
		case n == 0:
			h.start = row
		case n <= states:
			h.step[n-1] = row
		default:
			r, _ := utf8.DecodeRuneInString(name)
			h.emit[r] = row
		}
	}
	return h
})

func (h *hmm) emission(r rune) [states]float64 {
	if row, ok := h.emit[r]; ok {
		return row
	}
	return [states]float64{never, never, never, never}
}

// path is the likeliest sequence of states (Viterbi).
func (h *hmm) path(text []rune) []int {
	from := make([][states]int, len(text))
	var score [states]float64
	for i, r := range text {
		emit := h.emission(r)
		var next [states]float64
		for s := range states {
			if i == 0 {
				next[s] = h.start[s] + emit[s]
				continue
			}
			// The order of additions decides the last bit, and that a tie.
			a, b := before[s][0], before[s][1]
			one, two := score[a]+h.step[a][s]+emit[s], score[b]+h.step[b][s]+emit[s]
			next[s], from[i][s] = two, b
			if one > two {
				next[s], from[i][s] = one, a
			}
		}
		score = next
	}
	out := make([]int, len(text))
	state := single
	if score[ends] > score[single] {
		state = ends
	}
	for i := len(text) - 1; i >= 0; i-- {
		out[i] = state
		state = from[i][state]
	}
	return out
}

// cutHan splits a run of Chinese characters into words.
func (h *hmm) cutHan(out []string, text []rune) []string {
	start := 0
	for i, state := range h.path(text) {
		if state == ends || state == single {
			out = append(out, string(text[start:i+1]))
			start = i + 1
		}
	}
	return out
}

// latin are the words and numbers among characters that are not Chinese.
var latin = regexp.MustCompile(`[a-zA-Z0-9]+(\.[0-9]+)?%?`)

// cut splits a text that holds no words of the dictionary.
func (h *hmm) cut(out []string, text string) []string {
	for run, han := range runs(text, isHan) {
		if han {
			out = h.cutHan(out, []rune(run))
			continue
		}
		at := 0
		for _, m := range append(latin.FindAllStringIndex(run, -1), []int{len(run), len(run)}) {
			for _, piece := range []string{run[at:m[0]], run[m[0]:m[1]]} {
				if piece != "" {
					out = append(out, piece)
				}
			}
			at = m[1]
		}
	}
	return out
}
