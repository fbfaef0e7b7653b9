package pruners

import "fmt"

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

// newH2O makes the method that keeps, per head, the keys that received most
// attention plus the newest (spec 4.2). It prunes once after prefill.
func newH2O(o options) (Pruner, error) {
	w := h2o(o)
	return w, w.checkWithBudget()
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
