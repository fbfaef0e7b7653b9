package tensor

import (
	"fmt"
	"math"
	"testing"
)

// The products in every format must be those of the rounded matrix, as the format
// defines them, for every row count, for k no multiple of a block, n no multiple of
// the panel and strides wider than the rows; and write nowhere else.
func TestWeightsMul(t *testing.T) {
	for _, dtype := range DTypes() {
		t.Run(string(dtype), func(t *testing.T) {
			eachLevel(t, func(t *testing.T) {
				rng := newRand(11)
				for _, kind := range kinds {
					for _, k := range []int{1, 3, 31, 32, 64, 101} {
						for m := 1; m <= 30; m++ {
							n := 1 + rng.IntN(100)
							lda, ldc := k+rng.IntN(5), n+rng.IntN(5)
							a, rows := random(rng, m*lda, kind), random(rng, n*k, kind)
							w := NewWeights(n, k, dtype)
							for j := range n {
								w.SetRow(j, rows[j*k:(j+1)*k])
							}
							what := fmt.Sprintf("%s %dx%dx%d", kind, m, n, k)
							buf, c := guarded(m * ldc)
							want := append([]float32(nil), c...)
							w.Mul(c, ldc, w.Input(new(Input), a, lda, m), 0, w.Panels())
							defined(want, w, a, m, lda, ldc)
							if dtype == BFloat16Both {
								forgetDenormals(c)
								forgetDenormals(want)
							}
							sameBits(t, what, c, want, 1)
							checkGuards(t, what, buf)
						}
					}
				}
			})
		})
	}
}

// defined is the product of a format, straight from its definition over the rows
// that the matrix gives back.
func defined(c []float32, w *Weights, a []float32, m, lda, ldc int) {
	row := make([]float32, w.K)
	for j := range w.N {
		w.Row(j, row)
		for i := range m {
			sum := float32(0)
			switch w.dtype {
			case Float32, BFloat16:
				for k, v := range row {
					sum = fma(a[i*lda+k], v, sum)
				}
				c[i*ldc+j] = sum
				continue
			case BFloat16Both:
				for k := range 2 * pairsOf(w.K) {
					if k ^= 1; k < w.K {
						sum = fma(widened(roundBF16(a[i*lda+k])), row[k], sum)
					}
				}
				c[i*ldc+j] = sum
				continue
			}
			for at := 0; at < w.K; at += int8Block {
				end := min(at+int8Block, w.K)
				x := a[i*lda+at : i*lda+end]
				scaleA, inverse := int8Scale(x)
				scaleB := columnScale(w, j, at)
				whole := 0
				for k, v := range row[at:end] {
					if scaleB != 0 {
						whole += int8Round(x[k], inverse) * int(math.Round(float64(v)/float64(scaleB)))
					}
				}
				sum = fma(float32(whole), scaleA*scaleB, sum)
			}
			c[i*ldc+j] = sum
		}
	}
}

// forgetDenormals makes zero what sums and products below the normal numbers may
// have reached: kernels for pairs drop denormals, others do not.
func forgetDenormals(x []float32) {
	for i, v := range x {
		if absolute(v) < 0x1p-110 {
			x[i] = 0
		}
	}
}

// columnScale is the scale of a row's block in an int8 matrix.
func columnScale(w *Weights, j, at int) float32 {
	block := w.panelBlocks(j / Panel)[at/int8Block*panelBlock:]
	return view[float32](block[:panelScales])[j%Panel]
}

// All instruction sets must agree in every bit, in every format.
func TestWeightsLevelsAgree(t *testing.T) {
	before := level
	defer use(before)
	for _, dtype := range DTypes() {
		rng := newRand(12)
		const m, n, k = 17, 96, 200
		a, rows := random(rng, m*k, "ordinary"), random(rng, n*k, "ordinary")
		var first []float32
		for _, name := range available() {
			if name == "go" && dtype != Int8 {
				continue // its fused multiply-add rounds twice in rare ties
			}
			use(name)
			w := NewWeights(n, k, dtype) // may lie in another way in each
			for j := range n {
				w.SetRow(j, rows[j*k:(j+1)*k])
			}
			c := make([]float32, m*n)
			w.Mul(c, n, w.Input(new(Input), a, k, m), 0, w.Panels())
			if first == nil {
				first = c
				continue
			}
			sameBits(t, string(dtype)+" "+name, c, first, 0)
		}
	}
}

// A row's result must be the same bits whatever rows are computed beside it and
// however the panels are handed out.
func TestWeightsMulIsDeterministic(t *testing.T) {
	for _, dtype := range DTypes() {
		eachLevel(t, func(t *testing.T) {
			rng := newRand(13)
			const m, n, k = 29, 77, 130
			a, w := random(rng, m*k, "ordinary"), NewWeights(n, k, dtype)
			for j := range n {
				w.SetRow(j, random(rng, k, "ordinary"))
			}
			want, got, in := make([]float32, m*n), make([]float32, m*n), new(Input)
			w.Mul(want, n, w.Input(in, a, k, m), 0, w.Panels())
			pair := make([]float32, 2*Panel)
			for r := range m {
				w.Input(in, a[r*k:], k, 1)
				w.Mul(got[r*n:], n, in, 2, 3)
				w.MulPanels(pair, 2*Panel, in, 0, 2)
				copy(got[r*n:], pair)
			}
			sameBits(t, string(dtype), got, want, 0)
		})
	}
}

// What is bfloat16 already must give the very bits of float32.
func TestBFloat16IsExact(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := newRand(14)
		const m, n, k = 31, 70, 99
		a, floats, halves := random(rng, m*k, "ordinary"), NewWeights(n, k, Float32), NewWeights(n, k, BFloat16)
		for j := range n {
			row := random(rng, k, "ordinary")
			for i := range row {
				row[i] = math.Float32frombits(math.Float32bits(row[i]) & 0xffff0000)
			}
			floats.SetRow(j, row)
			halves.SetRow(j, row)
			back := make([]float32, k)
			halves.Row(j, back)
			sameBits(t, "row", back, row, 0)
		}
		want, got := make([]float32, m*n), make([]float32, m*n)
		floats.Mul(want, n, floats.Input(new(Input), a, k, m), 0, floats.Panels())
		halves.Mul(got, n, halves.Input(new(Input), a, k, m), 0, halves.Panels())
		sameBits(t, "product", got, want, 0)
	})
}

func TestToBF16(t *testing.T) {
	for _, c := range []struct {
		in   uint32
		want uint16
	}{
		{0x3f800000, 0x3f80}, // 1
		{0x3f807fff, 0x3f80}, // just below a tie
		{0x3f808000, 0x3f80}, // a tie, to even
		{0x3f818000, 0x3f82}, // a tie, to even
		{0x3f808001, 0x3f81},
		{0x7f7fffff, 0x7f80}, // the largest float32 becomes infinite
		{0xff800000, 0xff80},
		{0x7f800001, 0x7fc0}, // NaN stays NaN
		{0x80000000, 0x8000},
		{0x00000001, 0x0000},
	} {
		if got := toBF16(math.Float32frombits(c.in)); got != c.want {
			t.Errorf("%08x: %04x, want %04x", c.in, got, c.want)
		}
	}
}

// The largest sums of integers must not overflow, and NaN and infinity in weights
// or activations must reach the output.
func TestInt8Extremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const k = 96
		nan, inf := float32(math.NaN()), float32(math.Inf(1))
		fill := func(v float32) []float32 {
			row := make([]float32, k)
			for i := range row {
				row[i] = v
			}
			return row
		}
		set := func(at int, v float32) []float32 {
			row := fill(1)
			row[at] = v
			return row
		}
		w := NewWeights(6, k, Int8)
		for j, row := range [][]float32{fill(1), fill(-1), fill(0), set(40, nan), set(95, inf), fill(1e-38)} {
			w.SetRow(j, row)
		}
		for i, c := range []struct {
			a    []float32
			want []float32
		}{
			{fill(1), []float32{96, -96, 0, nan, nan, 0}},
			{fill(-1), []float32{-96, 96, 0, nan, nan, 0}},
			{fill(0), []float32{0, 0, 0, nan, nan, 0}},
			{set(0, nan), []float32{nan, nan, nan, nan, nan, nan}},
			{set(33, -inf), []float32{nan, nan, nan, nan, nan, nan}},
			{fill(1e-37), []float32{0, 0, 0, nan, nan, 0}},
		} {
			got := make([]float32, 6)
			w.Mul(got, 6, w.Input(new(Input), c.a, k, 1), 0, 1)
			for j := range got {
				g, want := float64(got[j]), float64(c.want[j])
				if math.IsNaN(g) != math.IsNaN(want) || math.Abs(g-want) > 1e-4 {
					t.Errorf("case %d, column %d: %g, want %g", i, j, g, want)
				}
			}
		}
	})
}

// Quantised activations must be those of the plain twin, for every kind of values.
func TestQuantise(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := newRand(15)
		for _, kind := range kinds {
			x := random(rng, 40*int8Block, kind)
			x[5], x[77], x[200] = float32(math.NaN()), float32(math.Inf(-1)), 0
			got, want := make([]byte, 40*int8Kernels.block), make([]byte, 40*(int8Block+8))
			int8Kernels.quantise(got, x)
			quantiseGo(want, x)
			width := (int8Kernels.block - 8) / int8Block
			for b := range 40 {
				g, w := got[b*int8Kernels.block:], want[b*(int8Block+8):]
				for i := range int8Block {
					// A value of two bytes extends that of one.
					if g[i*width] != w[i] || width == 2 && int8(g[i*width+1]) != int8(w[i])>>7 {
						t.Fatalf("%s: block %d, value %d differs", kind, b, i)
					}
				}
				for i := range 8 {
					if i < 4 && math.IsNaN(float64(view[float32](alignedCopy(w[int8Block : int8Block+4]))[0])) {
						continue // which NaN does not matter
					}
					if g[width*int8Block+i] != w[int8Block+i] {
						t.Fatalf("%s: block %d: scale and start % x, want % x", kind, b, g[width*int8Block:][:8], w[int8Block:][:8])
					}
				}
			}
		}
	})
}

func alignedCopy(b []byte) []byte {
	out := alignedBytes(len(b))
	copy(out, b)
	return out
}

// Part of k is multiplied with the rows that the matrix gives back.
func TestWeightsMulPart(t *testing.T) {
	for _, dtype := range DTypes() {
		eachLevel(t, func(t *testing.T) {
			rng := newRand(16)
			const m, n, k, first, part = 9, 70, 120, 40, 33
			a, w := random(rng, m*part, "ordinary"), NewWeights(n, k, dtype)
			for j := range n {
				w.SetRow(j, random(rng, k, "ordinary"))
			}
			got, want := make([]float32, m*n), make([]float32, m*n)
			w.MulPart(got, n, a, part, m, first, part)
			row := make([]float32, k)
			for j := range n {
				w.Row(j, row)
				for i := range m {
					sum := float32(0)
					for l := range part {
						sum = fma(a[i*part+l], row[first+l], sum)
					}
					want[i*n+j] = sum
				}
			}
			sameBits(t, string(dtype), got, want, 1)
		})
	}
}

// Rounding a weight moves it by at most half a step of its block's scale.
func TestInt8Rounding(t *testing.T) {
	rng := newRand(17)
	w, row, back := NewWeights(3, 70, Int8), random(rng, 70, "ordinary"), make([]float32, 70)
	w.SetRow(1, row)
	w.Row(1, back)
	for i := range row {
		block := row[i/int8Block*int8Block : min(i/int8Block*int8Block+int8Block, 70)]
		scale, _ := int8Scale(block)
		if d := math.Abs(float64(row[i] - back[i])); d > float64(scale)*0.5001 {
			t.Errorf("%g became %g, with a scale of %g", row[i], back[i], scale)
		}
	}
}

func TestParseDType(t *testing.T) {
	for name, want := range map[string]DType{"": Float32, "float32": Float32, "bfloat16": BFloat16, "bfloat16-both": BFloat16Both, "int8": Int8} {
		if got, err := ParseDType(name); err != nil || got != want {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if _, err := ParseDType("float16"); err == nil {
		t.Error("float16 is taken")
	}
}
