package tensor

import (
	"fmt"
	"testing"
)

// Matrix products at SmolLM2-135M's shapes in every format, one thread: a prefill
// block of rows, one decoded row, and the lockstep decode of a few variants. int8
// rounds its activations within the time.
func BenchmarkMul(b *testing.B) {
	rng := newRand(1)
	for _, dtype := range DTypes() {
		for _, m := range []int{1, 12, 84} {
			for _, shape := range [][2]int{{960, 576}, {3072, 576}, {576, 1536}} {
				n, k := shape[0], shape[1]
				w := NewWeights(n, k, dtype)
				for j := range n {
					w.SetRow(j, random(rng, k, "ordinary"))
				}
				a, c, in := random(rng, m*k, "ordinary"), make([]float32, m*n), new(Input)
				b.Run(fmt.Sprintf("%s/%s/M=%d/N=%d/K=%d", level, dtype, m, n, k), func(b *testing.B) {
					for b.Loop() {
						w.Mul(c, n, w.Input(in, a, k, m), 0, w.Panels())
					}
					b.ReportMetric(2*float64(m*n*k*b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}

// Rounding of activations to 8 bits, one thread.
func BenchmarkQuantise(b *testing.B) {
	x := random(newRand(3), 1536, "ordinary")
	dst := make([]byte, int8Blocks(len(x))*int8Kernels.block)
	b.Run(level, func(b *testing.B) {
		for b.Loop() {
			quantise(dst, x)
		}
		b.ReportMetric(float64(len(x)*b.N)/b.Elapsed().Seconds()/1e9, "Gvalue/s")
	})
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
