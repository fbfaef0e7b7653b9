package model

import (
	"math/rand/v2"

	"refreekv/model/tensor"
)

// A Product is one of the matrix products of the forward pass, [rows][K] by
// [N][K] transposed, set apart so that it can be timed: with the model's own
// weights, on the threads of the pool.
type Product struct {
	Name   string // qkv, out, gate_up, down or head
	N, K   int
	Layers int // how many layers have it

	dtype   tensor.DType
	weights []*tensor.Weights // [layers]
	a, c    []float32         // [rows][K], [rows][N]
	in      []tensor.Input    // [threads]
}

// Products are the products of one forward pass: those of a layer, then the one
// that makes logits of the last layer's output.
func (m *Model) Products() []*Product {
	var out []*Product
	for _, kind := range []struct {
		name string
		of   func(l *layer) *tensor.Weights
	}{
		{"qkv", func(l *layer) *tensor.Weights { return l.qkv }},
		{"out", func(l *layer) *tensor.Weights { return l.out }},
		{"gate_up", func(l *layer) *tensor.Weights { return l.gateUp }},
		{"down", func(l *layer) *tensor.Weights { return l.down }},
	} {
		p := &Product{Name: kind.name}
		for l := range m.layers {
			p.weights = append(p.weights, kind.of(&m.layers[l]))
		}
		out = append(out, p)
	}
	out = append(out, &Product{Name: "head", weights: []*tensor.Weights{m.head}})
	for _, p := range out {
		p.dtype, p.in = m.DType, make([]tensor.Input, tensor.Threads())
		p.N, p.K, p.Layers = p.weights[0].N, p.weights[0].K, len(p.weights)
	}
	return out
}

// Bytes is what the weights of one layer's product take.
func (p *Product) Bytes() int64 {
	return int64(p.dtype.BytesPerWeight() * float64(p.N) * float64(p.K))
}

// Prefill multiplies rows of a prompt by the weights of one layer, split among
// the threads as prefill does.
func (p *Product) Prefill(layer, rows int) {
	p.makeRoom(rows)
	w, blocks := p.weights[layer], rowBlocks(rows)
	tensor.Parallel(blocks, func(block, worker int) {
		from, to := rowBlock(rows, blocks, block)
		w.Mul(p.c[from*p.N:], p.N, w.Input(&p.in[worker], p.a[from*p.K:], p.K, to-from), 0, w.Panels())
	})
}

// Decode multiplies the rows of a decode step by the weights of one layer, whose
// panels the threads share out.
func (p *Product) Decode(layer, rows int) {
	p.makeRoom(rows)
	w := p.weights[layer]
	mulPanels(w, p.c, w.Input(&p.in[0], p.a, p.K, rows))
}

func (p *Product) makeRoom(rows int) {
	if len(p.c) < rows*p.N {
		p.a, p.c = randomFloats(1, rows*p.K), make([]float32, rows*p.N)
	}
}

// An AttentionPart is prefill's attention of one layer over a prompt of n tokens,
// set apart so that it can be timed.
type AttentionPart struct {
	p      *Prefix
	a      attention
	chunk  int       // queries at once
	q, out []float32 // [chunk][heads·headDim]
}

// Attention is the attention of one layer over n random keys.
func (m *Model) Attention(n int) *AttentionPart {
	s := m.Config.Shape
	s.Layers = 1
	part := &AttentionPart{p: NewPrefix(s, n, Needs{}), a: newAttention(s, n, m.DType)}
	part.chunk = wholeChunk(s)
	width := s.KVHeads * s.HeadDim
	keys, values := randomFloats(2, n*width), randomFloats(3, n*width)
	for pos := range n {
		part.p.cache.store(0, pos, keys[pos*width:(pos+1)*width], values[pos*width:(pos+1)*width])
	}
	queries := min(n, part.chunk) * s.Heads * s.HeadDim
	part.q, part.out = randomFloats(4, queries), make([]float32, queries)
	return part
}

// Run attends with all n queries, in chunks as prefill does.
func (a *AttentionPart) Run() {
	for start := 0; start < a.p.Len(); start += a.chunk {
		a.a.run([]span{{p: a.p, start: start, n: min(a.chunk, a.p.Len()-start)}}, 0, 0, a.q, a.out)
	}
}

// AttentionFLOP is how many operations causal attention over n tokens takes in one
// layer, a multiplication and an addition counted as two: both products, half of
// the square.
func (c Config) AttentionFLOP(n int) float64 {
	return 2 * float64(c.Heads) * float64(c.HeadDim) * float64(n) * float64(n+1)
}

func randomFloats(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// PrefillFLOP is how many operations prefill of n tokens takes in products and
// attention. Of the last layer that is keys and values alone: what follows them is
// computed for the last token only, which is left out here.
func (m *Model) PrefillFLOP(n int) float64 {
	last := len(m.layers) - 1
	weights := 2 * m.Config.KVHeads * m.Config.HeadDim * m.Config.Hidden
	for _, l := range m.layers[:last] {
		for _, w := range []*tensor.Weights{l.qkv, l.out, l.gateUp, l.down} {
			weights += w.N * w.K
		}
	}
	return 2*float64(n)*float64(weights) + float64(last)*m.Config.AttentionFLOP(n)
}
