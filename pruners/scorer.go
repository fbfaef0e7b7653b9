package pruners

import (
	"fmt"
	"math"

	"refreekv/model"
)

// A scorer rates the cache entries of a layer: the best stay. It is the part of
// a method that others build on: head budgets (AdaKV), layer budgets
// (PyramidKV), a stopping rule in place of the budget.
type scorer interface {
	// needs tells prefill what to record.
	needs() model.Needs
	// score returns [lists][tokens]: one list for all heads, one per KV head or
	// one per query head. Entries that stay in any case are rated +Inf. The result
	// may lie in s.scores, where the caller may change it; it holds until s is
	// used for another layer.
	score(p *model.Prefix, layer int, s *scratch) ([][]float64, error)
}

// ranked keeps, per list of a scorer, the entries that it rates best.
type ranked struct {
	scorer
	budget float64
}

// byRank makes the method that keeps the best of a scorer within the option
// budget.
func byRank(make func(options) (scorer, error)) func(options) (Pruner, error) {
	return func(o options) (Pruner, error) {
		sc, err := make(o)
		if err != nil {
			return nil, err
		}
		return ranked{sc, o.float("budget")}, checkBudget(o.float("budget"))
	}
}

// Needs implements [Pruner].
func (r ranked) Needs() model.Needs { return r.needs() }

// Select implements [Pruner].
func (r ranked) Select(p *model.Prefix) (model.Keep, error) {
	c := capacity(p.Len(), r.budget)
	if c == p.Len() {
		return model.All(p.Shape().Layers, p.Len()), nil
	}
	return eachScored(p, r.scorer, func(_ int, scores [][]float64, s *scratch) (model.LayerKeep, error) {
		return best(scores, c, s), nil
	})
}

// eachScored makes a Keep by calling f with every layer's scores, several
// layers at a time.
func eachScored(p *model.Prefix, sc scorer, f func(layer int, scores [][]float64, s *scratch) (model.LayerKeep, error)) (model.Keep, error) {
	if err := checkNeeds(p, sc.needs()); err != nil {
		return nil, err
	}
	return eachLayer(p, func(layer int, s *scratch) (model.LayerKeep, error) {
		scores, err := sc.score(p, layer, s)
		if err != nil {
			return nil, err
		}
		if err := checkScores(scores, layer); err != nil {
			return nil, err
		}
		return f(layer, scores, s)
	})
}

// best keeps the c best entries of every list.
func best(scores [][]float64, c int, s *scratch) model.LayerKeep {
	out := make(model.LayerKeep, len(scores))
	for i, list := range scores {
		out[i] = topK(make([]int32, 0, c), list, c, s.spare)
	}
	return out
}

// checkScores refuses scores that are not a number: any choice would then be
// arbitrary.
func checkScores(scores [][]float64, layer int) error {
	for i, list := range scores {
		for pos, x := range list {
			if math.IsNaN(x) {
				return fmt.Errorf("layer %d, list %d: the score of position %d is not a number; check the model's weights", layer, i, pos)
			}
		}
	}
	return nil
}

// always marks positions from..to-1 of a list as staying in any case.
func always(scores []float64, from, to int) {
	for i := max(from, 0); i < min(to, len(scores)); i++ {
		scores[i] = math.Inf(1)
	}
}

// perKVHead gives every KV head's list in s.scores to f, which fills it in.
func perKVHead(p *model.Prefix, s *scratch, f func(kvHead int, dst []float64)) [][]float64 {
	out := s.scores[:p.Shape().KVHeads]
	for kv, dst := range out {
		f(kv, dst)
	}
	return out
}
