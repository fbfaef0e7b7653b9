package pruners

import "refreekv/model"

var h2oInfo = Info{
	Name:  "h2o",
	About: "heavy hitters: the entries that received most attention, plus the newest",
	Paper: "H2O, arXiv 2306.14048; default as in ReFreeKV's evaluation, arXiv 2502.16886",
	Options: []Option{
		budgetOption, windowOption, headsOption, groupOption,
		{Name: "rows", Default: "window", Choices: []string{"window", "all"}, About: "window: attention of the window's queries, as in ReFreeKV's evaluation; all: of every query of the prompt, as in KVCache-Factory and the H2O paper"},
		{Name: "split", Default: "window", Choices: []string{"window", "half"}, About: "window: all but the window are heavy hitters; half: half of the budget is recent, as in the H2O paper"},
	},
}

// h2o keeps, per head, the keys that received most attention plus the newest
// (spec 4.2). It prunes once after prefill.
type h2o struct {
	windowed
	allRows bool
}

func newH2O(o options) (Pruner, error) {
	h := &h2o{
		windowed: windowed{budget: o.float("budget"), window: o.int("window"), heads: o.text("heads"), group: o.text("group")},
		allRows:  o.text("rows") == "all",
	}
	h.recent = recentWindow(h.window)
	if o.text("split") == "half" {
		h.recent = func(c int) int { return max(c/2, 1) }
	}
	h.score = windowSum
	if h.allRows {
		h.score = columnSum
	}
	return h, h.check()
}

func (h *h2o) Needs() model.Needs {
	if h.allRows {
		return model.Needs{ColumnSums: true}
	}
	return model.Needs{LastRows: h.window}
}

func (h *h2o) Select(p *model.Prefix) (model.Keep, error) { return h.keep(p) }

// recentWindow is the recent span of the released codes: the window, or a
// single token where the budget does not exceed it.
func recentWindow(window int) func(c int) int {
	return func(c int) int {
		if c <= window {
			return 1
		}
		return window
	}
}

func columnSum(p *model.Prefix, layer, head, end, _ int) []float64 {
	scores := make([]float64, end)
	for i, a := range p.ColumnSum(layer, head)[:end] {
		scores[i] = float64(a)
	}
	return scores
}
