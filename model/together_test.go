package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/tensor"
)

// Prompts of every length and need that are prefilled together are, in every bit,
// what each is alone, whatever the family, the format and the number of threads.
func TestPrefillTogether(t *testing.T) {
	defer tensor.SetThreads(tensor.Threads())
	check := func(t *testing.T, m *Model, base *Prefix, prompts []Prompt) {
		t.Helper()
		got, err := m.PrefillTogether(context.Background(), base, prompts)
		if err != nil {
			t.Fatal(err)
		}
		for i, prompt := range prompts {
			want, err := m.PrefillAfter(context.Background(), base, prompt.Tokens, prompt.Needs, nil)
			if err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("prompt %d of %d tokens", i, len(prompt.Tokens))
			if got[i].Shared() != want.Shared() {
				t.Errorf("%s: %d tokens shared, want %d", what, got[i].Shared(), want.Shared())
			}
			sameRecords(t, what, want, got[i])
			keeps := []Keep{All(m.Config.Layers, want.Len())}
			if diff := cmp.Diff(decode(t, m, want, keeps, 4), decode(t, m, got[i], keeps, 4)); diff != "" {
				t.Errorf("%s: what follows (-alone +together):\n%s", what, diff)
			}
		}
	}
	prompts := func(rng *rand.Rand, vocab int, begin []int32) (out []Prompt) {
		needs := []Needs{{}, {LastRows: 9}, {ColumnSums: true}, {Queries: true}, {QueryMoments: true, HiddenMoments: true}, {LastRows: 3, ColumnSums: true, HiddenMoments: true}}
		for i, n := range []int{1, 7, 50, 96, 13, 150, 33} {
			tokens := slices.Clone(begin)
			for range n {
				tokens = append(tokens, int32(rng.IntN(vocab)))
			}
			out = append(out, Prompt{tokens, needs[i%len(needs)]})
		}
		return out
	}
	for _, dtype := range tensor.DTypes() {
		m := openTinyAs(t, "tiny-m", dtype)
		rng := rand.New(rand.NewPCG(31, 7))
		for threads := 1; threads <= 3; threads++ {
			tensor.SetThreads(threads)
			check(t, m, nil, prompts(rng, 256, nil))
		}
		begin := randomTokens(rng, 100)
		base, err := m.PrefillAfter(context.Background(), nil, begin, Needs{ColumnSums: true, Queries: true, QueryMoments: true, HiddenMoments: true}, []int{96})
		if err != nil {
			t.Fatal(err)
		}
		check(t, m, base, prompts(rng, 256, begin[:98]))
	}
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		check(t, m, nil, prompts(rand.New(rand.NewPCG(32, 8)), m.Config.Vocab, nil))
	})
}

// sameRecords compares all that two prefixes recorded, bit by bit.
func sameRecords(t *testing.T, what string, want, got *Prefix) {
	t.Helper()
	if diff := cmp.Diff(want.Logits(), got.Logits()); diff != "" {
		t.Errorf("%s: logits differ: %s", what, diff)
	}
	s, needs := want.Shape(), want.Needs()
	for l := range s.Layers {
		a, b := &want.layers[l], &got.layers[l]
		same := slices.Equal(a.rows, b.rows) && slices.Equal(a.queries, b.queries) &&
			cmp.Equal(a.sums, b.sums) && cmp.Equal(a.moments, b.moments, cmp.AllowUnexported(moments{})) &&
			cmp.Equal(a.hidden, b.hidden, cmp.AllowUnexported(moments{}))
		for kv := range s.KVHeads {
			same = same && slices.Equal(want.cache.values[l][kv], got.cache.values[l][kv])
		}
		if !same {
			t.Errorf("%s: layer %d differs (%+v)", what, l, needs)
		}
	}
}

func TestPrefillTogetherRefuses(t *testing.T) {
	m := openTiny(t, "tiny-s")
	if _, err := m.PrefillTogether(context.Background(), nil, []Prompt{{Tokens: []int32{1}}, {}}); err == nil {
		t.Error("an empty prompt is taken")
	}
	if out, err := m.PrefillTogether(context.Background(), nil, nil); err != nil || len(out) != 0 {
		t.Errorf("no prompts: %v, %v", out, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.PrefillTogether(ctx, nil, []Prompt{{Tokens: []int32{1}}, {Tokens: []int32{2}}}); err == nil {
		t.Error("cancelled, and no error")
	}
}
