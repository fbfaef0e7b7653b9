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
					for i := range c {
						c[i] = scale * scale
					}
					want := append([]float32(nil), c...)
					pairKernels.tile(c, ldc, a, lda, rows, b, pairs, pairs%2 == 0, upcoming{})
					tilePairsGo(want, ldc, a, lda, rows, b, pairs, pairs%2 == 0, upcoming{})
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

// A rounded head's products must be those of its rounded parts, whatever the
// numbers of tokens and dimensions, for every part of the positions.
func TestRoundedHead(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng, in := newRand(20), new(Input)
		for _, dim := range []int{5, 16, 32, 64, 80} {
			for _, tokens := range []int{1, 2, 31, 64, 77, 200} {
				const rows = 17
				packed, keys, values := NewPacked(tokens, dim), random(rng, tokens*dim, "ordinary"), random(rng, tokens*dim, "ordinary")
				for pos := range tokens {
					packed.SetRow(pos, keys[pos*dim:(pos+1)*dim])
				}
				h := NewRoundedHead(tokens+40, dim)
				nan := NewPacked(h.Tokens(), dim) // what stood there before may be anything
				for i := range nan.data {
					nan.data[i] = float32(math.NaN())
				}
				h.Set(nan, nan.data, 0, h.Tokens())
				half := tokens / 2 / Panel * Panel
				h.Set(packed, values, 0, half)
				h.Set(packed, values, half, tokens)

				q := random(rng, rows*dim, "ordinary")
				panels := (tokens + Panel - 1) / Panel
				stride := panels*Panel + 3
				scores := make([]float32, rows*stride)
				h.Scores(scores, stride, in, q, rows, 0, panels)
				want := make([]float32, rows*dim)
				for r := range rows {
					for pos := range tokens {
						sum := chain(q[r*dim:(r+1)*dim], func(k int) float32 { return keys[pos*dim+k] })
						sameBits(t, "score", scores[r*stride+pos:][:1], []float32{sum}, 1)
					}
					for d := range dim {
						want[r*dim+d] = chain(scores[r*stride:][:tokens], func(k int) float32 { return values[k*dim+d] })
					}
				}
				got, first := make([]float32, rows*dim), min(tokens, 34)
				h.MulValues(got, in, scores, stride, rows, 0, first, false)
				if first < tokens {
					h.MulValues(got, in, scores[first:], stride, rows, first, tokens-first, true)
				}
				sameBits(t, fmt.Sprintf("%d tokens of %d", tokens, dim), got, want, 1)
			}
		}
	})
}

// chain is the product of BFloat16Both, straight from its definition.
func chain(a []float32, b func(k int) float32) float32 {
	sum := float32(0)
	for k := range 2 * pairsOf(len(a)) {
		if k ^= 1; k < len(a) {
			sum = fma(widened(roundBF16(a[k])), widened(roundBF16(b(k))), sum)
		}
	}
	return sum
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
