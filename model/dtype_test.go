package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/tensor"
)

func openTinyAs(t *testing.T, name string, dtype tensor.DType) *Model {
	t.Helper()
	m, err := OpenAs("testdata/"+name, dtype)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// Every family's weights are bfloat16 in their files: held so, they give the very
// bits of float32.
func TestBFloat16FilesAreExact(t *testing.T) {
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		halves, err := OpenAs(m.Path, tensor.BFloat16)
		if err != nil {
			t.Fatal(err)
		}
		defer halves.Close()
		tokens := c.Prompts[len(c.Prompts)-1].IDs
		want, got := prefill(t, m, tokens, Needs{LastRows: 5, ColumnSums: true}), prefill(t, halves, tokens, Needs{LastRows: 5, ColumnSums: true})
		samePrefix(t, "bfloat16", want, got)
		keeps := []Keep{All(m.Config.Layers, len(tokens))}
		if diff := cmp.Diff(decode(t, m, want, keeps, 16), decode(t, halves, got, keeps, 16)); diff != "" {
			t.Errorf("what follows (-float32 +bfloat16):\n%s", diff)
		}
		if full, half := m.WeightBytes(), halves.WeightBytes(); 2*half != full {
			t.Errorf("weights take %d bytes in bfloat16, %d in float32", half, full)
		}
	})
}

// Whatever the format: chunks, threads, lockstep and batches give the same bits.
func TestDTypesAreDeterministic(t *testing.T) {
	defer tensor.SetThreads(tensor.Threads())
	for _, dtype := range []tensor.DType{tensor.BFloat16, tensor.BFloat16Both, tensor.Int8} {
		for _, name := range []string{"tiny-s", "tiny-m"} {
			t.Run(fmt.Sprintf("%s/%s", dtype, name), func(t *testing.T) {
				m := openTinyAs(t, name, dtype)
				rng := rand.New(rand.NewPCG(21, 4))
				const n = 90
				tokens, needs := randomTokens(rng, n), Needs{LastRows: 3, ColumnSums: true}
				want := prefill(t, m, tokens, needs)
				s := want.Shape()
				keeps := []Keep{All(s.Layers, n)}
				for _, share := range []float64{0.05, 0.4, 0.9} {
					keeps = append(keeps, randomKeep(rng, s, n, s.KVHeads, share))
				}
				together := decode(t, m, want, keeps, 12)
				for threads := 1; threads <= 3; threads++ {
					tensor.SetThreads(threads)
					for _, chunk := range []int{7, 17, 64, n} {
						got, err := m.prefill(context.Background(), nil, tokens, needs, nil, chunk)
						if err != nil {
							t.Fatal(err)
						}
						samePrefix(t, fmt.Sprintf("%d threads, chunks of %d", threads, chunk), want, got)
					}
					for i, keep := range keeps {
						if diff := cmp.Diff(together[i], decode(t, m, want, []Keep{keep}, 12)[0]); diff != "" {
							t.Errorf("%d threads, variant %d (-together +alone):\n%s", threads, i, diff)
						}
					}
				}
				sequence := append([]int32{}, tokens...)
				for step, token := range together[0].Tokens {
					if next := argmaxWithout(prefill(t, m, sequence, Needs{}).Logits(), nil); next != token {
						t.Fatalf("step %d: decode gives %d, prefill %d", step, token, next)
					}
					sequence = append(sequence, token)
				}
			})
		}
	}
}

// Rounded weights give other logits, but near ones.
func TestDTypesAreNear(t *testing.T) {
	for dtype, most := range map[tensor.DType]float64{tensor.BFloat16: 0.02, tensor.BFloat16Both: 0.05, tensor.Int8: 0.05} {
		exact, rounded := openTinyAs(t, "tiny-s", tensor.Float32), openTinyAs(t, "tiny-s", dtype)
		tokens := randomTokens(rand.New(rand.NewPCG(22, 5)), 200)
		want, got := prefill(t, exact, tokens, Needs{}).Logits(), prefill(t, rounded, tokens, Needs{}).Logits()
		spread, apart := float64(slices.Max(want)-slices.Min(want)), 0.
		for i := range want {
			apart = max(apart, float64(want[i]-got[i]), float64(got[i]-want[i]))
		}
		if apart == 0 || apart > most*spread {
			t.Errorf("%s: logits are up to %g apart, of %g from the least to the largest", dtype, apart, spread)
		}
	}
}

// The output norms are those of the weights that are multiplied with.
func TestOutputNormsOfDTypes(t *testing.T) {
	for _, dtype := range tensor.DTypes() {
		m := openTinyAs(t, "tiny-m", dtype)
		tokens := randomTokens(rand.New(rand.NewPCG(23, 6)), 40)
		p := prefill(t, m, tokens, Needs{})
		s := m.Config.Shape
		const layer, head, pos = 1, 1, 7
		got := make([]float64, 1)
		p.OutputNorms(layer, head, []int32{pos}, got)
		value, row, want := make([]float32, s.HeadDim), make([]float32, s.Heads*s.HeadDim), 0.
		p.Value(layer, head/s.Group(), pos, value)
		for j := range m.Config.Hidden {
			m.layers[layer].out.Row(j, row)
			sum := 0.
			for d, v := range value {
				sum += float64(v) * float64(row[head*s.HeadDim+d])
			}
			want += max(sum, -sum)
		}
		if d := got[0] - want; d > 1e-5*want || d < -1e-5*want {
			t.Errorf("%s: norm %g, want %g", dtype, got[0], want)
		}
	}
}

// What rounding SmolLM2's weights, which are Q4_1 in the file, does to its
// predictions on real texts; go test -v prints it, with REFREEKV_SLOW=1 over all of
// them.
func TestSmolLM2DTypes(t *testing.T) {
	oracle := readSmolOracle(t)
	exact := openSmolLM2(t, oracle)
	type loss struct{ kl, top1, perplexity float64 } // nats and shares of the predictions
	for dtype, most := range map[tensor.DType]loss{tensor.BFloat16: {0.001, 0.02, 0}, tensor.BFloat16Both: {0.001, 0.04, 0}, tensor.Int8: {0.01, 0.08, 0}} {
		rounded, err := OpenAs(exact.Path, dtype)
		if err != nil {
			t.Fatal(err)
		}
		var got loss
		n, want := 0, 0.
		for _, prompt := range oracle.Prompts {
			ids := encoded(t, exact.Tokenizer, promptText(t, prompt), false)
			if os.Getenv("REFREEKV_SLOW") == "" {
				ids = ids[:min(len(ids), 48)]
			}
			ids = ids[:min(len(ids), 1000)]
			a, b := predictions(t, exact, ids), predictions(t, rounded, ids)
			for i := range a {
				target := newDistribution(a[i])
				got.kl += target.divergence(b[i])
				if argmaxWithout(b[i], nil) != target.best {
					got.top1++
				}
				next := ids[len(ids)-len(a)+i]
				want += target.logTotal - float64(a[i][next])
				got.perplexity += logTotal(b[i]) - float64(b[i][next])
				n++
			}
		}
		rounded.Close()
		count := float64(n)
		t.Logf("%s: %d predictions, KL %.5f, another top token in %.2f %%, perplexity %.3f instead of %.3f",
			dtype, n, got.kl/count, 100*got.top1/count, math.Exp(got.perplexity/count), math.Exp(want/count))
		if kl, top1 := got.kl/count, got.top1/count; n < 200 || kl == 0 || kl > most.kl || top1 > most.top1 {
			t.Errorf("%s: KL %g, another top token in %g of %d predictions; want at most %g and %g", dtype, kl, top1, n, most.kl, most.top1)
		}
	}
}

// predictions are the logits before every token but the first 16, up to the last:
// [tokens-16][vocab].
func predictions(t *testing.T, m *Model, ids []int32) [][]float32 {
	t.Helper()
	const first = 16
	p := prefill(t, m, ids[:first], Needs{})
	whole := Variant{Keep: All(m.Config.Layers, first)}
	d, s := &decoder{m: m}, newContinuation(p, []Variant{whole}, DecodeOptions{MaxNewTokens: len(ids)}).streams[0]
	out := [][]float32{slices.Clone(p.Logits())}
	queries := make([]query, len(ids)-1-first)
	for i := range queries {
		queries[i] = query{s, i, ids[first+i]}
	}
	for len(queries) > 0 {
		now := queries[:min(len(queries), forcedTokens)]
		queries = queries[len(now):]
		if err := d.feed(now); err != nil {
			t.Fatal(err)
		}
		for i := range now {
			out = append(out, slices.Clone(d.row(i)))
		}
	}
	return out
}
