package model

import (
	"context"
	"fmt"
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
	// Fidelity, unless nil, asks for every variant's likeness to the full cache.
	Fidelity *FidelityOptions
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
	// Fidelity is the likeness to the full cache, where it was asked for.
	Fidelity *Fidelity
}

// A Variant is one way to continue a prefix.
type Variant struct {
	Keep Keep // entries of the prefix that stay
	// Evict, unless nil, starts the eviction of a text: what it returns is called
	// with every token that was fed, after its attention is computed, and may drop
	// entries before the next one.
	Evict func() func(*Step) error
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
	if f := opt.Fidelity; f != nil && p.Len()+len(f.Reference) > m.Config.MaxPositions {
		return nil, fmt.Errorf("prompt of %d tokens and a reference answer of %d exceed the model's %d positions", p.Len(), len(f.Reference), m.Config.MaxPositions)
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
		if err := d.step(active); err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
		d.compare(active)
		for i, s := range active {
			d.accept(s, argmaxWithout(d.row(i), nil), begin)
		}
	}
	if err := d.fidelity(ctx); err != nil {
		return nil, fmt.Errorf("measuring fidelity: %w", err)
	}
	out := make([]Generation, len(variants))
	for i := range out {
		s := d.streams[d.of[i]]
		out[i] = s.generation
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
	own        *ownCache    // of a variant that shares nothing, in place of the above
	variant    Variant
	likeness   likeness
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

	most                                  int       // tokens that are fed at once
	x, norm, qkv, attn, wide, ffn, logits []float32 // [most][…]
	stride                                int       // floats from one score row to the next
	workers                               []attentionScratch
	wanted                                [][]uint64 // [workers] panels that a task's queries read

	full   *stream        // the full cache's, where fidelity is asked for
	target []distribution // its predictions, by the index of the token predicted
}

func newDecoder(m *Model, p *Prefix, variants []Variant, opt DecodeOptions) *decoder {
	d := &decoder{m: m, p: p, opt: opt}
	room := opt.MaxNewTokens
	if opt.Fidelity != nil {
		variants = append(slices.Clip(variants), Variant{Keep: All(p.shape.Layers, p.Len())})
		room = max(room, len(opt.Fidelity.Reference))
		d.target = make([]distribution, 1)
	}
	d.of = make([]int, len(variants))
	d.distinct(variants, room)
	d.most = len(d.streams)
	if opt.Fidelity != nil {
		d.full = d.streams[d.of[len(variants)-1]]
		d.most = max(d.most, forcedTokens)
	}
	d.allocate(room)
	return d
}

// allocate makes room for feeding d.most tokens at once to streams of room new
// tokens each; the attention of streams that share nothing needs none.
func (d *decoder) allocate(room int) {
	m, p := d.m, d.p
	c, n := m.Config, d.most
	d.x = make([]float32, n*c.Hidden)
	d.norm = make([]float32, n*c.Hidden)
	d.qkv = make([]float32, n*m.layers[0].qkv.N)
	d.attn = make([]float32, n*c.Heads*c.HeadDim)
	d.wide = make([]float32, n*m.layers[0].gateUp.N)
	d.ffn = make([]float32, n*m.layers[0].gateUp.N/2)
	d.logits = make([]float32, n*c.Vocab)
	d.stride = (p.Len()+room+tensor.Panel-1)/tensor.Panel*tensor.Panel + 16
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
}

// row is what was predicted after the i-th of the tokens fed last: [vocab].
func (d *decoder) row(i int) []float32 {
	return d.logits[i*d.m.Config.Vocab : (i+1)*d.m.Config.Vocab]
}

// perTask is how many queries share one attention task: as many as fill the row
// tile of the kernels.
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
		if d.full == nil {
			s.tail = nil
		}
		g.Seconds = time.Since(begin).Seconds()
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
