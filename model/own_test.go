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
			if bytes := int64(v.Keep.Entries(s)) * int64(s.HeadDim) * 8; alone.KVBytes() != bytes {
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
			if bytes := int64(v.Keep.Entries(s)) * int64(s.HeadDim) * 8; alone.KVBytes() != bytes {
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
