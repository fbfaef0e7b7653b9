package pruners

import (
	"fmt"
	"slices"

	"refreekv/model"
)

var h2oInfo = Info{
	Name:    "h2o",
	About:   "heavy hitters: the entries that received most attention, plus the newest",
	Paper:   "H2O, arXiv 2306.14048; default as in ReFreeKV's evaluation, arXiv 2502.16886",
	Repeats: true,
	Options: []Option{
		budgetOption, windowOption, headsOption, groupOption,
		{Name: "rows", Default: "window", Choices: []string{"window", "all"}, About: "window: attention of the window's queries, as in ReFreeKV's evaluation; all: of every query of the prompt, as in KVCache-Factory and the H2O paper"},
		{Name: "split", Default: "window", Choices: []string{"window", "half"}, About: "window: all but the window are heavy hitters; half: half of the budget is recent, as in the H2O paper"},
		decodeOption,
	},
}

// heavyHitters keeps, per head, the keys that received most attention plus the
// newest (spec 4.2).
type heavyHitters struct {
	*windowed
	evicts bool
}

func newH2O(o options) (Pruner, error) {
	w := h2o(o)
	return heavyHitters{w, o.evicts()}, w.checkWithBudget()
}

// Decoding implements [Evictor]: the attention that entries receive from
// generated tokens is added to their scores, and the lowest of each list leaves.
func (h heavyHitters) Decoding(p *model.Prefix, v *model.Variant) error {
	if !h.evicts {
		return nil
	}
	n, s := p.Len(), p.Shape()
	c := capacity(n, h.budget)
	rows, recent := h.spans(c)
	perHead := *h.windowed
	perHead.heads = "query"
	prompt := make([][][]float64, s.Layers) // [layers][heads][tokens]
	keep, space := make(model.Keep, s.Layers), newScratch(s.Heads, n)
	for l := range prompt {
		scores, err := perHead.score(p, l, n, rows, space)
		if err != nil {
			return err
		}
		prompt[l] = cloneLists(scores)
		keep[l] = v.Keep[l]
		if len(keep[l]) == 1 { // all entries: from now on every head chooses for itself
			keep[l] = slices.Repeat(keep[l], map[string]int{"query": s.Heads, "kv": s.KVHeads}[h.heads])
		}
	}
	v.Keep = keep
	v.Evict = func() func(*model.Step) error {
		received := make([][][]float64, s.Layers) // [layers][heads][tokens so far]
		for l := range received {
			received[l] = cloneLists(prompt[l])
		}
		return evictLowest(c, recent, func(step *model.Step, layer, list int, dst []float64) {
			group := s.Heads / step.Lists(layer)
			heads := received[layer][list*group : (list+1)*group]
			for i := range heads {
				heads[i] = addAttention(heads[i], step.Attention(layer, list*group+i))
			}
			combineInto(dst, heads, h.group)
		})
	}
	return nil
}

// addAttention adds a step's attention row to what entries received before.
func addAttention(received []float64, row []float32) []float64 {
	for pos, a := range row {
		if pos == len(received) {
			received = append(received, 0)
		}
		received[pos] += float64(a)
	}
	return received
}

func cloneLists(lists [][]float64) [][]float64 {
	out := make([][]float64, len(lists))
	for i, list := range lists {
		out[i] = slices.Clone(list)
	}
	return out
}

func newH2OScorer(o options) (scorer, error) {
	w := h2o(o)
	if w.half {
		return nil, fmt.Errorf("split=half needs a budget of its own; a score takes split=window")
	}
	return windowScore{w}, w.check()
}

func h2o(o options) *windowed {
	w := newWindowed(o)
	w.allRows = o.text("rows") == "all"
	w.half = o.text("split") == "half"
	return w
}
