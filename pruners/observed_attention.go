package pruners

import "refreekv/model"

var observedInfo = Info{
	Name:    "observed_attention",
	About:   "entries with the highest mean attention over all queries that see them; nothing is protected",
	Paper:   "mean attention per query, after H2O, arXiv 2306.14048; as in kvpress",
	Options: []Option{budgetOption},
}

// observedAttention rates an entry by the attention it received, divided by the
// number of queries at or after it and averaged over the KV head's query heads.
type observedAttention struct{}

func newObservedAttention(options) (scorer, error) { return observedAttention{}, nil }

func (observedAttention) needs() model.Needs { return model.Needs{ColumnSums: true} }

func (observedAttention) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	n, group := p.Len(), p.Shape().Group()
	scores := s.scores[:p.Shape().KVHeads]
	for kv, dst := range scores {
		clear(dst)
		for h := kv * group; h < (kv+1)*group; h++ {
			if err := sumColumns(s.total, p, layer, h); err != nil {
				return nil, err
			}
			for pos, a := range s.total {
				dst[pos] += a
			}
		}
		for pos := range dst {
			dst[pos] /= float64((n - pos) * group)
		}
	}
	return scores, nil
}
