package pruners

import (
	"fmt"
	"math"

	"refreekv/model"
)

var pyramidKVInfo = Info{
	Name:    "pyramidkv",
	About:   "any score, with budgets that fall from layer to layer",
	Paper:   "PyramidKV, arXiv 2406.02069",
	Repeats: true,
	Options: []Option{
		budgetOption, scoreBy("snapkv"),
		{Name: "schedule", Default: "released", Choices: []string{"released", "factory", "kvpress"}, About: "how layers share the budget: as in ReFreeKV's released code, as in KVCache-Factory today (both hold somewhat more than the budget), or as in kvpress"},
		{Name: "beta", Default: 20, About: "steepness, from 1: beside the window the last layer keeps about 1/beta of the mean"},
	},
}

// pyramidKV ranks by a score and gives layers budgets that fall evenly from the
// first to the last (spec 4.5).
type pyramidKV struct {
	scorer
	budget   float64
	schedule string
	beta     int
}

func newPyramidKV(o options) (Pruner, error) {
	sc, err := o.scorer()
	if err != nil {
		return nil, err
	}
	y := pyramidKV{sc, o.float("budget"), o.text("schedule"), o.int("beta")}
	if y.beta < 1 {
		return nil, fmt.Errorf("beta %d is below 1", y.beta)
	}
	return y, checkBudget(y.budget)
}

func (y pyramidKV) Needs() model.Needs { return y.needs() }

func (y pyramidKV) Select(p *model.Prefix) (model.Keep, error) {
	n, layers := p.Len(), p.Shape().Layers
	c := capacity(n, y.budget)
	if c == n {
		return model.All(layers, n), nil
	}
	sc := y.scorer
	if w, ok := sc.(windowScore); ok && c <= w.w.window && y.schedule != "kvpress" {
		sc = w.narrow()
	}
	return eachScored(p, sc, func(layer int, scores [][]float64, s *scratch) (model.LayerKeep, error) {
		window := 0 // the newest tokens that the score keeps in any case
		for window < n && math.IsInf(scores[0][n-1-window], 1) {
			window++
		}
		return best(scores, y.budgets(n, window, layers)[layer], s), nil
	})
}

// budgets says how many of n entries every layer keeps, the newest window among
// them.
func (y pyramidKV) budgets(n, window, layers int) []int {
	out := make([]int, layers)
	if y.schedule == "kvpress" {
		y.fill(out, n, window)
		return out
	}
	c := capacity(n, y.budget)
	older := c - window
	low := older / y.beta
	high := 2*older - low
	if high >= n-window {
		high = n - window
		low = 2*older - high
	}
	steps := layers
	if y.schedule == "factory" {
		steps = max(layers-1, 1)
	}
	step := (high - low) / steps
	for l := range out {
		out[l] = max(high-l*step+window, 1)
		if n < 2*older || older < 0 {
			out[l] = c
		}
	}
	return out
}

// fill computes kvpress's budgets: real numbers, rounded at the end, with the
// window inside.
func (y pyramidKV) fill(out []int, n, window int) {
	most, w := float64(n), float64(window)
	kept := y.budget
	if kept <= 1 {
		kept *= most
	}
	older := w + kept - w // as written there, rounding and all
	low := older / float64(y.beta)
	high := 2*older - low
	if high >= most-w {
		high = most - w
		low = 2*older - high
	}
	step := 0.0
	if len(out) > 1 {
		step = (high - low) / float64(len(out)-1)
	}
	flat := high > most || low > high || w > low
	for l := range out {
		layer := high - float64(float64(l)*step) // no fused multiply-add
		if flat {
			layer = kept
		}
		out[l] = max(int(math.RoundToEven(layer)), 1)
	}
}
