package model

import (
	"context"
	"errors"
	"math"
	"slices"

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
	Tokens []int32 // generated ids, the stop token left out
	Stop   string  // StopEOS or StopLength
	// Seconds is the time of the steps until this variant ended: of every step the
	// share of its prompt, by the tokens fed.
	Seconds float64
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
// variant generates does not depend on the others. See [Batch] for several
// prefixes.
func (m *Model) DecodeVariants(ctx context.Context, p *Prefix, variants []Variant, opt DecodeOptions) ([]Generation, error) {
	b := m.NewBatch()
	c, err := b.Add(p, variants, opt)
	if err != nil {
		return nil, err
	}
	for {
		done, err := b.Step(ctx)
		if err != nil {
			return nil, err
		}
		if len(done) > 0 {
			return c.Generations(), nil
		}
	}
}

// A stream is one distinct variant while it decodes.
type stream struct {
	p          *Prefix
	in         *Continuation
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

// A decoder feeds tokens to streams, whichever prefix they continue. It grows
// with what it is asked to feed.
type decoder struct {
	m                                     *Model
	most                                  int          // tokens that can be fed at once
	x, norm, qkv, attn, wide, ffn, logits []float32    // [most][…]
	in                                    tensor.Input // what the product at hand multiplies
	stride                                int          // floats from one score row to the next
	workers                               []attentionScratch
	wanted                                [][]uint64 // [workers] panels that a task's queries read
}

// makeRoom makes room for feeding n tokens at once to streams of so many
// positions, those of their new tokens included.
func (d *decoder) makeRoom(n, positions int) {
	c := d.m.Config
	if n > d.most {
		d.most = n
		d.x = make([]float32, n*c.Hidden)
		d.norm = make([]float32, n*c.Hidden)
		d.qkv = make([]float32, n*d.m.layers[0].qkv.N)
		d.attn = make([]float32, n*c.Heads*c.HeadDim)
		d.wide = make([]float32, n*d.m.layers[0].gateUp.N)
		d.ffn = make([]float32, n*d.m.layers[0].gateUp.N/2)
		d.logits = make([]float32, n*c.Vocab)
	}
	stride := (positions+tensor.Panel-1)/tensor.Panel*tensor.Panel + 16
	if stride <= d.stride && len(d.workers) == tensor.Threads() {
		return
	}
	d.stride = max(d.stride, stride)
	rows := d.perTask() * c.Group()
	d.workers = make([]attentionScratch, tensor.Threads())
	d.wanted = make([][]uint64, len(d.workers))
	for i := range d.workers {
		d.workers[i] = attentionScratch{
			q:      make([]float32, rows*c.HeadDim),
			out:    make([]float32, rows*c.HeadDim),
			scores: make([]float32, rows*d.stride),
			sums:   make([]float32, rows),
		}
		d.wanted[i] = make([]uint64, panelWords(d.stride))
	}
}

// row is what was predicted after the i-th of the tokens fed last: [vocab].
func (d *decoder) row(i int) []float32 {
	return d.logits[i*d.m.Config.Vocab : (i+1)*d.m.Config.Vocab]
}

// perTask is how many queries share one attention task: as many as fill the row
// tile of the kernels.
func (d *decoder) perTask() int { return max(1, tensor.TileRows()/d.m.Config.Group()) }

// accept takes a stream's next token, or ends it.
func (s *stream) accept(token int32) {
	g, opt := &s.generation, s.in.opt
	switch {
	case opt.MaxNewTokens <= 0:
		g.Stop = StopLength
	case slices.Contains(opt.Stop, token):
		g.Stop = StopEOS
	default:
		g.Tokens = append(g.Tokens, token)
		if len(g.Tokens) == opt.MaxNewTokens {
			g.Stop = StopLength
		}
	}
	if g.Stop != "" {
		s.done = true
		if s.in.full == nil {
			s.tail = nil
		}
	}
}

// ErrNotFinite is the error of predictions that no token can be chosen from.
var ErrNotFinite = errors.New("the model's predictions are not finite numbers (NaN or infinity): its weights are damaged, or they overflow float32")

// choose is [argmaxWithout] of predictions that may be no numbers.
func choose(logits []float32, excluded []int32) (int32, error) {
	token := argmaxWithout(logits, excluded)
	if x := float64(logits[token]); math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, ErrNotFinite
	}
	return token, nil
}

// argmaxWithout returns the index of the largest logit that is not excluded,
// the lowest such index on ties.
func argmaxWithout(logits []float32, excluded []int32) int32 {
	if len(excluded) == 0 {
		highest := tensor.Max(logits, nil)
		if i := slices.Index(logits, highest); i >= 0 {
			return int32(i)
		}
	}
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
