package pruners

import (
	"fmt"
	"math"

	"refreekv/model"
)

var adaKVInfo = Info{
	Name:  "adakv",
	About: "any score, with a layer's budget shared out among its heads: heads whose best entries score higher keep more",
	Paper: "Ada-KV, arXiv 2407.11550",
	Options: []Option{
		budgetOption, scoreBy("snapkv"),
		{Name: "safeguard", Default: 0.2, About: "share of an equal budget that every head keeps"},
	},
}

// adaKV gives every list its best entries up to the safeguard, then the rest of
// the layer's budget to the best scores of all lists together.
type adaKV struct {
	scorer
	budget, safeguard float64
}

func newAdaKV(o options) (Pruner, error) {
	sc, err := o.scorer()
	if err != nil {
		return nil, err
	}
	a := adaKV{sc, o.float("budget"), o.float("safeguard")}
	if a.safeguard < 0 || a.safeguard > 1 {
		return nil, fmt.Errorf("safeguard %g is no share from 0 to 1", a.safeguard)
	}
	return a, checkBudget(a.budget)
}

func (a adaKV) Needs() model.Needs { return a.needs() }

func (a adaKV) Select(p *model.Prefix) (model.Keep, error) {
	n := p.Len()
	c := capacity(n, a.budget)
	// A cache cannot be empty: every list keeps an entry.
	safe := max(int(float64(c)*a.safeguard), 1)
	return eachScored(p, a.scorer, func(_ int, scores [][]float64, s *scratch) (model.LayerKeep, error) {
		all := make([]float64, 0, len(scores)*n)
		for _, list := range scores {
			guarded := topK(s.queue[:0], list, safe, s.spare)
			// What a score wants in any case comes after what is safe; where the
			// budget cannot hold it all, the heads share it, newest first.
			for pos, x := range list {
				if math.IsInf(x, 1) {
					list[pos] = math.MaxFloat64 * (float64(pos+1) / float64(n))
				}
			}
			for _, pos := range guarded {
				list[pos] = math.Inf(1)
			}
			all = append(all, list...)
		}
		out := make(model.LayerKeep, len(scores))
		for _, at := range topK(make([]int32, 0, len(scores)*c), all, len(scores)*c, make([]float64, len(all))) {
			out[int(at)/n] = append(out[int(at)/n], at%int32(n))
		}
		return out, nil
	})
}
