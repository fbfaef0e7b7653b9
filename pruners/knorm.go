package pruners

import (
	"math"

	"refreekv/model"
)

var knormInfo = Info{
	Name:    "knorm",
	About:   "entries whose keys have the smallest L2 norm",
	Paper:   "Knorm, arXiv 2406.11430",
	Options: []Option{budgetOption},
}

// knorm rates an entry by the negative L2 norm of its key after rotary
// embedding: small keys receive the most attention.
type knorm struct{}

func newKnorm(options) (scorer, error) { return knorm{}, nil }

func (knorm) needs() model.Needs { return model.Needs{} }

func (knorm) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	key := make([]float32, p.Shape().HeadDim)
	return perKVHead(p, s, func(kv int, dst []float64) {
		for pos := range dst {
			p.Key(layer, kv, pos, key)
			dst[pos] = -math.Sqrt(sumSquares(key))
		}
	}), nil
}

func sumSquares(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}
