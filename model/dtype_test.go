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
	for _, dtype := range []tensor.DType{tensor.BFloat16, tensor.Int8} {
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
	for dtype, most := range map[tensor.DType]float64{tensor.BFloat16: 0.02, tensor.Int8: 0.05} {
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
