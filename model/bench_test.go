package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"refreekv/model/tensor"
)

// openSmol opens SmolLM2-135M-Instruct where it has been fetched before.
func openSmol(tb testing.TB, dtype tensor.DType) *Model {
	tb.Helper()
	tb.Setenv("HF_ENDPOINT", "http://127.0.0.1:1") // what is not there is not fetched
	tb.Setenv("PATH", "")
	m, err := Find(context.Background(), "smollm2-135m-instruct", dtype, nil)
	if err != nil {
		tb.Skip("SmolLM2-135M-Instruct is not in the cache; fetch it with: refreekv pull model smollm2-135m-instruct")
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

// Prefill of a prompt of random tokens: the rate does not depend on which.
func BenchmarkPrefill(b *testing.B) {
	for _, dtype := range tensor.DTypes() {
		m := openSmol(b, dtype)
		for _, n := range []int{512, 2048, 8192} {
			tokens := make([]int32, n)
			rng := rand.New(rand.NewPCG(1, uint64(n)))
			for i := range tokens {
				tokens[i] = int32(rng.IntN(m.Config.Vocab))
			}
			for _, c := range []struct {
				name  string
				needs Needs
			}{{"plain", Needs{}}, {"rows=64", Needs{LastRows: 64}}, {"sums", Needs{ColumnSums: true}}} {
				b.Run(fmt.Sprintf("%s/%s/%s/tokens=%d", tensor.Level(), dtype, c.name, n), func(b *testing.B) {
					for b.Loop() {
						if _, err := m.Prefill(context.Background(), tokens, c.needs); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "tok/s")
				})
			}
		}
	}
}

// Decoding of one and of many different variants of a 2,048-token prompt.
func BenchmarkDecode(b *testing.B) {
	for _, dtype := range tensor.DTypes() {
		benchmarkDecode(b, openSmol(b, dtype))
	}
}

func benchmarkDecode(b *testing.B, m *Model) {
	const n, steps = 2048, 32
	tokens := make([]int32, n)
	rng := rand.New(rand.NewPCG(1, n))
	for i := range tokens {
		tokens[i] = int32(rng.IntN(m.Config.Vocab))
	}
	p, err := m.Prefill(context.Background(), tokens, Needs{})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		variants int
		share    float64
	}{{1, 1}, {1, 0.2}, {16, 0.9}, {16, 0.5}, {16, 0.2}} {
		keeps := make([]Keep, c.variants)
		for i := range keeps {
			keeps[i] = randomKeep(rng, p.Shape(), n, p.Shape().Heads, c.share)
		}
		b.Run(fmt.Sprintf("%s/%s/variants=%d/kept=%g", tensor.Level(), m.DType, c.variants, c.share), func(b *testing.B) {
			for b.Loop() {
				if _, err := m.Decode(context.Background(), p, keeps, DecodeOptions{MaxNewTokens: steps}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(c.variants*steps*b.N)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}
