package pruners

import (
	"fmt"
	"math"
	"math/rand/v2"

	"refreekv/model"
)

var gvoteInfo = Info{
	Name:  "gvote",
	About: "threshold-free: sampled future queries vote for the entries that they attend to most; what gets a vote stays",
	Paper: "GVote, arXiv 2509.03136",
	Options: []Option{
		topPOption("p"),
		{Name: "samples", Default: 8, About: "future queries that vote; the paper recommends 8 or more"},
		unionOption,
		{Name: "seed", Default: 0, About: "of the samples"},
	},
}

// gvote lets each of a head's sampled future queries vote for the entries that
// score highest with it: as many as the last token needs for the share p of its
// attention. The union of the votes stays.
//
// A sample is a vector drawn from the normal distribution with mean and variance
// of what enters the layer's attention, channels independent, and sent through
// the query projection; sample i is turned to position n+i. Where the paper says
// nothing: the first tokens are left out of mean and variance for being outliers,
// all heads of a layer share the samples, the last token itself does not vote,
// and nothing is protected. A prompt too short for a mean keeps everything.
type gvote struct {
	p       float64
	samples int
	heads   string
	seed    int
}

func newGVote(o options) (Pruner, error) {
	g := gvote{o.float("p"), o.int("samples"), o.text("heads"), o.int("seed")}
	if g.samples < 1 {
		return nil, fmt.Errorf("samples %d is below 1", g.samples)
	}
	return g, checkTopP("p", g.p)
}

func (gvote) Needs() model.Needs { return model.Needs{LastRows: 1, HiddenMoments: true} }

func (g gvote) Select(p *model.Prefix) (model.Keep, error) {
	if err := checkNeeds(p, g.Needs()); err != nil {
		return nil, err
	}
	all := allPositions(p.Len())
	return eachLayer(p, func(layer int, s *scratch) (model.LayerKeep, error) {
		queries := g.sample(p, layer)
		if queries == nil {
			return model.LayerKeep{all}, nil
		}
		chosen := make(model.LayerKeep, 0, p.Shape().Heads)
		for kv := range p.Shape().KVHeads {
			lists, err := g.vote(p, layer, kv, queries, s)
			if err != nil {
				return nil, err
			}
			chosen = append(chosen, lists...)
		}
		return joinHeads(chosen, p.Shape(), g.heads, s), nil
	})
}

// sample draws a layer's future queries, [samples][heads·headDim]; nil where the
// layer has no statistics.
func (g gvote) sample(p *model.Prefix, layer int) []float32 {
	mean, variance := p.HiddenMoments(layer)
	if mean == nil {
		return nil
	}
	rng := rand.New(rand.NewPCG(uint64(g.seed), uint64(layer)))
	hidden := make([]float32, 0, g.samples*len(mean))
	for range g.samples {
		for i, m := range mean {
			hidden = append(hidden, float32(m+math.Sqrt(variance[i])*rng.NormFloat64()))
		}
	}
	heads, d := p.Shape().Heads, p.Shape().HeadDim
	queries := make([]float32, g.samples*heads*d)
	p.ProjectQueries(layer, hidden, queries)
	for i := range g.samples {
		cos, sin := p.Rotation(layer, p.Len()+i)
		for h := range heads {
			rotate(queries[(i*heads+h)*d:][:d], cos, sin)
		}
	}
	return queries
}

// rotate turns a query in place: value i with value i+len(cos).
func rotate(x, cos, sin []float32) {
	half := len(cos)
	for i := range half {
		a, b := x[i], x[i+half]
		x[i], x[i+half] = a*cos[i]-b*sin[i], b*cos[i]+a*sin[i]
	}
}

// vote lists, for every query head of a KV head, the entries that are among the
// best of one of its samples.
func (g gvote) vote(p *model.Prefix, layer, kv int, queries []float32, s *scratch) (model.LayerKeep, error) {
	n, d, heads, group := p.Len(), p.Shape().HeadDim, p.Shape().Heads, p.Shape().Group()
	width := group * g.samples
	matrix, scores := make([]float32, d*width), make([][]float64, width) // [headDim][group·samples]
	for at := range scores {
		head, i := kv*group+at/g.samples, at%g.samples
		for j, x := range queries[(i*heads+head)*d:][:d] {
			matrix[j*width+at] = x
		}
		scores[at] = make([]float64, n)
	}
	eachKeyTile(p, layer, kv, 0, matrix, func(first int, _, products []float32) {
		for at, list := range scores {
			for i := range len(products) / width {
				list[first+i] = float64(products[i*width+at])
			}
		}
	})
	out := make(model.LayerKeep, group)
	for i := range out {
		head := kv*group + i
		if err := sumRows(s.total, p, layer, head, 1); err != nil {
			return nil, err
		}
		count, most := topP(s.total, g.p, s), 0
		for _, list := range scores[i*g.samples : (i+1)*g.samples] {
			if err := checkFinite(list, layer, head); err != nil {
				return nil, err
			}
			votes := topK(s.queue[:0], list, count, s.spare)
			most += len(votes)
			for _, pos := range votes {
				s.marked[pos] = true
			}
		}
		out[i] = s.takeMarked(min(most, n))
	}
	return out, nil
}
