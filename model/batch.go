package model

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Batch decodes the variants of several prompts together: a step feeds every
// one of them its newest token, so that weights are read once for all. Prompts
// may join at any step and leave when their last variant ends. What a variant
// generates depends neither on the other variants nor on the other prompts, in
// any bit.
type Batch struct {
	d       *decoder
	running []*Continuation
}

// NewBatch returns a batch without prompts.
func (m *Model) NewBatch() *Batch { return &Batch{d: &decoder{m: m}} }

// A Continuation is a prompt's variants in a batch.
type Continuation struct {
	p       *Prefix
	opt     DecodeOptions
	room    int       // new positions that any stream may need
	streams []*stream // distinct variants, ascending by what they keep
	of      []*stream // of each variant

	full      *stream        // the full cache's, where fidelity is asked for
	target    []distribution // its predictions, by the index of the token predicted
	comparing bool           // the latest step made a prediction to compare with
}

// Add lets a prompt's variants join the batch. It fails where a variant or the
// options do not suit the prefix; the batch is then as before.
func (b *Batch) Add(p *Prefix, variants []Variant, opt DecodeOptions) (*Continuation, error) {
	most := b.d.m.Config.MaxPositions
	for i, v := range variants {
		if err := v.Keep.Check(p.shape, p.Len()); err != nil {
			return nil, fmt.Errorf("variant %d: %w", i, err)
		}
	}
	if f := opt.Fidelity; f != nil && p.Len()+len(f.Reference) > most {
		return nil, fmt.Errorf("prompt of %d tokens and a reference answer of %d exceed the model's %d positions", p.Len(), len(f.Reference), most)
	}
	if err := b.d.m.checkRoom(p, opt); err != nil {
		return nil, err
	}
	first, err := choose(p.logits, opt.NotFirst)
	if err != nil {
		return nil, err
	}
	c := newContinuation(p, variants, opt)
	for _, s := range c.streams {
		s.accept(first)
	}
	b.running = append(b.running, c)
	return c, nil
}

// checkRoom refuses a prompt that leaves no positions for the new tokens.
func (m *Model) checkRoom(p *Prefix, opt DecodeOptions) error {
	if most := m.Config.MaxPositions; p.Len()+opt.MaxNewTokens > most {
		return fmt.Errorf("prompt of %d tokens and %d new ones exceed the model's %d positions", p.Len(), opt.MaxNewTokens, most)
	}
	return nil
}

func newContinuation(p *Prefix, variants []Variant, opt DecodeOptions) *Continuation {
	c := &Continuation{p: p, opt: opt, room: opt.MaxNewTokens}
	if opt.Fidelity != nil {
		variants = append(slices.Clip(variants), Variant{Keep: All(p.shape.Layers, p.Len())})
		c.room = max(c.room, len(opt.Fidelity.Reference))
		c.target = make([]distribution, 1)
	}
	c.distinct(variants)
	if opt.Fidelity != nil {
		last := len(variants) - 1
		c.full, c.of = c.of[last], c.of[:last]
	}
	// Streams that keep about as much stand together: an attention task reads the
	// panels that any of its streams wants.
	slices.SortStableFunc(c.streams, func(a, b *stream) int {
		switch {
		case a.density < b.density:
			return -1
		case a.density > b.density:
			return 1
		}
		return 0
	})
	return c
}

// Rows is how many tokens the next step feeds: one to each distinct variant that
// has not ended.
func (b *Batch) Rows() int { return len(b.active()) }

func (b *Batch) active() []*stream {
	var out []*stream
	for _, c := range b.running {
		for _, s := range c.streams {
			if !s.done {
				out = append(out, s)
			}
		}
	}
	return out
}

// Step decodes one token of every variant that has not ended. It returns the
// prompts of which none is left, compared with the full cache where that was
// asked for; they are not in the batch any more. After an error nothing of the
// batch can be used.
func (b *Batch) Step(ctx context.Context) (done []*Continuation, err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	if active := b.active(); len(active) > 0 {
		begin := time.Now()
		if err := b.d.step(active); err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
		b.d.compare(active)
		for i, s := range active {
			token, err := choose(b.d.row(i), nil)
			if err != nil {
				return nil, err
			}
			s.accept(token)
		}
		share(active, time.Since(begin).Seconds())
	}
	running := b.running[:0]
	for _, c := range b.running {
		if !c.Ended() {
			running = append(running, c)
		} else {
			done = append(done, c)
		}
	}
	clear(b.running[len(running):])
	b.running = running
	if err := b.d.fidelity(ctx, done); err != nil {
		return nil, fmt.Errorf("measuring fidelity: %w", err)
	}
	return done, nil
}

// share divides the time of a step among the prompts by the tokens that they fed;
// all variants of a prompt take its whole share.
func share(active []*stream, seconds float64) {
	rows := map[*Continuation]int{}
	for _, s := range active {
		rows[s.in]++
	}
	for _, s := range active {
		s.generation.Seconds += seconds * float64(rows[s.in]) / float64(len(active))
	}
}

// Ended tells whether no variant goes on: the next step takes the prompt out of the
// batch.
func (c *Continuation) Ended() bool {
	return !slices.ContainsFunc(c.streams, func(s *stream) bool { return !s.done })
}

// Generations are what the variants generated, in the order in which they were
// given, once the prompt has left the batch.
func (c *Continuation) Generations() []Generation {
	out := make([]Generation, len(c.of))
	for i, s := range c.of {
		out[i] = s.generation
		out[i].Tokens = slices.Clone(out[i].Tokens)
	}
	return out
}
