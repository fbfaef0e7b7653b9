package bench

import (
	"context"
	"time"

	"refreekv/model"
	"refreekv/model/tensor"
)

// Product is one of the model's matrix products at so many rows.
type Product struct {
	Name             string  `json:"name"`
	Phase            string  `json:"phase"` // prefill or decode
	Rows             int     `json:"m"`
	N                int     `json:"n"`
	K                int     `json:"k"`
	GFLOPs           float64 `json:"gflop_s"`
	ShareOfPeak      float64 `json:"share_of_peak"` // of all threads, for products of the format
	GBs              float64 `json:"gb_s"`          // weights read
	ShareOfBandwidth float64 `json:"share_of_bandwidth"`
	From             string  `json:"from"` // where the weights lie
}

// prefillRows are how many rows the products of prefill are timed at.
const prefillRows = 512

var decodeRows = []int{1, 2, 4, 8, 16}

func (b *bencher) products(ctx context.Context) error {
	products := b.m.Products()
	if err := b.prefillProducts(ctx, products[:len(products)-1]); err != nil { // prefill makes no logits
		return err
	}
	return b.decodeProducts(ctx, products)
}

// productPeak is what limits products of the model's format.
func (b *bencher) productPeak() *trial {
	loop := tensor.FMALoop
	switch b.m.DType {
	case tensor.BFloat16Both:
		loop = tensor.BFloat16Loop
	case tensor.Int8:
		loop = tensor.Int8Loop
	}
	return peakTrial(b.long, tensor.Threads(), loop)
}

func (b *bencher) prefillProducts(ctx context.Context, products []*model.Product) error {
	peak := b.productPeak()
	read := memoryStore(b.report.Machine.L3).trial(b.long, tensor.Threads())
	trials := []*trial{peak, read}
	for _, p := range products {
		trials = append(trials, repeated(b.long, flop(p, prefillRows), func() { p.Prefill(0, prefillRows) }))
	}
	if err := inTurn(ctx, b.rounds.Kernels, trials...); err != nil {
		return err
	}
	for i, p := range products {
		b.addProduct(p, "prefill", prefillRows, trials[2+i], peak, read, "memory")
	}
	return nil
}

// decodeProducts times whole passes over the weights, as a decode step makes them:
// each product's weights come from where the others have left them.
func (b *bencher) decodeProducts(ctx context.Context, products []*model.Product) error {
	holder := b.holder()
	peak, read := b.productPeak(), holder.trial(b.long, tensor.Threads())
	trials := make([][]*trial, len(decodeRows))
	for i, rows := range decodeRows {
		for range products {
			trials[i] = append(trials[i], &trial{})
		}
		step(products, rows, make([]float64, len(products))) // makes room
	}
	for range b.rounds.Kernels {
		if err := inTurn(ctx, 1, peak, read); err != nil {
			return err
		}
		for i, rows := range decodeRows {
			seconds := make([]float64, len(products))
			step(products, rows, seconds)
			for j, p := range products {
				trials[i][j].rates = append(trials[i][j].rates, float64(p.Layers)*flop(p, rows)/seconds[j])
			}
		}
	}
	for i, rows := range decodeRows {
		for j, p := range products {
			b.addProduct(p, "decode", rows, trials[i][j], peak, read, holder.name)
		}
	}
	return nil
}

// step multiplies with all weights of the model, in the order of a decode step,
// and adds up the time of each product.
func step(products []*model.Product, rows int, seconds []float64) {
	for l := range products[0].Layers {
		for j, p := range products {
			if l >= p.Layers || p.Layers == 1 && l > 0 {
				continue
			}
			begin := time.Now()
			p.Decode(l, rows)
			seconds[j] += time.Since(begin).Seconds()
		}
	}
}

func flop(p *model.Product, rows int) float64 {
	return 2 * float64(rows) * float64(p.N) * float64(p.K)
}

func (b *bencher) addProduct(p *model.Product, phase string, rows int, t, peak, read *trial, from string) {
	// Bytes of weights read for each operation.
	bytes := float64(p.Bytes()) / flop(p, rows)
	b.report.Products = append(b.report.Products, Product{
		Name: p.Name, Phase: phase, Rows: rows, N: p.N, K: p.K,
		GFLOPs: t.rate() / 1e9, ShareOfPeak: t.over(peak),
		GBs: t.rate() * bytes / 1e9, ShareOfBandwidth: t.over(read) * bytes, From: from,
	})
}

// Attention is prefill's attention of one layer, nothing recorded.
type Attention struct {
	Tokens      int     `json:"tokens"`
	Seconds     float64 `json:"seconds"`
	GFLOPs      float64 `json:"gflop_s"`
	ShareOfPeak float64 `json:"share_of_peak"`
}

func (b *bencher) attention(ctx context.Context) error {
	lengths := atLeast(b.lengths, 2048)
	loop := tensor.FMALoop
	if b.m.DType == tensor.BFloat16Both {
		loop = tensor.BFloat16Loop // attention multiplies as products do
	}
	peak := peakTrial(b.long, tensor.Threads(), loop)
	trials := []*trial{peak}
	for _, n := range lengths {
		part := b.m.Attention(n)
		trials = append(trials, repeated(b.long, b.m.Config.AttentionFLOP(n), part.Run))
	}
	if err := inTurn(ctx, b.rounds.Kernels, trials...); err != nil {
		return err
	}
	for i, n := range lengths {
		t := trials[1+i]
		b.report.Attention = append(b.report.Attention, Attention{
			Tokens: n, Seconds: b.m.Config.AttentionFLOP(n) / t.rate(),
			GFLOPs: t.rate() / 1e9, ShareOfPeak: t.over(peak),
		})
	}
	return nil
}

// atLeast are the lengths from least on, or the longest if it is shorter.
func atLeast(lengths []int, least int) []int {
	for i, n := range lengths {
		if n >= least || i == len(lengths)-1 {
			return lengths[i:]
		}
	}
	return nil
}
