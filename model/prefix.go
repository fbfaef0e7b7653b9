package model

import (
	"fmt"
	"math"
)

// Needs says what prefill must record for the pruners of a prompt. What nobody
// asks for is not kept. The zero value asks for nothing.
type Needs struct {
	// LastRows is how many of the newest queries have their attention rows
	// recorded: 1 for the last prompt token alone.
	LastRows int
	// RowShare asks for the rows of a share of the prompt as well: floor(n·share).
	RowShare float64
	// ColumnSums asks for the attention that every key received, summed over
	// all queries of the prompt, per query head.
	ColumnSums bool
	// Queries asks for every query after rotary embedding, so that
	// [Prefix.Attend] can compute any part of the attention matrix again. They
	// take heads·headDim·4 bytes for each token and layer.
	Queries bool
	// QueryMoments asks for mean and covariance of the queries before rotary
	// embedding, per query head, over the tokens from MomentsFrom on.
	QueryMoments bool
	// HiddenMoments asks for mean and variance of what enters a layer's query
	// projection (hidden states after the layer's norm), over the same tokens.
	HiddenMoments bool
}

// MomentsFrom is the first token that moments count: hidden states of the first
// tokens are outliers (arXiv 2510.00636).
const MomentsFrom = 4

// Union returns the needs that satisfy both a and b.
func (a Needs) Union(b Needs) Needs {
	return Needs{
		LastRows: max(a.LastRows, b.LastRows), RowShare: max(a.RowShare, b.RowShare),
		ColumnSums: a.ColumnSums || b.ColumnSums, Queries: a.Queries || b.Queries,
		QueryMoments: a.QueryMoments || b.QueryMoments, HiddenMoments: a.HiddenMoments || b.HiddenMoments,
	}
}

// Rows is how many last rows are recorded of a prompt of n tokens.
func (a Needs) Rows(n int) int {
	return min(max(a.LastRows, int(math.Floor(float64(n)*a.RowShare))), n)
}

// Shape holds the sizes of a model's attention that a pruner must know.
type Shape struct {
	Layers  int // transformer layers
	Heads   int // query heads per layer
	KVHeads int // KV heads per layer; query head h reads KV head h/(Heads/KVHeads)
	HeadDim int // width of one head
}

// Group is the number of query heads that share one KV head (GQA).
func (s Shape) Group() int { return s.Heads / s.KVHeads }

// A Prefix is a prompt after full-attention prefill: the KV cache of every
// layer and what [Needs] asked to record. It is read-only; all variants of a
// prompt share one.
type Prefix struct {
	shape  Shape
	tokens int
	needs  Needs
	layers []prefixLayer
	cache  *kvCache
	logits []float32 // [vocab] of the last prompt token
	model  *Model    // that made the prefix; nil in tests
	prompt []int32   // token ids
	shared int       // tokens that were taken over from another prefix
	marks  []mark    // ascending
}

// prefixLayer is what was recorded of one layer's attention.
type prefixLayer struct {
	rows    []float32   // [heads][lastRows][tokens], newest query last
	sums    [][]float32 // [heads][tokens]
	queries []float32   // [tokens][heads·headDim] after rotary embedding, scaled by log2(e) too
	moments []moments   // [heads] of the queries before rotary embedding
	hidden  moments     // of what enters the query projection
}

// NewPrefix returns a prefix of n tokens with room for what needs asks for, all
// zero. The engine fills it during prefill; tests and other engines fill it
// with [Prefix.Row] and [Prefix.ColumnSum], whose results may be written to
// before the prefix is handed on, and [Prefix.SetKeyValue].
func NewPrefix(shape Shape, n int, needs Needs) *Prefix {
	needs.LastRows = needs.Rows(n)
	p := &Prefix{shape: shape, tokens: n, needs: needs, layers: make([]prefixLayer, shape.Layers), cache: newCache(shape, n)}
	for l := range p.layers {
		p.layers[l].rows = make([]float32, shape.Heads*needs.LastRows*n)
		if needs.Queries {
			p.layers[l].queries = make([]float32, n*shape.Heads*shape.HeadDim)
		}
		if !needs.ColumnSums {
			continue
		}
		p.layers[l].sums = make([][]float32, shape.Heads)
		for h := range p.layers[l].sums {
			p.layers[l].sums[h] = make([]float32, n)
		}
	}
	return p
}

// Len is the number of prompt tokens.
func (p *Prefix) Len() int { return p.tokens }

// Shape is the attention shape of the model that made the prefix.
func (p *Prefix) Shape() Shape { return p.shape }

// Needs tells what was recorded; LastRows is the number of rows that are there.
func (p *Prefix) Needs() Needs { return p.needs }

// Row returns the attention row of the query back positions before the last
// prompt token (0 is the last token itself) in a layer and query head: [tokens]
// softmax weights, zero at keys that the query may not see. It panics if the
// row was not asked for in Needs.
func (p *Prefix) Row(layer, head, back int) []float32 {
	w := p.needs.LastRows
	if back < 0 || back >= w {
		panic(fmt.Sprintf("model: attention row %d back from the end was not recorded, only %d are", back, w))
	}
	start := (head*w + w - 1 - back) * p.tokens
	return p.layers[layer].rows[start : start+p.tokens : start+p.tokens]
}

// ColumnSum returns, for a layer and query head, the attention that each key
// received summed over all prompt queries: [tokens]. It panics if column sums
// were not asked for in Needs.
func (p *Prefix) ColumnSum(layer, head int) []float32 {
	if !p.needs.ColumnSums {
		panic("model: column sums of attention were not recorded")
	}
	return p.layers[layer].sums[head]
}

// Key copies the key of one position in a layer and KV head, after rotary
// embedding, into dst: [headDim].
func (p *Prefix) Key(layer, kvHead, pos int, dst []float32) {
	p.cache.keys[layer][kvHead].Row(pos, dst)
}

// Value copies the value of one position in a layer and KV head into dst:
// [headDim].
func (p *Prefix) Value(layer, kvHead, pos int, dst []float32) {
	d := p.shape.HeadDim
	copy(dst, p.cache.values[layer][kvHead][pos*d:(pos+1)*d])
}

// SetKeyValue writes the key, after rotary embedding, and the value of one
// position: [headDim] each. It is for tests and other engines, before the prefix
// is handed on.
func (p *Prefix) SetKeyValue(layer, kvHead, pos int, key, value []float32) {
	d := p.shape.HeadDim
	p.cache.keys[layer][kvHead].SetRow(pos, key[:d])
	copy(p.cache.values[layer][kvHead][pos*d:(pos+1)*d], value)
}

// Logits returns the logits of the last prompt token: [vocab]. They are those
// of the full cache, since pruning happens after prefill.
func (p *Prefix) Logits() []float32 { return p.logits }

// HeldBytes is what a cache that holds a variant's choice alone takes for keys and
// values after prefill, in every layer, in bytes: [layers]. Entries that a layer's
// window hides from all later queries are not held, unless the variant evicts or
// has positions of its own, which count them. With repeated, keys and values stand
// once per query head, as in codes that repeat them before they cache them.
func (p *Prefix) HeldBytes(v Variant, repeated bool) []int64 {
	out := make([]int64, len(v.Keep))
	for l, layer := range v.Keep {
		out[l] = int64(layer.entries(p.shape, p.reach(v, l), repeated)) * int64(p.shape.HeadDim) * 2 * 4
	}
	return out
}

// reach is the first position of the prompt that a later query may see in a layer.
func (p *Prefix) reach(v Variant, layer int) int {
	if p.model == nil || v.Evict != nil || v.Rebase {
		return 0
	}
	lo, _ := visible(p.model.layers[layer].Window, p.tokens)
	return lo
}

// KVBytes is what the keys and values of the prefix occupy.
func (p *Prefix) KVBytes() int64 {
	return int64(p.tokens) * int64(p.shape.Layers) * int64(p.shape.KVHeads) * int64(p.shape.HeadDim) * 2 * 4
}
