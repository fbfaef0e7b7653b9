package pruners

import (
	"fmt"

	"refreekv/model"
)

var chunkKVInfo = Info{
	Name:  "chunkkv",
	About: "any score, averaged over chunks of neighbouring tokens and added over heads: whole chunks stay or go",
	Paper: "ChunkKV, arXiv 2502.00299",
	Options: []Option{
		budgetOption, scoreBy("snapkv"),
		{Name: "chunk", Default: 20, About: "tokens of a chunk"},
	},
}

// chunkKV keeps the chunks with the best mean score, the same ones in every head
// of a layer; the last chunk may be shorter. A chunk with an entry that stays in
// any case stays. A prompt of less than a chunk is pruned entry by entry.
type chunkKV struct {
	ranked
	chunk int
}

func newChunkKV(o options) (Pruner, error) {
	sc, err := o.scorer()
	if err != nil {
		return nil, err
	}
	c := chunkKV{ranked{sc, o.float("budget")}, o.int("chunk")}
	if c.chunk < 1 {
		return nil, fmt.Errorf("chunk %d is below 1", c.chunk)
	}
	return c, checkBudget(c.budget)
}

// Select implements [Pruner].
func (c chunkKV) Select(p *model.Prefix) (model.Keep, error) {
	n := p.Len()
	if n < c.chunk {
		return c.ranked.Select(p)
	}
	chunks := (n + c.chunk - 1) / c.chunk
	count := c.count(n, chunks)
	if count == chunks {
		return model.All(p.Shape().Layers, n), nil
	}
	return eachScored(p, c.scorer, func(_ int, scores [][]float64, s *scratch) (model.LayerKeep, error) {
		means := s.total[:chunks]
		clear(means)
		for at := range means {
			from, to := at*c.chunk, min((at+1)*c.chunk, n)
			for _, list := range scores {
				for _, x := range list[from:to] {
					means[at] += x
				}
			}
			means[at] /= float64(to - from)
		}
		list := []int32{}
		for _, at := range topK(s.queue[:0], means, count, s.spare) {
			from := int(at) * c.chunk
			list = span(list, from, min(from+c.chunk, n))
		}
		return model.LayerKeep{list}, nil
	})
}

// count is how many chunks the budget holds, at least one: a share of them, or
// as many whole ones as the tokens fill.
func (c chunkKV) count(n, chunks int) int {
	switch {
	case c.budget <= 1:
		return max(int(float64(chunks)*c.budget), 1)
	case c.budget >= float64(n):
		return chunks
	}
	return max(int(c.budget)/c.chunk, 1)
}
