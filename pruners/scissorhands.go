package pruners

import (
	"fmt"

	"refreekv/model"
)

var scissorhandsInfo = Info{
	Name:  "scissorhands",
	About: "entries that the fewest of the last queries gave less than an even share of their attention, plus the newest",
	Paper: "Scissorhands, arXiv 2305.17118",
	Options: []Option{
		budgetOption,
		{Name: "window", Default: 64, About: "last queries that are counted; the paper's 400 costs as many recorded attention rows"},
		{Name: "recent", Default: 10, About: "newest tokens that always stay"},
	},
}

// scissorhands rates an entry by the negative count of queries, in a history
// window, whose attention for it was below 1/t, t the keys that the query saw. A
// query before the entry does not count. Counts of the query heads of a KV head
// are added.
type scissorhands struct{ window, recent int }

func newScissorhands(o options) (scorer, error) {
	c := scissorhands{window: o.int("window"), recent: o.int("recent")}
	if c.window < 1 {
		return nil, fmt.Errorf("window %d is below 1", c.window)
	}
	if c.recent < 0 {
		return nil, fmt.Errorf("recent %d is negative", c.recent)
	}
	return c, nil
}

func (c scissorhands) needs() model.Needs { return model.Needs{LastRows: c.window} }

func (c scissorhands) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	n, group := p.Len(), p.Shape().Group()
	scores := s.scores[:p.Shape().KVHeads]
	for kv, dst := range scores {
		clear(dst)
		for h := kv * group; h < (kv+1)*group; h++ {
			clear(s.total)
			for back := range min(c.window, n) {
				// In float32, as the weights are: an even share is not below itself.
				seen, even := n-back, 1/float32(n-back)
				for pos, a := range p.Row(layer, h, back)[:seen] {
					s.total[pos] += float64(a)
					if a < even {
						dst[pos]--
					}
				}
			}
			if err := checkFinite(s.total, layer, h); err != nil {
				return nil, err
			}
		}
		always(dst, n-c.recent, n)
	}
	return scores, nil
}
