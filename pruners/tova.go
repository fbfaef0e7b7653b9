package pruners

import "refreekv/model"

var tovaInfo = Info{
	Name:    "tova",
	About:   "entries that the last token attends to most, by the mean of all query heads; the last token stays",
	Paper:   "TOVA, arXiv 2401.06104",
	Options: []Option{budgetOption, decodeOption},
}

// tovaPruner keeps the best of the score; while decoding it can go on as the
// paper does, with the newest token's attention.
type tovaPruner struct {
	ranked
	evicts bool
}

func newTOVAPruner(o options) (Pruner, error) {
	budget := o.float("budget")
	return tovaPruner{ranked{tova{}, budget}, o.evicts()}, checkBudget(budget)
}

// Decoding implements [Evictor].
func (t tovaPruner) Decoding(p *model.Prefix, v *model.Variant) error {
	if !t.evicts {
		return nil
	}
	heads, c := p.Shape().Heads, capacity(p.Len(), t.budget)
	rate := func(step *model.Step, layer, _ int, dst []float64) {
		clear(dst)
		for h := range heads {
			for pos, a := range step.Attention(layer, h)[:len(dst)] {
				dst[pos] += float64(a)
			}
		}
	}
	v.Evict = func() func(*model.Step) error { return evictLowest(c, 1, rate) }
	return nil
}

// tova rates an entry by the last query's attention, averaged over all query
// heads: one list for the whole layer.
type tova struct{}

func newTOVA(options) (scorer, error) { return tova{}, nil }

func (tova) needs() model.Needs { return model.Needs{LastRows: 1} }

func (tova) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	mean, heads := s.scores[0], p.Shape().Heads
	clear(mean)
	for h := range heads {
		if err := sumRows(s.total, p, layer, h, 1); err != nil {
			return nil, err
		}
		for pos, a := range s.total {
			mean[pos] += a
		}
	}
	for pos := range mean {
		mean[pos] /= float64(heads)
	}
	always(mean, p.Len()-1, p.Len())
	return s.scores[:1], nil
}
