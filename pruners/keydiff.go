package pruners

import (
	"math"

	"refreekv/model"
)

var keydiffInfo = Info{
	Name:    "keydiff",
	About:   "entries whose keys point away from the mean direction of all keys",
	Paper:   "KeyDiff, arXiv 2504.15364",
	Options: []Option{budgetOption},
}

// keydiff rates an entry by the negative cosine between its key and the mean of
// all keys, each normalised first. The keys are those after rotary embedding.
type keydiff struct{}

func newKeyDiff(options) (scorer, error) { return keydiff{}, nil }

func (keydiff) needs() model.Needs { return model.Needs{} }

func (keydiff) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	key, anchor := make([]float32, p.Shape().HeadDim), make([]float64, p.Shape().HeadDim)
	return perKVHead(p, s, func(kv int, dst []float64) {
		clear(anchor)
		norms := s.total
		for pos := range dst {
			p.Key(layer, kv, pos, key)
			norms[pos] = math.Sqrt(sumSquares(key))
			if norms[pos] == 0 {
				norms[pos] = 1 // a key of zeros has no direction: its cosine is 0
			}
			for i, x := range key {
				anchor[i] += float64(x) / norms[pos]
			}
		}
		for pos := range dst {
			p.Key(layer, kv, pos, key)
			dot := 0.0
			for i, x := range key {
				dot += float64(x) * anchor[i]
			}
			dst[pos] = -dot / norms[pos]
		}
		// The anchor's length is the same for all entries of a head, but not for
		// all heads, whose scores may be compared.
		length := 0.0
		for _, x := range anchor {
			length += x * x
		}
		if length > 0 {
			for pos := range dst {
				dst[pos] /= math.Sqrt(length)
			}
		}
	}), nil
}
