package pruners

import (
	"path/filepath"
	"testing"
	"time"

	"refreekv/model"
	"refreekv/model/hub"
)

// BenchmarkSelectOnModel times one selection over a prompt of 8,192 tokens of
// SmolLM2-135M and gives it as a share of the plain prefill, for the methods
// that read more of a model than attention rows.
func BenchmarkSelectOnModel(b *testing.B) {
	cache, err := hub.CacheDir()
	if err != nil {
		b.Skip(err)
	}
	found, _ := filepath.Glob(filepath.Join(cache, "*", "*", "SmolLM2-135M-Instruct*.gguf"))
	if len(found) == 0 {
		b.Skipf("no SmolLM2-135M-Instruct in the cache %s; refreekv pull model smollm2-135m-instruct fetches it", cache)
	}
	m, err := model.Open(found[0])
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	ids := make([]int32, 8192)
	for i := range ids {
		ids[i] = int32(1000 + i*7919%40000)
	}
	start := time.Now()
	if _, err := m.Prefill(b.Context(), ids, model.Needs{}); err != nil {
		b.Fatal(err)
	}
	plain := time.Since(start)
	p, err := m.Prefill(b.Context(), ids, model.Needs{LastRows: 32, RowShare: 0.01, ColumnSums: true, Queries: true, QueryMoments: true, HiddenMoments: true})
	if err != nil {
		b.Fatal(err)
	}
	for _, text := range []string{
		"twilight",
		"twilight window=32 heads=kv",
		"threshold_free",
		"threshold_free score=knorm",
		"gvote",
		"gvote samples=32",
		"expected_attention budget=0.5",
		"criticalkv budget=0.5",
		"vatp budget=0.5",
		"cake budget=0.5",
		"attn budget=0.5 row_share=0.01",
		"refreekv",
		"refreekv row_share=0.01",
		"refreekv row_share=0.01 rows_mask=none",
		"refreekv ranking=snapkv metric=norm1",
		"refreekv ranking=snapkv metric=row_sqrt_sum",
	} {
		pruner := mustNew(b, text)
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				if _, err := pruner.Select(p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/plain.Seconds(), "%prefill")
		})
	}
}
