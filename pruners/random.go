package pruners

import (
	"math/rand/v2"

	"refreekv/model"
)

var randomInfo = Info{
	Name:  "random",
	About: "entries drawn at random, every KV head its own: the control that every method must beat",
	Paper: "control",
	Options: []Option{
		budgetOption,
		{Name: "seed", Default: 0, About: "of the draw; it alone, the layer and the head decide, not the prompt"},
	},
}

// random rates entries uniformly from 0 to 1.
type random struct{ seed int }

func newRandom(o options) (scorer, error) { return random{o.int("seed")}, nil }

func (random) needs() model.Needs { return model.Needs{} }

func (r random) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	return perKVHead(p, s, func(kv int, dst []float64) {
		rng := rand.New(rand.NewPCG(uint64(r.seed), uint64(layer)<<32|uint64(kv)))
		for pos := range dst {
			dst[pos] = rng.Float64()
		}
	}), nil
}
