package model

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"refreekv/model/tensor"
)

// DecodeOptions says when decoding ends.
type DecodeOptions struct {
	MaxNewTokens int     // at most this many tokens are generated
	Stop         []int32 // tokens that end the text; they are not part of it
	// NotFirst are tokens that may not be generated first (the paper's
	// evaluation forbids end-of-text there).
	NotFirst []int32
}

// Why decoding ended.
const (
	StopEOS    = "eos"    // a stop token was generated
	StopLength = "length" // MaxNewTokens were generated
)

// A Generation is what one variant decoded.
type Generation struct {
	Tokens  []int32 // generated ids, the stop token left out
	Stop    string  // StopEOS or StopLength
	Seconds float64 // from the start of decoding until this variant ended
}

// A Variant is one way to continue a prefix.
type Variant struct {
	Keep Keep // entries of the prefix that stay
	// Evict, unless nil, is called with every token that was fed after its
	// attention is computed, and may drop entries before the next one.
	Evict func(*Step) error
	// Rebase makes positions those inside the cache, as in StreamingLLM (arXiv
	// 2309.17453): an entry stands nearer to the newest token by the number of
	// entries evicted in between.
	Rebase bool
}

// Decode continues a prefix once for every Keep, see [Model.DecodeVariants].
func (m *Model) Decode(ctx context.Context, p *Prefix, keeps []Keep, opt DecodeOptions) ([]Generation, error) {
	variants := make([]Variant, len(keeps))
	for i, keep := range keeps {
		variants[i].Keep = keep
	}
	return m.DecodeVariants(ctx, p, variants, opt)
}

// DecodeVariants continues a prefix greedily, once for every variant: all step
// together, so weights are read once per step. A generated token t stands at
// position n+t whatever was pruned (spec 2.2), and attends to the kept entries
// of the prefix and to all tokens generated before it that were not evicted.
// Variants that keep the same entries throughout are decoded once. What a
// variant generates does not depend on the others.
func (m *Model) DecodeVariants(ctx context.Context, p *Prefix, variants []Variant, opt DecodeOptions) ([]Generation, error) {
	for i, v := range variants {
		if err := v.Keep.Check(p.shape, p.Len()); err != nil {
			return nil, fmt.Errorf("variant %d: %w", i, err)
		}
	}
	if p.Len()+opt.MaxNewTokens > m.Config.MaxPositions {
		return nil, fmt.Errorf("prompt of %d tokens and %d new ones exceed the model's %d positions", p.Len(), opt.MaxNewTokens, m.Config.MaxPositions)
	}
	begin := time.Now()
	d := newDecoder(m, p, variants, opt)
	first := argmaxWithout(p.logits, opt.NotFirst)
	for _, s := range d.streams {
		d.accept(s, first, begin)
	}
	for {
		active := d.active()
		if len(active) == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
		d.step(active)
		if err := d.evict(active); err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
		for i, s := range active {
			logits := d.logits[i*m.Config.Vocab : (i+1)*m.Config.Vocab]
			d.accept(s, argmaxWithout(logits, nil), begin)
		}
	}
	out := make([]Generation, len(variants))
	for i, at := range d.of {
		out[i] = d.streams[at].generation
		out[i].Tokens = slices.Clone(out[i].Tokens)
	}
	return out, nil
}

// A stream is one distinct variant while it decodes.
type stream struct {
	kept       [][]headMask // [layers][heads]; heads that read the same list share a mask
	panels     [][][]uint64 // [layers][kvHeads] bit per panel of prefix keys that some head of the group reads
	tail       *kvCache     // generated tokens' keys and values
	tailLen    int
	density    float64
	cache      *livingCache // of a variant that evicts or has positions of its own, else nil
	generation Generation
	done       bool
}

// headMask has bit i%16 of word i/16 set where position i is attended to,
// generated positions included. nil: all.
type headMask []uint16

// A decoder steps the distinct variants of one prefix.
type decoder struct {
	m       *Model
	p       *Prefix
	opt     DecodeOptions
	streams []*stream
	of      []int // variant → stream

	x, norm, qkv, attn, wide, ffn, logits []float32 // [streams][…]
	stride                                int       // floats from one score row to the next
	workers                               []attentionScratch
	wanted                                [][]uint64 // [workers] panels that a task's streams read
}

func newDecoder(m *Model, p *Prefix, variants []Variant, opt DecodeOptions) *decoder {
	d := &decoder{m: m, p: p, opt: opt, of: make([]int, len(variants))}
	d.distinct(variants)
	c, n := m.Config, len(d.streams)
	d.x = make([]float32, n*c.Hidden)
	d.norm = make([]float32, n*c.Hidden)
	d.qkv = make([]float32, n*m.layers[0].qkv.N)
	d.attn = make([]float32, n*c.Heads*c.HeadDim)
	d.wide = make([]float32, n*m.layers[0].gateUp.N)
	d.ffn = make([]float32, n*m.layers[0].gateUp.N/2)
	d.logits = make([]float32, n*c.Vocab)
	d.stride = (p.Len()+opt.MaxNewTokens+tensor.Panel-1)/tensor.Panel*tensor.Panel + 16
	rows := max(d.perTask(), 1) * c.Group()
	d.workers = make([]attentionScratch, tensor.Threads())
	d.wanted = make([][]uint64, len(d.workers))
	for i := range d.workers {
		d.workers[i] = attentionScratch{
			q:      make([]float32, rows*c.HeadDim),
			out:    make([]float32, rows*c.HeadDim),
			scores: make([]float32, rows*d.stride),
			sums:   make([]float32, rows),
		}
		d.wanted[i] = make([]uint64, panelWords(p.Len()))
	}
	return d
}

// perTask is how many streams share one attention task: as many as fill the
// row tile of the kernels.
func (d *decoder) perTask() int { return max(1, tensor.TileRows()/d.m.Config.Group()) }

func (d *decoder) active() []*stream {
	var out []*stream
	for _, s := range d.streams {
		if !s.done {
			out = append(out, s)
		}
	}
	// Streams that keep about as much stand together: a task reads the panels
	// that any of its streams wants.
	slices.SortStableFunc(out, func(a, b *stream) int {
		switch {
		case a.density < b.density:
			return -1
		case a.density > b.density:
			return 1
		}
		return 0
	})
	return out
}

// accept takes a stream's next token, or ends it.
func (d *decoder) accept(s *stream, token int32, begin time.Time) {
	g := &s.generation
	switch {
	case d.opt.MaxNewTokens <= 0:
		g.Stop = StopLength
	case slices.Contains(d.opt.Stop, token):
		g.Stop = StopEOS
	default:
		g.Tokens = append(g.Tokens, token)
		if len(g.Tokens) == d.opt.MaxNewTokens {
			g.Stop = StopLength
		}
	}
	if g.Stop != "" {
		s.done = true
		s.tail = nil
		g.Seconds = time.Since(begin).Seconds()
	}
}

// step feeds every active stream its newest token and leaves the logits in
// d.logits: [active][vocab].
func (d *decoder) step(active []*stream) {
	c, rows := d.m.Config, len(active)
	for i, s := range active {
		d.m.embedToken(d.x[i*c.Hidden:(i+1)*c.Hidden], s.generation.Tokens[len(s.generation.Tokens)-1])
		s.tailLen++
		s.growTail()
		s.cache.turn(d, s)
	}
	// All active streams have generated as many tokens.
	entry := active[0].tailLen - 1
	cos, sin := make([][]float32, len(d.m.ropes)), make([][]float32, len(d.m.ropes))
	for i := range d.m.ropes {
		cos[i], sin[i] = d.m.ropes[i].next(d.p.Len() + entry + 1)
	}
	for l := range d.m.layers {
		layer := &d.m.layers[l]
		var turnCos, turnSin []float32
		if layer.Rope >= 0 {
			turnCos, turnSin = cos[layer.Rope], sin[layer.Rope]
		}
		d.normRows(rows, layer.attnNorm)
		mulPanels(layer.qkv, d.qkv, d.norm, rows)
		width := layer.qkv.N
		for i, s := range active {
			d.m.biasAndNorm(l, d.qkv[i*width:(i+1)*width])
			d.m.rotateAndStore(s.tail, l, entry, d.qkv[i*width:(i+1)*width], turnCos, turnSin)
		}
		d.attend(l, active)
		mulPanels(layer.out, d.norm, d.attn, rows)
		d.m.addToResidual(d.x[:rows*c.Hidden], d.norm, layer.outBias, layer.attnPost)
		d.normRows(rows, layer.ffnNorm)
		eachPanelRange(layer.gateUp.Panels()/2, func(from, to int) {
			layer.gateUp.Mul(d.wide, layer.gateUp.N, d.norm, c.Hidden, rows, 2*from, 2*to, false)
			c.gate(d.ffn, d.wide, rows, layer.gateUp.N, from, to)
		})
		eachPanelRange(layer.down.Panels(), func(from, to int) {
			layer.down.Mul(d.norm, c.Hidden, d.ffn, layer.gateUp.N/2, rows, from, to, false)
		})
		d.m.addToResidual(d.x[:rows*c.Hidden], d.norm, nil, layer.ffnPost)
	}
	d.normRows(rows, d.m.norm)
	mulPanels(d.m.head, d.logits, d.norm, rows)
	tensor.SoftCap(d.logits[:rows*c.Vocab], float32(c.LogitCap))
}

func (d *decoder) normRows(rows int, weight []float32) {
	h := d.m.Config.Hidden
	for i := range rows {
		tensor.RMSNorm(d.norm[i*h:(i+1)*h], d.x[i*h:(i+1)*h], weight, d.m.Config.RMSEps)
	}
}

// attend computes every active stream's attention over its kept entries and
// its own tail into d.attn: [active][heads·headDim].
func (d *decoder) attend(l int, active []*stream) {
	per, kvHeads := d.perTask(), d.p.shape.KVHeads
	groups := (len(active) + per - 1) / per
	tensor.Parallel(groups*kvHeads, func(task, worker int) {
		// Denser streams stand last and take longest: they start first.
		group, kv := groups-1-task/kvHeads, task%kvHeads
		from := group * per
		d.attendTask(l, kv, from, active[from:min(from+per, len(active))], worker)
	})
}

func (d *decoder) attendTask(l, kv, at int, streams []*stream, worker int) {
	shape, s, n := d.p.shape, &d.workers[worker], d.p.Len()
	g, dim, width := shape.Group(), shape.HeadDim, d.m.layers[l].qkv.N
	wanted := d.wanted[worker]
	clear(wanted)
	for i, st := range streams {
		copy(s.q[i*g*dim:(i+1)*g*dim], d.qkv[(at+i)*width+kv*g*dim:])
		for w, bits := range st.panels[l][kv] {
			wanted[w] |= bits
		}
	}
	// A window hides what stands before lo; score rows begin at base, the start of
	// a panel, so that lanes of sums belong to positions.
	end := n + streams[0].tailLen
	lo, base := visible(d.m.layers[l].Window, end-1)
	rows := len(streams) * g
	keys, values := d.p.cache.keys[l][kv], d.p.cache.values[l][kv]
	eachRun(wanted, keys.Panels(), func(from, to int) {
		if from = max(from, base/tensor.Panel); from >= to {
			return
		}
		keys.Mul(s.scores, d.stride, s.q, dim, rows, from, to, false)
	})
	for i, st := range streams {
		tail := st.tail.keys[l][kv]
		tail.Mul(s.scores[i*g*d.stride+n:], d.stride, s.q[i*g*dim:], dim, g, 0, tail.Panels(), false)
		for h := range g {
			row := i*g + h
			scores := s.scores[row*d.stride:][:end]
			st.cache.rescore(l, kv*g+h, s.q[row*dim:(row+1)*dim], scores)
			tensor.SoftCap(scores[lo:], float32(d.m.Config.ScoreCap*math.Log2E))
			s.sums[row] = softmaxFrom(scores, st.kept[l][kv*g+h], lo, base)
			st.cache.record(l, kv*g+h, scores, lo, 1/s.sums[row])
		}
	}
	first := true
	eachRun(wanted, keys.Panels(), func(from, to int) {
		last := min(to*tensor.Panel, n)
		for k := max(from*tensor.Panel, base); k < last; k += keyTile {
			tensor.MulRows(s.out, dim, s.scores[k:], d.stride, rows, values[k*dim:], dim, min(keyTile, last-k), dim, !first)
			first = false
		}
	})
	for i, st := range streams {
		begin := max(lo, n)
		tensor.MulRows(s.out[i*g*dim:], dim, s.scores[i*g*d.stride+begin:], d.stride, g, st.tail.values[l][kv][(begin-n)*dim:], dim, end-begin, dim, !first)
		for h := range g {
			o := s.out[(i*g+h)*dim : (i*g+h+1)*dim]
			tensor.Scale(o, 1/s.sums[i*g+h])
			copy(d.attn[(at+i)*shape.Heads*dim+(kv*g+h)*dim:], o)
		}
	}
}

// argmaxWithout returns the index of the largest logit that is not excluded,
// the lowest such index on ties.
func argmaxWithout(logits []float32, excluded []int32) int32 {
	best := int32(-1)
	for i, x := range logits {
		if best >= 0 && x <= logits[best] {
			continue
		}
		if !slices.Contains(excluded, int32(i)) {
			best = int32(i)
		}
	}
	return best
}
