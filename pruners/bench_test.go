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
		"knorm budget=0.5",
		"tova budget=0.5",
		"keydiff budget=0.5",
		"lagkv budget=0.5",
		"cur budget=0.5",
		"observed_attention budget=0.5",
		"scissorhands budget=0.5",
		"random budget=0.5",
		"adakv budget=0.5",
		"adakv budget=0.5 score=knorm",
		"pyramidkv budget=0.2",
		"chunkkv budget=0.5",
		"simlayerkv",
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
	p := model.NewPrefix(s, n, model.Needs{LastRows: 64, ColumnSums: true})
	const different = 9 // more take long to make
	for l := range s.Layers {
		for h := range s.Heads {
			for back := range different {
				fillBench(rng, p.Row(l, h, back)[:n-back])
			}
			for back := different; back < p.Needs().LastRows; back++ {
				copy(p.Row(l, h, back)[:n-back], p.Row(l, h, back%different))
			}
			fillBench(rng, p.ColumnSum(l, h))
		}
	}
	fillKeyValues(rng, p)
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
