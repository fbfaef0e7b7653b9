package tensor

import (
	"fmt"
	"testing"
)

// Matrix products at SmolLM2-135M's shapes, one thread: a prefill block of rows,
// one decoded row, and the lockstep decode of a few variants.
func BenchmarkMul(b *testing.B) {
	rng := newRand(1)
	for _, m := range []int{1, 12, 84} {
		for _, shape := range [][2]int{{960, 576}, {3072, 576}, {576, 1536}} {
			n, k := shape[0], shape[1]
			p := NewPacked(n, k)
			for j := range n {
				p.SetRow(j, random(rng, k, "ordinary"))
			}
			a, c := random(rng, m*k, "ordinary"), make([]float32, m*n)
			b.Run(fmt.Sprintf("%s/M=%d/N=%d/K=%d", level, m, n, k), func(b *testing.B) {
				for b.Loop() {
					p.Mul(c, n, a, k, m, 0, p.Panels(), false)
				}
				b.ReportMetric(2*float64(m*n*k*b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

// Base-2 softmax of one score row, one thread.
func BenchmarkSoftmax(b *testing.B) {
	x := random(newRand(2), 4096, "ordinary")
	row := make([]float32, len(x))
	b.Run(level, func(b *testing.B) {
		for b.Loop() {
			copy(row, x)
			Softmax(row, nil)
		}
		b.ReportMetric(float64(len(x)*b.N)/b.Elapsed().Seconds()/1e9, "Gscore/s")
	})
}
