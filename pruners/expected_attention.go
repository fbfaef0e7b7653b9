package pruners

import (
	"fmt"
	"math"
	"slices"

	"refreekv/model"
)

var expectedInfo = Info{
	Name:  "expected_attention",
	About: "entries that future queries are expected to attend to, by the mean and covariance of the prompt's, times the value's norm; 4 sinks stay",
	Paper: "Expected Attention, arXiv 2510.00636",
	Options: []Option{
		budgetOption,
		{Name: "future", Default: 512, About: "positions after the prompt over which the rotary embedding is averaged"},
		{Name: "covariance", Default: true, About: "false: the mean query alone"},
		{Name: "value_norm", Default: true, About: "false: attention alone"},
		{Name: "epsilon", Default: 0.0, About: "added to the attention before it is multiplied by the value's norm"},
	},
}

// expectedAttention rates an entry by softmax(μ·k·c + kᵀΣk·c²/2), averaged over
// the query heads of its KV head, times ‖v‖₂. μ and Σ are mean and covariance of
// a head's queries, turned by the mean rotation of the next positions, and c is
// the model's scale of scores. The first tokens, which the moments leave out,
// always stay.
type expectedAttention struct {
	future                int
	covariance, valueNorm bool
	epsilon               float64
}

func newExpectedAttention(o options) (scorer, error) {
	e := expectedAttention{o.int("future"), o.bool("covariance"), o.bool("value_norm"), o.float("epsilon")}
	if e.future < 1 {
		return nil, fmt.Errorf("future %d is below 1", e.future)
	}
	if e.epsilon < 0 || math.IsInf(e.epsilon, 0) {
		return nil, fmt.Errorf("epsilon %g is no small number from 0 on", e.epsilon)
	}
	return e, nil
}

func (expectedAttention) needs() model.Needs { return model.Needs{QueryMoments: true} }

func (e expectedAttention) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	if p.Len() <= model.MomentsFrom {
		return perKVHead(p, s, func(_ int, dst []float64) { always(dst, 0, len(dst)) }), nil
	}
	turn := e.meanRotation(p, layer)
	for kv := range p.Shape().KVHeads {
		e.attention(p, layer, kv, turn, s)
	}
	scores := combine(s.scores[:p.Shape().Heads], p.Shape().Group(), "mean")
	value := make([]float32, p.Shape().HeadDim)
	for kv, list := range scores {
		if e.valueNorm {
			for pos := range list {
				p.Value(layer, kv, pos, value)
				list[pos] = (list[pos] + e.epsilon) * math.Sqrt(sumSquares(value))
			}
		}
		always(list, 0, model.MomentsFrom)
	}
	return scores, nil
}

// attention sets s.scores of a KV head's query heads to what their future
// queries are expected to give to the entries after the first; each adds up
// to 1.
func (e expectedAttention) attention(p *model.Prefix, layer, kv int, turn rotation, s *scratch) {
	d, group, c := p.Shape().HeadDim, p.Shape().Group(), p.ScoreScale()
	width := group * d
	linear, square := make([]float64, width), make([]float32, d*width) // [headDim][group·headDim]
	for i := range group {
		mean, covariance := p.QueryMoments(layer, kv*group+i)
		copy(linear[i*d:], mean)
		turn.apply(linear[i*d:(i+1)*d], 1)
		if !e.covariance {
			continue
		}
		// RΣRᵀ: once along each side.
		covariance = slices.Clone(covariance)
		turn.apply(covariance, d)
		transpose(covariance, d)
		turn.apply(covariance, d)
		for at, x := range covariance {
			square[at/d*width+i*d+at%d] = float32(x * c / 2)
		}
	}
	lists := s.scores[kv*group : (kv+1)*group]
	eachKeyTile(p, layer, kv, model.MomentsFrom, square, func(first int, keys, products []float32) {
		for at := range len(keys) / d {
			key := keys[at*d : (at+1)*d]
			for i, list := range lists {
				mean, spread := linear[i*d:(i+1)*d], products[at*width+i*d:][:d]
				sum := 0.0
				for j, k := range key {
					sum += float64(k) * (mean[j] + float64(spread[j]))
				}
				list[first+at] = sum * c
			}
		}
	})
	for _, list := range lists {
		softmax(list[model.MomentsFrom:])
		clear(list[:model.MomentsFrom])
	}
}

func softmax(x []float64) {
	most, sum := math.Inf(-1), 0.0
	for _, v := range x {
		most = max(most, v)
	}
	for i, v := range x {
		x[i] = math.Exp(v - most)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

// rotation turns value i of a head with value i+len(cos); values beyond stay.
type rotation struct{ cos, sin []float64 }

// meanRotation is the mean of the rotations of the positions after the prompt.
func (e expectedAttention) meanRotation(p *model.Prefix, layer int) rotation {
	var r rotation
	for pos := p.Len(); pos < p.Len()+e.future; pos++ {
		cos, sin := p.Rotation(layer, pos)
		if r.cos == nil {
			r = rotation{make([]float64, len(cos)), make([]float64, len(cos))}
		}
		for i := range cos {
			r.cos[i] += float64(cos[i]) / float64(e.future)
			r.sin[i] += float64(sin[i]) / float64(e.future)
		}
	}
	return r
}

// apply turns the columns of x, [headDim][width], in place.
func (r rotation) apply(x []float64, width int) {
	half := len(r.cos)
	for i := range half {
		first, second := x[i*width:(i+1)*width], x[(i+half)*width:(i+half+1)*width]
		for j, a := range first {
			b := second[j]
			first[j], second[j] = a*r.cos[i]-b*r.sin[i], b*r.cos[i]+a*r.sin[i]
		}
	}
}

// transpose swaps rows and columns of x, [n][n].
func transpose(x []float64, n int) {
	for i := range n {
		for j := range i {
			x[i*n+j], x[j*n+i] = x[j*n+i], x[i*n+j]
		}
	}
}
