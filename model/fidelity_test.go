package model

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// forcedLogits feeds tokens to a variant one by one and returns what it predicts
// at every index, the first from the prefix.
func forcedLogits(t *testing.T, m *Model, p *Prefix, v Variant, tokens []int32) [][]float32 {
	t.Helper()
	d, c := &decoder{m: m}, newContinuation(p, []Variant{v}, DecodeOptions{MaxNewTokens: len(tokens) + 1})
	out := [][]float32{p.Logits()}
	for _, token := range tokens {
		c.streams[0].accept(token)
		if err := d.step(c.streams); err != nil {
			t.Fatal(err)
		}
		out = append(out, slices.Clone(d.row(0)))
	}
	return out
}

func logProbabilities(logits []float32) []float64 {
	highest, sum := math.Inf(-1), 0.0
	for _, x := range logits {
		highest = max(highest, float64(x))
	}
	for _, x := range logits {
		sum += math.Exp(float64(x) - highest)
	}
	out := make([]float64, len(logits))
	for i, x := range logits {
		out[i] = float64(x) - highest - math.Log(sum)
	}
	return out
}

// directFidelity is the definition: both caches are fed the full cache's text,
// a token at a time.
func directFidelity(t *testing.T, m *Model, p *Prefix, v Variant, full Generation, opt FidelityOptions) Fidelity {
	t.Helper()
	last := min(opt.MaxTokens, len(full.Tokens)-1)
	if full.Stop == StopEOS {
		last = min(opt.MaxTokens, len(full.Tokens))
	}
	whole := Variant{Keep: All(p.shape.Layers, p.Len())}
	f := Fidelity{Tokens: max(last, 0), Agreement: 1, Divergence: -1, ReferenceTokens: len(opt.Reference)}
	if last > 0 {
		want, got := forcedLogits(t, m, p, whole, full.Tokens[:last]), forcedLogits(t, m, p, v, full.Tokens[:last])
		agreed := 0
		for at := 1; at <= last; at++ {
			a, b := logProbabilities(want[at]), logProbabilities(got[at])
			for i := range a {
				f.KL += math.Exp(a[i]) * (a[i] - b[i]) / float64(last)
			}
			if argmaxWithout(want[at], nil) == argmaxWithout(got[at], nil) {
				agreed++
			} else if f.Divergence < 0 {
				f.Divergence = at
			}
		}
		f.Agreement = float64(agreed) / float64(last)
	}
	if n := len(opt.Reference); n > 0 {
		for at, logits := range forcedLogits(t, m, p, v, opt.Reference[:n-1]) {
			f.Reference += logProbabilities(logits)[opt.Reference[at]] / float64(n)
		}
	}
	return f
}

// dropSecond evicts, with every token, the oldest entry but the first.
func dropSecond() func(*Step) error {
	at := 1
	return func(s *Step) error {
		for l := range s.Layers() {
			for list := range s.Lists(l) {
				s.Drop(l, list, at)
			}
		}
		at++
		return nil
	}
}

// Fidelity, measured beside decoding and in batches, is that of the definition:
// for every kind of variant, with and without the full cache among them, texts
// that end early, bounds on the length and references of any length.
func TestFidelity(t *testing.T) {
	for _, name := range tinyModels {
		m := openTiny(t, name)
		rng := rand.New(rand.NewPCG(21, 22))
		for _, n := range []int{1, 6, 60, 200} {
			p := prefill(t, m, randomTokens(rng, n), Needs{})
			s := p.Shape()
			variants := []Variant{
				{Keep: randomKeep(rng, s, n, 1, 0.9)},
				{Keep: randomKeep(rng, s, n, s.Heads, 0.3)},
				{Keep: randomKeep(rng, s, n, s.KVHeads, 0.1)},
				{Keep: randomKeep(rng, s, n, s.KVHeads, 0.4), Rebase: true},
				{Keep: All(s.Layers, n), Evict: dropSecond},
				{Keep: randomKeep(rng, s, n, 1, 0.5), Evict: dropSecond, Rebase: true},
			}
			if n == 60 {
				variants = append(variants, Variant{Keep: All(s.Layers, n)})
			}
			free := decode(t, m, p, []Keep{All(s.Layers, n)}, 40)[0]
			for _, c := range []struct {
				maxNew int
				stop   []int32
				opt    FidelityOptions
			}{
				{40, nil, FidelityOptions{MaxTokens: 64, Reference: randomTokens(rng, 50)}},
				{40, nil, FidelityOptions{MaxTokens: 7, Reference: randomTokens(rng, 1)}},
				{40, free.Tokens[11:12], FidelityOptions{MaxTokens: 64}},
				{40, free.Tokens[:1], FidelityOptions{MaxTokens: 64, Reference: randomTokens(rng, 3)}},
				{1, nil, FidelityOptions{MaxTokens: 64, Reference: randomTokens(rng, 120)}},
			} {
				opt := DecodeOptions{MaxNewTokens: c.maxNew, Stop: c.stop, Fidelity: &c.opt}
				out, err := m.DecodeVariants(context.Background(), p, variants, opt)
				if err != nil {
					t.Fatal(err)
				}
				opt.Fidelity = nil
				without, err := m.DecodeVariants(context.Background(), p, append(variants, Variant{Keep: All(s.Layers, n)}), opt)
				if err != nil {
					t.Fatal(err)
				}
				for i, v := range variants {
					if diff := cmp.Diff(without[i].Tokens, out[i].Tokens); diff != "" {
						t.Errorf("%s, %d tokens, variant %d: measuring changed the text:\n%s", name, n, i, diff)
					}
					nearFidelity(t, directFidelity(t, m, p, v, without[len(variants)], c.opt), *out[i].Fidelity)
				}
			}
		}
	}
}

func nearFidelity(t *testing.T, want, got Fidelity) {
	t.Helper()
	near := func(a, b float64) bool { return math.Abs(a-b) <= 2e-5*(1+math.Abs(a)) }
	if !near(want.KL, got.KL) || !near(want.Reference, got.Reference) {
		t.Errorf("fidelity %+v, want %+v", got, want)
	}
	got.KL, got.Reference = want.KL, want.Reference
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fidelity (-want +got):\n%s", diff)
	}
}
