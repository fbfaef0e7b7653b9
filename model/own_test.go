package model

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A cache of its own, without masks, gives the tokens that the shared prefix
// gives: for every form of Keep, positions inside the cache, eviction, and every
// model family.
func TestAlone(t *testing.T) {
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		rng := rand.New(rand.NewPCG(41, 42))
		tokens := c.Prompts[len(c.Prompts)-1].IDs
		n := len(tokens)
		p := prefill(t, m, tokens, Needs{})
		s := p.Shape()
		for i, v := range []Variant{
			{Keep: All(s.Layers, n)},
			{Keep: randomKeep(rng, s, n, 1, 0.4)},
			{Keep: randomKeep(rng, s, n, s.KVHeads, 0.3)},
			{Keep: randomKeep(rng, s, n, s.Heads, 0.3)},
			{Keep: randomKeep(rng, s, n, s.KVHeads, 0.5), Rebase: true},
			{Keep: All(s.Layers, n), Evict: dropSecond},
			{Keep: randomKeep(rng, s, n, s.Heads, 0.5), Evict: dropSecond, Rebase: true},
			{Keep: randomKeep(rng, s, n, 1, 0.5), Evict: dropFaintest},
		} {
			opt := DecodeOptions{MaxNewTokens: 12}
			want, err := m.DecodeVariants(context.Background(), p, []Variant{v}, opt)
			if err != nil {
				t.Fatal(err)
			}
			alone, err := m.Compact(p, v)
			if err != nil {
				t.Fatal(err)
			}
			if bytes := sumBytes(p.HeldBytes(v, false)); alone.KVBytes() != bytes {
				t.Errorf("variant %d holds %d bytes, want %d", i, alone.KVBytes(), bytes)
			}
			got, err := m.DecodeAlone(context.Background(), alone, opt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[0].Tokens, got.Tokens); diff != "" {
				t.Errorf("variant %d (-shared +alone):\n%s", i, diff)
			}
			if v.Evict == nil || v.Rebase {
				continue
			}
			// With every token that enters, an entry leaves every list.
			if bytes := sumBytes(p.HeldBytes(v, false)); alone.KVBytes() != bytes {
				t.Errorf("variant %d holds %d bytes at the end, began with %d", i, alone.KVBytes(), bytes)
			}
		}
	})
}

// dropFaintest evicts, with every token, the entry that the first query head
// attends to least.
func dropFaintest() func(*Step) error {
	return func(s *Step) error {
		for l := range s.Layers() {
			for list := range s.Lists(l) {
				faintest, row := -1, s.Attention(l, 0)
				for pos, a := range row[:s.Len()-1] {
					if s.Holds(l, list, pos) && (faintest < 0 || a < row[faintest]) {
						faintest = pos
					}
				}
				s.Drop(l, list, faintest)
			}
		}
		return nil
	}
}

func sumBytes(all []int64) (sum int64) {
	for _, x := range all {
		sum += x
	}
	return sum
}

// What a layer's window hides from every later token is not held; a choice that
// all heads share stands once per KV head, or per query head where keys and values
// are repeated.
func TestHeldBytes(t *testing.T) {
	s := Shape{Layers: 2, Heads: 6, KVHeads: 2, HeadDim: 8}
	p := NewPrefix(s, 10, Needs{})
	p.model = &Model{layers: []layer{{LayerConfig: LayerConfig{Window: 4}}, {}}}
	const entry = 8 * 2 * 4
	for name, c := range map[string]struct {
		v              Variant
		held, repeated []int64 // entries
	}{
		"full":           {Variant{Keep: All(2, 10)}, []int64{2 * 3, 2 * 10}, []int64{6 * 3, 6 * 10}},
		"one list":       {Variant{Keep: Keep{{{0, 6, 7, 9}}, {{0, 6, 7, 9}}}}, []int64{2 * 2, 2 * 4}, []int64{6 * 2, 6 * 4}},
		"per KV head":    {Variant{Keep: Keep{{{0}, {8, 9}}, {{0}, {8, 9}}}}, []int64{2, 3}, []int64{6, 9}},
		"per query head": {Variant{Keep: Keep{{{0}, {1}, {2}, {3}, {4}, {9}}, {{0}, {1}, {2}, {3}, {4}, {9}}}}, []int64{1, 6}, []int64{1, 6}},
		"evicting":       {Variant{Keep: All(2, 10), Evict: dropSecond}, []int64{20, 20}, []int64{60, 60}},
	} {
		for l := range c.held {
			c.held[l], c.repeated[l] = entry*c.held[l], entry*c.repeated[l]
		}
		if diff := cmp.Diff(c.held, p.HeldBytes(c.v, false)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.repeated, p.HeldBytes(c.v, true)); diff != "" {
			t.Errorf("%s, repeated (-want +got):\n%s", name, diff)
		}
	}
}
