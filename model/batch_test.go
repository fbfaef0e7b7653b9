package model

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Prompts that are decoded together, whenever they joined, generate what they
// generate alone and are as near to the full cache, in every bit: all kinds of
// variants, texts that end at once, at a stop token or with their length, with
// fidelity and without.
func TestBatchEqualsAlone(t *testing.T) {
	for _, name := range tinyModels {
		m := openTiny(t, name)
		rng := rand.New(rand.NewPCG(31, 32))
		type prompt struct {
			p        *Prefix
			variants []Variant
			opt      DecodeOptions
		}
		var prompts []prompt
		for i, n := range []int{7, 150, 1, 33, 16, 64, 200} {
			p := prefill(t, m, randomTokens(rng, n), Needs{})
			s := p.Shape()
			c := prompt{p, []Variant{
				{Keep: randomKeep(rng, s, n, 1, 0.9)},
				{Keep: randomKeep(rng, s, n, s.Heads, 0.3)},
				{Keep: randomKeep(rng, s, n, s.KVHeads, 0.4), Rebase: true},
				{Keep: All(s.Layers, n), Evict: dropSecond},
				{Keep: randomKeep(rng, s, n, 1, 0.5), Evict: dropSecond, Rebase: true},
				{Keep: All(s.Layers, n)},
			}[:6-i%3], DecodeOptions{MaxNewTokens: []int{12, 30, 5, 0, 21, 1, 9}[i]}}
			if i == 4 {
				c.opt.Stop = decode(t, m, p, []Keep{c.variants[0].Keep}, 8)[0].Tokens[5:6]
			}
			if i%2 == 1 || i == 4 {
				c.opt.Fidelity = &FidelityOptions{MaxTokens: 10 + i, Reference: randomTokens(rng, 2*i)}
			}
			prompts = append(prompts, c)
		}
		want := make([][]Generation, len(prompts))
		for i, c := range prompts {
			var err error
			if want[i], err = m.DecodeVariants(context.Background(), c.p, c.variants, c.opt); err != nil {
				t.Fatal(err)
			}
		}
		for _, most := range []int{1, 3, 7} { // prompts in the batch
			b, at := m.NewBatch(), map[*Continuation]int{}
			for next, left := 0, len(prompts); left > 0; {
				for next < len(prompts) && next-(len(prompts)-left) < most {
					c, err := b.Add(prompts[next].p, prompts[next].variants, prompts[next].opt)
					if err != nil {
						t.Fatal(err)
					}
					at[c] = next
					next++
					if most == 3 { // one joins with every step
						break
					}
				}
				done, err := b.Step(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range done {
					left--
					got := c.Generations()
					for k := range got {
						got[k].Seconds, want[at[c]][k].Seconds = 0, 0
					}
					if diff := cmp.Diff(want[at[c]], got); diff != "" {
						t.Errorf("%s, prompt %d among %d (-alone +together):\n%s", name, at[c], most, diff)
					}
				}
			}
			if b.Rows() != 0 {
				t.Errorf("%s: %d rows left", name, b.Rows())
			}
		}
	}
}

// What does not suit a prompt is refused and leaves the batch as it was.
func TestBatchRefuses(t *testing.T) {
	m := openTiny(t, "tiny-s")
	p := prefill(t, m, []int32{1, 2, 3}, Needs{})
	b := m.NewBatch()
	for name, c := range map[string]struct {
		keep Keep
		opt  DecodeOptions
	}{
		"layers":    {Keep{}, DecodeOptions{MaxNewTokens: 1}},
		"length":    {All(m.Config.Layers, 3), DecodeOptions{MaxNewTokens: m.Config.MaxPositions - 2}},
		"reference": {All(m.Config.Layers, 3), DecodeOptions{Fidelity: &FidelityOptions{Reference: make([]int32, m.Config.MaxPositions)}}},
	} {
		if _, err := b.Add(p, []Variant{{Keep: c.keep}}, c.opt); err == nil || b.Rows() != 0 {
			t.Errorf("%s: %v, %d rows", name, err, b.Rows())
		}
	}
}
