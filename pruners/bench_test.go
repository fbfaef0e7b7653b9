package pruners

import (
	"math"
	"math/rand/v2"
	"testing"

	"refreekv/model"
)

// BenchmarkSelect times one selection over a prompt of 8,192 tokens in the
// shape of SmolLM2-135M, for every method and for the options that cost most.
func BenchmarkSelect(b *testing.B) {
	p := benchPrefix(model.Shape{Layers: 30, Heads: 9, KVHeads: 3, HeadDim: 64}, 8192)
	for _, text := range []string{
		"full",
		"refreekv",
		"refreekv head_agg=per_head",
		"refreekv last_rows=8",
		"refreekv ranking=attention",
		"refreekv ranking=snapkv",
		"refreekv threshold=-0.5",
		"h2o budget=0.5",
		"h2o budget=0.5 rows=all",
		"h2o budget=0.5 heads=kv",
		"snapkv budget=0.2",
		"snapkv budget=0.5",
		"snapkv budget=0.5 heads=kv",
		"snapkv budget=0.5 pooling=avg kernel=5",
		"snapkv budget=0.5 kernel=255",
		"streamingllm budget=0.5",
	} {
		pruner := mustNew(b, text)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pruner.Select(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchPrefix is a prompt with softmax-like rows: heavy-tailed weights, a share
// of them on the first token.
func benchPrefix(s model.Shape, n int) *model.Prefix {
	rng := rand.New(rand.NewPCG(1, 1))
	p := model.NewPrefix(s, n, model.Needs{LastRows: 9, ColumnSums: true})
	for l := range s.Layers {
		for h := range s.Heads {
			for back := range p.Needs().LastRows {
				fillBench(rng, p.Row(l, h, back)[:n-back])
			}
			fillBench(rng, p.ColumnSum(l, h))
		}
	}
	return p
}

func fillBench(rng *rand.Rand, row []float32) {
	sum := float32(0)
	for i := range row {
		row[i] = float32(math.Exp(2 * rng.NormFloat64()))
		if i == 0 {
			row[i] = float32(2 * len(row))
		}
		sum += row[i]
	}
	for i := range row {
		row[i] /= sum
	}
}
