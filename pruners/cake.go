package pruners

import (
	"fmt"
	"math"
	"slices"

	"refreekv/model"
)

var cakeInfo = Info{
	Name:  "cake",
	About: "entries by mean and variance of the window's attention, layers by how spread out and how changing theirs is; the window stays",
	Paper: "CAKE, arXiv 2503.12491",
	Options: []Option{
		budgetOption,
		{Name: "window", Default: 32, About: "newest tokens that always stay and whose queries score the others; a budget of at most this many tokens makes it half of the budget"},
		{Name: "kernel", Default: 5, About: "width of the average pooling, odd"},
		{Name: "gamma", Default: 200.0, About: "weight of the variance in an entry's score"},
		{Name: "tau1", Default: 1.0, About: "temperature of the entropy in a layer's preference; the released code sets it for each model and budget"},
		{Name: "tau2", Default: 1.0, About: "temperature of the variance in a layer's preference, set likewise"},
	},
}

// cake rates an entry by mean + gamma·variance of the window's attention to it,
// pooled over neighbours and averaged over the query heads of its KV head. The
// layers share the budget in proportion to entropy^(1/tau1)·variance^(1/tau2) of
// the window's attention to older entries. The paper's cascade of evictions
// during prefill ends at the same choice and is not repeated here.
type cake struct {
	cakeScore
	budget, tau1, tau2 float64
}

func newCAKE(o options) (Pruner, error) {
	sc, err := cakeScoreOf(o)
	if err != nil {
		return nil, err
	}
	c := cake{sc, o.float("budget"), o.float("tau1"), o.float("tau2")}
	if !(c.tau1 > 0 && c.tau2 > 0) {
		return nil, fmt.Errorf("tau1 %g and tau2 %g must be above 0", c.tau1, c.tau2)
	}
	return c, checkBudget(c.budget)
}

func (c cake) Needs() model.Needs { return c.needs() }

func (c cake) Select(p *model.Prefix) (model.Keep, error) {
	n, layers := p.Len(), p.Shape().Layers
	total := capacity(n, c.budget)
	if total == n {
		return model.All(layers, n), nil
	}
	if total <= c.window {
		c.window = max(total/2, 1)
	}
	scores, preferences := make([][][]float64, layers), make([]float64, layers)
	if _, err := eachScored(p, c.cakeScore, func(layer int, lists [][]float64, s *scratch) (model.LayerKeep, error) {
		for _, list := range lists {
			scores[layer] = append(scores[layer], slices.Clone(list))
		}
		spread, change := c.dispersion(p, layer, s)
		preferences[layer] = math.Pow(spread, 1/c.tau1) * math.Pow(change, 1/c.tau2)
		return nil, nil
	}); err != nil {
		return nil, err
	}
	budgets := shareOut((total-c.window)*layers, n-c.window, preferences)
	return eachLayer(p, func(layer int, s *scratch) (model.LayerKeep, error) {
		return best(scores[layer], c.window+budgets[layer], s), nil
	})
}

// shareOut divides total among shares, in whole numbers of at most most each.
// What the cap takes from some, and then what rounding down left, goes in equal
// parts to those below the cap, odd ones to the first of them.
func shareOut(total, most int, shares []float64) []int {
	sum := 0.0
	for _, x := range shares {
		sum += x
	}
	out, excess := make([]int, len(shares)), 0
	left := total
	for i, x := range shares {
		part := float64(total) / float64(len(shares))
		if sum > 0 {
			part = x / sum * float64(total)
		}
		out[i] = min(int(part), most)
		excess += max(int(part)-most, 0)
		left -= out[i]
	}
	left -= spreadOut(excess, most, out)
	for left > 0 {
		left -= spreadOut(left, most, out)
	}
	return out
}

// spreadOut adds amount in equal parts to what is below most and returns how
// much of it found room.
func spreadOut(amount, most int, out []int) int {
	var open []int
	for i, x := range out {
		if x < most {
			open = append(open, i)
		}
	}
	spread := 0
	for at, i := range open {
		part := amount / len(open)
		if at < amount%len(open) {
			part++
		}
		part = min(part, most-out[i])
		out[i] += part
		spread += part
	}
	return spread
}

// cakeScore is CAKE's score of entries.
type cakeScore struct {
	window, kernel int
	gamma          float64
}

func newCAKEScorer(o options) (scorer, error) { return cakeScoreOf(o) }

func cakeScoreOf(o options) (cakeScore, error) {
	c := cakeScore{o.int("window"), o.int("kernel"), o.float("gamma")}
	switch {
	case c.window < 2:
		return c, fmt.Errorf("window %d is below 2: a single row has no variance", c.window)
	case c.kernel < 1 || c.kernel%2 == 0:
		return c, fmt.Errorf("kernel %d is not odd and positive", c.kernel)
	case c.gamma < 0 || math.IsInf(c.gamma, 0):
		return c, fmt.Errorf("gamma %g is no weight from 0 on", c.gamma)
	}
	return c, nil
}

func (c cakeScore) needs() model.Needs { return model.Needs{LastRows: c.window} }

func (c cakeScore) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	n := p.Len()
	end := max(n-c.window, 0)
	scores := s.scores[:p.Shape().Heads]
	for h, list := range scores {
		mean, variance := s.total[:end], s.spare[:end]
		c.moments(p, layer, h, mean, variance)
		if err := checkFinite(variance, layer, h); err != nil {
			return nil, err
		}
		for i := range mean {
			mean[i] += c.gamma * variance[i]
		}
		avgPool(list[:end], mean, c.kernel, s)
		always(list, end, n)
	}
	return combine(scores, p.Shape().Group(), "mean"), nil
}

// moments sets mean and variance, of the first keys, to those of the window's
// attention to each. The variance is that of a sample, 0 of a single row.
func (c cakeScore) moments(p *model.Prefix, layer, head int, mean, variance []float64) {
	rows := min(c.window, p.Len())
	clear(mean)
	clear(variance)
	for back := rows - 1; back >= 0; back-- {
		for i, a := range p.Row(layer, head, back)[:len(mean)] {
			mean[i] += float64(a)
			variance[i] += float64(a) * float64(a)
		}
	}
	for i := range mean {
		squares := variance[i]
		mean[i] /= float64(rows)
		variance[i] = max(squares-mean[i]*mean[i]*float64(rows), 0) / float64(max(rows-1, 1))
	}
}

// dispersion measures a layer's attention from the window to the entries before
// it: its entropy, and the variance over the window's rows, both summed over
// heads and entries.
func (c cakeScore) dispersion(p *model.Prefix, layer int, s *scratch) (entropy, variance float64) {
	n := p.Len()
	end := max(n-c.window, 0)
	for h := range p.Shape().Heads {
		c.moments(p, layer, h, s.total[:end], s.spare[:end])
		for _, v := range s.spare[:end] {
			variance += v
		}
		for back := range min(c.window, n) {
			for _, a := range p.Row(layer, h, back)[:end] {
				entropy -= float64(a) * math.Log(float64(a)+1e-10)
			}
		}
	}
	// The logarithm's offset takes attention on a single entry below 0.
	return max(entropy, 0), variance
}
