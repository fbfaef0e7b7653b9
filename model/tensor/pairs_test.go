package tensor

import (
	"fmt"
	"math"
	"testing"
)

// eachPairLevel runs f for the instruction sets that have kernels for pairs.
func eachPairLevel(t *testing.T, f func(t *testing.T)) {
	found := false
	eachLevel(t, func(t *testing.T) {
		if pairKernels.tile != nil {
			found = true
			f(t)
		}
	})
	if !found {
		t.Skip("this machine has no instructions for pairs of bfloat16")
	}
}

// Kernels for pairs must give the bits of their plain twin, also where sums and
// products become denormal, for every row count and number of pairs.
func TestPairs(t *testing.T) {
	eachPairLevel(t, func(t *testing.T) {
		rng := newRand(18)
		scales := map[string]float32{"ordinary": 1, "huge": 1e15, "tiny": 1e-22, "edge": 2e-19}
		for kind, scale := range scales {
			for _, pairs := range []int{1, 2, 3, 4, 5, 16, 51} {
				for rows := 1; rows <= tileRows; rows++ {
					lda, ldc := pairs+rng.IntN(3), Panel+rng.IntN(3)
					a, b := make([]uint32, rows*lda), make([]uint32, pairs*Panel)
					for _, words := range [][]uint32{a, b} {
						x := random(rng, 2*len(words), "ordinary")
						Scale(x, scale)
						roundPairsGo(words, x)
					}
					buf, c := guarded(rows * ldc)
					want := append([]float32(nil), c...)
					pairKernels.tile(c, ldc, a, lda, rows, b, pairs, upcoming{})
					tilePairsGo(want, ldc, a, lda, rows, b, pairs, upcoming{})
					what := fmt.Sprintf("%s, %d rows of %d pairs", kind, rows, pairs)
					sameBits(t, what, c, want, 1)
					checkGuards(t, what, buf)
				}
			}
		}
	})
}

// Rounding to pairs must be that of the plain twin, whatever the values and wherever
// they end.
func TestRoundPairs(t *testing.T) {
	eachPairLevel(t, func(t *testing.T) {
		rng := newRand(19)
		for n := 1; n <= 70; n++ {
			x := random(rng, n, "ordinary")
			for i := range x {
				switch rng.IntN(8) {
				case 0:
					x[i] = math.Float32frombits(rng.Uint32()) // NaN, infinity, denormals among them
				case 1:
					x[i] = math.Float32frombits(math.Float32bits(x[i])&0xffff0000 | 0x8000) // a tie
				case 2:
					x[i] *= 0x1p-127
				}
			}
			got, want := make([]uint32, pairsOf(n)), make([]uint32, pairsOf(n))
			pairKernels.round(got, x)
			roundPairsGo(want, x)
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("pair %d of %d values, %g and after: %08x, want %08x", i, n, x[2*i], got[i], want[i])
				}
			}
		}
	})
}

// NaN and infinity in weights or activations must reach the output, denormals count
// as zero, and both ways to hold the weights must give them back alike.
func TestBFloat16BothExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const k = 5
		nan, inf := float32(math.NaN()), float32(math.Inf(1))
		rows := [][]float32{{1, 1, 1, 1, 1}, {-1, 2, -1, 2, -1}, {nan, 0, 0, 0, 0}, {0, 0, 0, 0, inf}, {1e-39, -1e-39, 1, 0, 0}}
		w, back := NewWeights(len(rows), k, BFloat16Both), make([]float32, k)
		for j, row := range rows {
			w.SetRow(j, row)
		}
		w.Row(4, back)
		sameBits(t, "row with denormals", back, []float32{0, float32(math.Copysign(0, -1)), 1, 0, 0}, 0)
		for _, c := range []struct{ a, want []float32 }{
			{[]float32{1, 1, 1, 1, 1}, []float32{5, 1, nan, inf, 1}},
			{[]float32{0, 0, 0, 0, 0}, []float32{0, 0, nan, nan, 0}},
			{[]float32{1, 1, 1, 1, -inf}, []float32{-inf, inf, nan, -inf, nan}},
			{[]float32{3e38, 3e38, 3e38, 0, 1}, []float32{inf, inf, nan, inf, 3e38}},
			{[]float32{1 + 0x1p-9, 0, 0, 0, 1e-39}, []float32{1, -1, nan, nan, 0}},
		} {
			got := make([]float32, len(rows))
			w.Mul(got, len(rows), w.Input(new(Input), c.a, k, 1), 0, 1)
			for j := range got {
				g, want := float64(got[j]), float64(c.want[j])
				if math.IsNaN(g) != math.IsNaN(want) || g != want && math.Abs(g-want) > 1e-2*math.Abs(want) {
					t.Errorf("%v, column %d: %g, want %g", c.a, j, g, want)
				}
			}
		}
	})
}
