package pruners

import (
	"fmt"
	"math"

	"refreekv/model"
)

var snapkvInfo = Info{
	Name:  "snapkv",
	About: "entries that the observation window attends to, pooled over neighbours, plus the window",
	Paper: "SnapKV, arXiv 2404.14469; default as in ReFreeKV's evaluation, arXiv 2502.16886",
	Options: []Option{
		budgetOption, windowOption, headsOption, groupOption,
		{Name: "kernel", Default: 7, About: "width of the pooling, odd"},
		{Name: "pooling", Default: "max", Choices: []string{"max", "avg"}, About: "max, or avg (the library default of the SnapKV code)"},
	},
}

// snapkv keeps, per head, the keys with the largest pooled attention of the
// observation window, plus the window (spec 4.3).
type snapkv struct {
	windowed
	kernel int
	pool   func(scores []float64, kernel int) []float64
}

func newSnapKV(o options) (Pruner, error) {
	s := &snapkv{
		windowed: windowed{budget: o.float("budget"), window: o.int("window"), heads: o.text("heads"), group: o.text("group")},
		kernel:   o.int("kernel"), pool: maxPool,
	}
	if s.kernel < 1 || s.kernel%2 == 0 {
		return nil, fmt.Errorf("kernel %d is not odd and positive", s.kernel)
	}
	if o.text("pooling") == "avg" {
		s.pool = avgPool
	}
	s.recent = recentWindow(s.window)
	s.score = func(p *model.Prefix, layer, head, end, rows int) []float64 {
		return s.pool(windowSum(p, layer, head, end, rows), s.kernel)
	}
	return s, s.check()
}

func (s *snapkv) Needs() model.Needs { return model.Needs{LastRows: s.window} }

func (s *snapkv) Select(p *model.Prefix) (model.Keep, error) { return s.keep(p) }

// maxPool takes the maximum over kernel neighbours, padding with minus
// infinity.
func maxPool(scores []float64, kernel int) []float64 {
	out := make([]float64, len(scores))
	for i := range out {
		best := math.Inf(-1)
		for _, x := range scores[max(i-kernel/2, 0):min(i+kernel/2+1, len(scores))] {
			best = max(best, x)
		}
		out[i] = best
	}
	return out
}

// avgPool takes the mean over kernel neighbours, counting zeros beyond the
// ends.
func avgPool(scores []float64, kernel int) []float64 {
	out := make([]float64, len(scores))
	for i := range out {
		sum := 0.0
		for _, x := range scores[max(i-kernel/2, 0):min(i+kernel/2+1, len(scores))] {
			sum += x
		}
		out[i] = sum / float64(kernel)
	}
	return out
}
