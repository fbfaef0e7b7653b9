package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"refreekv/model/tensor"
)

// kvCache holds a sequence's keys (after rotary embedding) and values.
type kvCache struct {
	keys   [][]*tensor.Packed // [layers][kvHeads], each [tokens][headDim] in panels
	values [][][]float32      // [layers][kvHeads][tokens·headDim]
}

func newCache(s Shape, tokens int) *kvCache {
	c := &kvCache{keys: make([][]*tensor.Packed, s.Layers), values: make([][][]float32, s.Layers)}
	for l := range c.keys {
		c.keys[l] = make([]*tensor.Packed, s.KVHeads)
		c.values[l] = make([][]float32, s.KVHeads)
		for h := range c.keys[l] {
			c.keys[l][h] = tensor.NewPacked(tokens, s.HeadDim)
			c.values[l][h] = make([]float32, tokens*s.HeadDim)
		}
	}
	return c
}

// store writes one position's keys and values of all KV heads: each
// [kvHeads·headDim].
func (c *kvCache) store(layer, pos int, k, v []float32) {
	for h, keys := range c.keys[layer] {
		d := keys.K
		keys.SetRow(pos, k[h*d:(h+1)*d])
		copy(c.values[layer][h][pos*d:(pos+1)*d], v[h*d:(h+1)*d])
	}
}

// chunkTokens is about how many prompt tokens go through all layers together.
// Results do not depend on it. Every thread carries a part of them past all weights:
// with few it would wait for these, with more than this it would only take memory.
func chunkTokens() int {
	const least = 1024
	return max(least, rowsPerThread*tensor.Threads())
}

// rowsPerThread is how many rows a thread should carry past the weights at least.
const rowsPerThread = 128

// wholeChunk is chunkTokens in whole segments: all tasks of a chunk's attention are
// then of one size.
func wholeChunk(s Shape) int {
	segment := segmentTokens(s)
	return (chunkTokens() + segment - 1) / segment * segment
}

// Prefill runs a prompt through the model with full causal attention and
// returns its prefix: the KV cache, the logits of the last token, and what
// needs asks to record.
func (m *Model) Prefill(ctx context.Context, tokens []int32, needs Needs) (*Prefix, error) {
	return m.PrefillAfter(ctx, nil, tokens, needs, nil)
}

// PrefillAfter is [Model.Prefill] of a prompt that may begin like that of base:
// what both share is taken from there, up to the last of base's marks that
// allows it. The result is the same bits as without. marks are lengths of this
// prompt at which a later one may take over; base may be nil.
func (m *Model) PrefillAfter(ctx context.Context, base *Prefix, tokens []int32, needs Needs, marks []int) (*Prefix, error) {
	return m.prefill(ctx, base, tokens, needs, marks, wholeChunk(m.Config.Shape))
}

// prefill is [Model.PrefillAfter] in chunks of so many tokens.
func (m *Model) prefill(ctx context.Context, base *Prefix, tokens []int32, needs Needs, marks []int, chunk int) (*Prefix, error) {
	p, err := m.begin(base, tokens, needs)
	if err != nil {
		return nil, err
	}
	n := len(tokens)
	marks = p.usable(marks)
	run := newPass(m, []*Prefix{p}, min(n-p.shared, chunk))
	for start := p.shared; start < n; {
		end := min(start+run.most, n)
		for len(marks) > 0 && marks[0] <= start {
			marks = marks[1:]
		}
		if len(marks) > 0 {
			end = min(end, marks[0])
		}
		if err := run.chunk(ctx, []span{{p: p, start: start, n: end - start}}); err != nil {
			return nil, fmt.Errorf("prefill of %d tokens: %w", n, err)
		}
		if len(marks) > 0 && end == marks[0] {
			p.mark(end)
		}
		start = end
	}
	run.predict()
	return p, nil
}

// begin is the prefix of a prompt with what it takes over from base.
func (m *Model) begin(base *Prefix, tokens []int32, needs Needs) (*Prefix, error) {
	if err := m.checkTokens(tokens); err != nil {
		return nil, err
	}
	p := NewPrefix(m.Config.Shape, len(tokens), needs)
	p.model, p.prompt = m, slices.Clone(tokens)
	for i := range m.ropes {
		m.ropes[i].cover(len(tokens))
	}
	p.takeOver(base)
	return p, nil
}

func (m *Model) checkTokens(tokens []int32) error {
	if len(tokens) == 0 {
		return fmt.Errorf("prefill of an empty prompt: there is no token to continue from")
	}
	if len(tokens) > m.Config.MaxPositions {
		return fmt.Errorf("prompt of %d tokens is longer than the model's %d positions", len(tokens), m.Config.MaxPositions)
	}
	for i, t := range tokens {
		if t < 0 || int(t) >= m.Config.Vocab {
			return fmt.Errorf("prompt token %d is %d, outside the vocabulary of %d", i, t, m.Config.Vocab)
		}
	}
	return nil
}

// A span is the part of a prompt that a chunk carries: n tokens from position start
// on, in the chunk's rows from row on.
type span struct {
	p             *Prefix
	start, row, n int
}

// A pass carries chunks of a prompt, or several short prompts together, through the
// layers. Rows are the chunk's tokens.
type pass struct {
	m         *Model
	most      int       // longest chunk
	spans     []span    // of the chunk at hand
	n         int       // its rows
	x         []float32 // [most][hidden] residual stream
	q, attn   []float32 // [most][heads·headDim] queries and attention outputs
	attention attention
	workers   []rowScratch
	// The chunk's queries before rotary embedding, [most][heads·headDim], and
	// hidden states after the norm, [most][hidden], where moments are asked for.
	bare, hidden []float32
}

// rowScratch is one worker's space for a block of rows.
type rowScratch struct {
	norm []float32    // [rows][hidden]
	in   tensor.Input // what the product at hand multiplies
	wide []float32    // [rows][qkv], or a pair of panels of gate and up: [rows][2·Panel]
	ffn  []float32    // [rows][ffn, padded]
}

// mostRows bounds the block of rows that a task carries: enough to use each
// weight panel many times, few enough that the block stays in the core's cache.
const mostRows = 264

// rowBlocks is how many blocks n rows are carried in: as many for every thread,
// where there are enough.
func rowBlocks(n int) int {
	blocks, tiles := (n+mostRows-1)/mostRows, (n+tensor.TileRows()-1)/tensor.TileRows()
	if threads := tensor.Threads(); blocks%threads != 0 {
		blocks += threads - blocks%threads
	}
	return min(blocks, tiles)
}

// rowBlock returns the bounds of one block: whole tiles of the kernels.
func rowBlock(n, blocks, block int) (from, to int) {
	tile := tensor.TileRows()
	tiles := (n + tile - 1) / tile
	return block * tiles / blocks * tile, min((block+1)*tiles/blocks*tile, n)
}

func newPass(m *Model, prompts []*Prefix, most int) *pass {
	c, longest := m.Config, 0
	var needs Needs
	for _, p := range prompts {
		longest, needs = max(longest, p.Len()), needs.Union(p.needs)
	}
	a := newAttention(c.Shape, longest, m.DType)
	a.scoreCap = float32(c.ScoreCap * math.Log2E)
	run := &pass{
		m: m, most: most, attention: a,
		x:       make([]float32, most*c.Hidden),
		q:       make([]float32, most*c.Heads*c.HeadDim),
		attn:    make([]float32, most*c.Heads*c.HeadDim),
		workers: make([]rowScratch, tensor.Threads()),
	}
	if needs.QueryMoments {
		run.bare = make([]float32, most*c.Heads*c.HeadDim)
	}
	if needs.HiddenMoments {
		run.hidden = make([]float32, most*c.Hidden)
	}
	rows := min(most, mostRows+tensor.TileRows())
	for i := range run.workers {
		run.workers[i] = rowScratch{
			norm: make([]float32, rows*c.Hidden),
			wide: make([]float32, rows*max(m.layers[0].qkv.N, 2*tensor.Panel)),
			ffn:  make([]float32, rows*m.layers[0].gateUp.N/2),
		}
	}
	return run
}

// chunk carries one chunk through all layers. Between two layers' attentions a
// task takes its rows through output product, feed-forward and the next
// layer's query, key and value products without waiting for the others.
func (r *pass) chunk(ctx context.Context, spans []span) error {
	hidden := r.m.Config.Hidden
	r.spans, r.n = spans, 0
	for _, s := range spans {
		for i, token := range s.p.prompt[s.start : s.start+s.n] {
			row := s.row + i
			if err := r.m.embedToken(r.x[row*hidden:(row+1)*hidden], token); err != nil {
				return err
			}
		}
		r.n += s.n
	}
	blocks := rowBlocks(r.n)
	tensor.Parallel(blocks, func(block, worker int) {
		from, to := rowBlock(r.n, blocks, block)
		r.attentionInput(0, from, to, &r.workers[worker])
	})
	for l := range r.m.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.recordMoments(l)
		if l+1 == len(r.m.layers) {
			break
		}
		r.attention.run(r.spans, l, r.m.layers[l].Window, r.q, r.attn)
		tensor.Parallel(blocks, func(block, worker int) {
			from, to := rowBlock(r.n, blocks, block)
			r.attentionOutput(l, from, to, &r.workers[worker])
			r.feedForward(l, from, to, &r.workers[worker])
			r.attentionInput(l+1, from, to, &r.workers[worker])
		})
	}
	r.lastLayer()
	return nil
}

// lastLayer attends with what the last layer's attention is asked for and carries
// the prompts' last tokens, whose logits are all that is left to compute, on.
func (r *pass) lastLayer() {
	l := len(r.m.layers) - 1
	var attended []span
	var ends []int // rows of the prompts' last tokens
	for _, s := range r.spans {
		if from := max(0, s.p.lastAttended()-s.start); from < s.n {
			attended = append(attended, span{s.p, s.start + from, s.row + from, s.n - from})
		}
		if s.start+s.n == s.p.Len() {
			ends = append(ends, s.row+s.n-1)
		}
	}
	r.attention.run(attended, l, r.m.layers[l].Window, r.q, r.attn)
	tensor.Parallel(len(ends), func(i, worker int) {
		r.attentionOutput(l, ends[i], ends[i]+1, &r.workers[worker])
		r.feedForward(l, ends[i], ends[i]+1, &r.workers[worker])
	})
}

// predict computes the logits of the prompts whose last tokens are in the chunk.
func (r *pass) predict() {
	c := r.m.Config
	rows := len(r.spans)
	last := make([]float32, rows*c.Hidden)
	for i, s := range r.spans {
		row := s.row + s.n - 1
		tensor.RMSNorm(last[i*c.Hidden:(i+1)*c.Hidden], r.x[row*c.Hidden:(row+1)*c.Hidden], r.m.norm, c.RMSEps)
	}
	logits := make([]float32, rows*c.Vocab)
	mulPanels(r.m.head, logits, r.m.head.Input(&r.workers[0].in, last, c.Hidden, rows))
	tensor.SoftCap(logits, float32(c.LogitCap))
	for i, s := range r.spans {
		s.p.logits = logits[i*c.Vocab : (i+1)*c.Vocab : (i+1)*c.Vocab]
	}
}

// lastAttended is the first position whose attention in the last layer is asked
// for: the last one is for its logits.
func (p *Prefix) lastAttended() int {
	if p.needs.ColumnSums {
		return 0
	}
	return p.tokens - max(p.needs.LastRows, 1)
}

// queried is the first position whose query a layer must compute.
func (p *Prefix) queried(l int) int {
	if l+1 < len(p.layers) || p.needs.Queries || p.needs.QueryMoments {
		return 0
	}
	return p.lastAttended()
}

// attentionInput: RMSNorm, query, key and value products, rotary embedding;
// keys and values go to the cache, queries, scaled for base-2 softmax, to q.
func (r *pass) attentionInput(l, from, to int, s *rowScratch) {
	c, layer := r.m.Config, &r.m.layers[l]
	r.normRows(s.norm, from, to, layer.attnNorm)
	rows, width := to-from, layer.qkv.N
	first := 0
	if !r.queried(l, from, to) {
		first = c.Heads * c.HeadDim / tensor.Panel // keys and values alone
	}
	layer.qkv.Mul(s.wide, width, layer.qkv.Input(&s.in, s.norm, c.Hidden, rows), first, layer.qkv.Panels())
	for _, span := range r.spans {
		for row := max(from, span.row); row < min(to, span.row+span.n); row++ {
			r.storeToken(l, span.p, span.start+row-span.row, row, s.wide[(row-from)*width:(row-from+1)*width])
		}
	}
	if r.hidden != nil {
		copy(r.hidden[from*c.Hidden:to*c.Hidden], s.norm)
	}
}

// storeToken rotates one token's queries and keys and puts them where they belong.
func (r *pass) storeToken(l int, p *Prefix, pos, row int, qkv []float32) {
	layer, queries := &r.m.layers[l], r.m.Config.Heads*r.m.Config.HeadDim
	var cos, sin []float32
	if layer.Rope >= 0 {
		cos, sin = r.m.ropes[layer.Rope].row(pos)
	}
	r.m.biasAndNorm(l, qkv)
	if r.bare != nil {
		copy(r.bare[row*queries:(row+1)*queries], qkv)
	}
	keys, values := r.m.rotate(qkv, cos, sin)
	p.cache.store(l, pos, keys, values)
	copy(r.q[row*queries:(row+1)*queries], qkv)
	if p.needs.Queries {
		copy(p.layers[l].queries[pos*queries:(pos+1)*queries], qkv)
	}
}

// queried tells whether a layer must compute the query of any row in [from, to).
func (r *pass) queried(l, from, to int) bool {
	for _, s := range r.spans {
		if row := max(from, s.row+s.p.queried(l)-s.start); row < min(to, s.row+s.n) {
			return true
		}
	}
	return false
}

// embedToken reads a token's embedding, [hidden], from the mapped file.
func (m *Model) embedToken(x []float32, token int32) error {
	if err := m.embed.Read(x, int(token), 1); err != nil {
		return err
	}
	if m.Config.EmbedScale != 1 {
		tensor.Scale(x, m.Config.EmbedScale)
	}
	return nil
}

// biasAndNorm adds biases to the queries, keys and values of one token, as many
// of them as are given, and norms queries and keys, as far as the model does.
func (m *Model) biasAndNorm(l int, qkv []float32) {
	c, layer := m.Config, &m.layers[l]
	if layer.qkvBias != nil {
		tensor.Add(qkv, layer.qkvBias)
	}
	if layer.qNorm == nil {
		return
	}
	d, queries, keys := c.HeadDim, c.Heads*c.HeadDim, (c.Heads+c.KVHeads)*c.HeadDim
	for at := 0; at < min(keys, len(qkv)); at += d {
		weight := layer.qNorm
		if at >= queries {
			weight = layer.kNorm
		}
		tensor.RMSNorm(qkv[at:at+d], qkv[at:at+d], weight, c.RMSEps)
	}
}

// rotate rotates one token's queries and keys, unless cos is nil, and scales the
// queries by log2(e) too, so that softmax can use powers of two. It returns the
// keys and the values of all KV heads: [kvHeads·headDim] each.
func (m *Model) rotate(qkv, cos, sin []float32) (keys, values []float32) {
	c := m.Config
	d, toKeys, toValues := c.HeadDim, c.Heads*c.HeadDim, (c.Heads+c.KVHeads)*c.HeadDim
	if cos != nil {
		for at := 0; at < toValues; at += d {
			rotate(qkv[at:at+d], cos, sin)
		}
	}
	tensor.Scale(qkv[:toKeys], float32(math.Log2E*c.QueryScale))
	return qkv[toKeys:toValues], qkv[toValues : toValues+c.KVHeads*d]
}

// attentionOutput adds the output product of the attention to the residual.
func (r *pass) attentionOutput(l, from, to int, s *rowScratch) {
	c, layer := r.m.Config, &r.m.layers[l]
	width := c.Heads * c.HeadDim
	in := layer.out.Input(&s.in, r.attn[from*width:], width, to-from)
	layer.out.Mul(s.norm, c.Hidden, in, 0, layer.out.Panels())
	r.m.addToResidual(r.x[from*c.Hidden:to*c.Hidden], s.norm, layer.outBias, layer.attnPost)
}

// addToResidual adds a block's output, [rows][hidden], to the residual stream,
// after its bias and the norm behind it, where the model has them.
func (m *Model) addToResidual(x, y, bias, norm []float32) {
	hidden := m.Config.Hidden
	for at := 0; at < len(x); at += hidden {
		row := y[at : at+hidden]
		if bias != nil {
			tensor.Add(row, bias)
		}
		if norm != nil {
			tensor.RMSNorm(row, row, norm, m.Config.RMSEps)
		}
	}
	tensor.Add(x, y[:len(x)])
}

// feedForward adds the gated feed-forward layer (arXiv 2002.05202) to the
// residual.
func (r *pass) feedForward(l, from, to int, s *rowScratch) {
	c, layer := r.m.Config, &r.m.layers[l]
	rows, width := to-from, layer.gateUp.N
	r.normRows(s.norm, from, to, layer.ffnNorm)
	in := layer.gateUp.Input(&s.in, s.norm, c.Hidden, rows)
	for pair := range layer.gateUp.Panels() / 2 {
		layer.gateUp.MulPanels(s.wide, 2*tensor.Panel, in, 2*pair, 2*pair+2)
		c.gate(s.ffn[pair*tensor.Panel:], width/2, s.wide, rows)
	}
	layer.down.Mul(s.norm, c.Hidden, layer.down.Input(&s.in, s.ffn, width/2, rows), 0, layer.down.Panels())
	r.m.addToResidual(r.x[from*c.Hidden:to*c.Hidden], s.norm, nil, layer.ffnPost)
}

func (r *pass) normRows(dst []float32, from, to int, weight []float32) {
	h := r.m.Config.Hidden
	for i := from; i < to; i++ {
		tensor.RMSNorm(dst[(i-from)*h:(i-from+1)*h], r.x[i*h:(i+1)*h], weight, r.m.Config.RMSEps)
	}
}

// gate multiplies a panel of gate, activated, and one of up in every row: pair is
// [rows][2][tensor.Panel], rows of dst are so many floats apart.
func (c Config) gate(dst []float32, apart int, pair []float32, rows int) {
	const panel = tensor.Panel
	activated := tensor.SiLUMul
	if c.Activation == activationGELUTanh {
		activated = tensor.GELUMul
	}
	for i := range rows {
		gate := pair[2*i*panel:]
		activated(dst[i*apart:][:panel], gate[:panel], gate[panel:2*panel])
	}
}

// mulPanels computes dst[rows][w.N] = in[rows][w.K]·wᵀ with the panels shared
// out among the threads: for few rows, where the weights are the work.
func mulPanels(w *tensor.Weights, dst []float32, in *tensor.Input) {
	eachPanelRange(w.Panels(), func(from, to int) { w.Mul(dst, w.N, in, from, to) })
}

// eachPanelRange splits panels into a few ranges per thread and runs f on each.
func eachPanelRange(panels int, f func(from, to int)) {
	tasks := min(panels, 4*tensor.Threads())
	if tensor.Threads() == 1 {
		tasks = 1
	}
	tensor.Parallel(tasks, func(task, _ int) {
		f(task*panels/tasks, (task+1)*panels/tasks)
	})
}
