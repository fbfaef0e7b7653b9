package pruners

import (
	"fmt"
	"math"
	"slices"

	"refreekv/model"
)

var criticalKVInfo = Info{
	Name:  "criticalkv",
	About: "any score for a first part of the budget, that score times what an entry's value puts into the output for the rest",
	Paper: "CriticalKV, arXiv 2502.03805",
	Options: []Option{
		budgetOption, scoreBy("snapkv"),
		{Name: "first_stage", Default: 0.5, About: "share of the budget, rounded down but at least one entry unless 0, that goes by the score alone"},
		{Name: "epsilon", Default: 1e-4, About: "added to a score before it is multiplied"},
	},
}

// criticalKV chooses in two stages: part of the budget by a score, the rest by
// (score + epsilon)·‖W_o v‖₁, the L1 norm of the value behind the output
// projection, averaged over the query heads that a list of scores serves.
type criticalKV struct {
	scorer
	budget, first, epsilon float64
}

func newCriticalKV(o options) (Pruner, error) {
	sc, err := o.scorer()
	if err != nil {
		return nil, err
	}
	c := criticalKV{sc, o.float("budget"), o.float("first_stage"), o.float("epsilon")}
	if c.first < 0 || c.first > 1 {
		return nil, fmt.Errorf("first_stage %g is no share from 0 to 1", c.first)
	}
	if math.IsInf(c.epsilon, 0) {
		return nil, fmt.Errorf("epsilon %g is not finite", c.epsilon)
	}
	return c, checkBudget(c.budget)
}

func (c criticalKV) Needs() model.Needs { return c.needs() }

func (c criticalKV) Select(p *model.Prefix) (model.Keep, error) {
	n := p.Len()
	total := capacity(n, c.budget)
	if total == n {
		return model.All(p.Shape().Layers, n), nil
	}
	stage := int(float64(total) * c.first)
	if c.first > 0 {
		stage = max(stage, 1)
	}
	return eachScored(p, c.scorer, func(layer int, scores [][]float64, s *scratch) (model.LayerKeep, error) {
		scores = perOutput(scores, p.Shape())
		heads := p.Shape().Heads / len(scores)
		for i, list := range scores {
			for _, pos := range topK(s.queue[:0], list, stage, s.spare) {
				list[pos] = math.Inf(1)
			}
			rest := s.queue[:0] // what stays in any case needs no norm
			for pos, x := range list {
				if !math.IsInf(x, 1) {
					rest = append(rest, int32(pos))
				}
			}
			norms, one := s.spare[:len(rest)], s.total[:len(rest)]
			clear(norms)
			for h := i * heads; h < (i+1)*heads; h++ {
				p.OutputNorms(layer, h, rest, one)
				for at, x := range one {
					norms[at] += x / float64(heads)
				}
			}
			for at, pos := range rest {
				list[pos] = (list[pos] + c.epsilon) * norms[at]
			}
		}
		if err := checkScores(scores, layer); err != nil {
			return nil, err
		}
		return best(scores, total, s), nil
	})
}

// perOutput gives every KV head a list of its own where one serves all: their
// values differ.
func perOutput(scores [][]float64, shape model.Shape) [][]float64 {
	if len(scores) >= shape.KVHeads {
		return scores
	}
	out := make([][]float64, shape.KVHeads)
	for kv := range out {
		out[kv] = slices.Clone(scores[0])
	}
	return out
}
