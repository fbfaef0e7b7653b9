package pruners

import (
	"math"
	"slices"

	"refreekv/model"
)

var thresholdFreeInfo = Info{
	Name:    "threshold_free",
	About:   "any score with ReFreeKV's stopping rule in place of a budget: the lowest-rated entries go until the last row's attention norm falls by the threshold",
	Paper:   "the stopping rule of ReFreeKV, arXiv 2502.16886, over the score of another method",
	Options: []Option{thresholdOption, scoreBy("snapkv"), frozenOption, scopeOption, headAggOption},
}

// thresholdFree evicts in ascending order of a score. Heads that share a list
// of scores share its order; each weighs its own attention along it.
type thresholdFree struct {
	scorer
	stopping
	frozen frozen
}

func newThresholdFree(o options) (Pruner, error) {
	sc, err := o.scorer()
	if err != nil {
		return nil, err
	}
	t := thresholdFree{sc, newStopping(o), o.ints("frozen_layers")}
	return t, t.check()
}

func (t thresholdFree) Needs() model.Needs { return t.needs().Union(model.Needs{LastRows: 1}) }

func (t thresholdFree) Select(p *model.Prefix) (model.Keep, error) {
	if err := checkNeeds(p, t.Needs()); err != nil {
		return nil, err
	}
	if err := t.frozen.check(p); err != nil {
		return nil, err
	}
	all := allPositions(p.Len())
	return eachScored(p, t.scorer, func(layer int, scores [][]float64, s *scratch) (model.LayerKeep, error) {
		if t.frozen.has(layer) {
			return model.LayerKeep{all}, nil
		}
		c, err := t.candidates(p, layer, scores, s)
		if err != nil {
			return nil, err
		}
		return c.keep(t.cuts(c), s), nil
	})
}

func (t thresholdFree) candidates(p *model.Prefix, layer int, scores [][]float64, s *scratch) (candidates, error) {
	n, heads := p.Len(), p.Shape().Heads
	out := candidates{
		order: make([][]int32, len(scores)), protected: make([][]int32, len(scores)),
		energy: make([][]float64, heads), zeros: make([]int, heads), fixed: make([]float64, heads),
	}
	// One cut serves all lists: where they protect different numbers of entries,
	// all have as many candidates as the list that protects most.
	count := n
	for i, list := range scores {
		out.order[i] = rank(list, s, i)
		protected, _ := slices.BinarySearchFunc(out.order[i], math.Inf(1), func(pos int32, x float64) int {
			if list[pos] < x {
				return -1
			}
			return 0
		})
		count = min(count, protected)
	}
	for i, order := range out.order {
		out.order[i], out.protected[i] = order[:count], order[count:]
	}
	for h := range heads {
		if err := sumRows(s.total, p, layer, h, 1); err != nil {
			return candidates{}, err
		}
		for _, pos := range shared(out.protected, h, heads) {
			out.fixed[h] += s.total[pos] * s.total[pos]
		}
		weights := s.spare[:count]
		for i, pos := range shared(out.order, h, heads) {
			weights[i] = s.total[pos]
		}
		// The orders are made: the scores' space is free.
		out.weigh(h, s.scores[h], weights)
	}
	return out, nil
}
