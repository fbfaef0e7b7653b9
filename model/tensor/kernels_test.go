package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// eachLevel runs f with every set of kernels that this machine has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	before := level
	t.Cleanup(func() { use(before) })
	for _, name := range available() {
		t.Run(name, func(t *testing.T) {
			use(name)
			f(t)
		})
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 99)) }

// random fills a slice that begins off a cache line, with values of a kind:
// ordinary, huge, tiny (denormal products), or mostly zero.
func random(rng *rand.Rand, n int, kind string) []float32 {
	x := make([]float32, n+1)[1:]
	for i := range x {
		x[i] = float32(rng.NormFloat64())
		switch kind {
		case "huge":
			x[i] *= 1e15
		case "tiny":
			x[i] *= 1e-22
		case "sparse":
			if rng.IntN(4) > 0 {
				x[i] = 0
			}
		}
	}
	return x
}

var kinds = []string{"ordinary", "huge", "tiny", "sparse"}

// sameBits tells where two slices differ in a bit; NaN equals NaN. A sum of
// which a float64 twin rounds twice may differ in its last bit once in millions
// of terms: ulps is how far values may lie apart.
func sameBits(t *testing.T, what string, got, want []float32, ulps int64) {
	t.Helper()
	for i := range want {
		g, w := got[i], want[i]
		if math.IsNaN(float64(g)) && math.IsNaN(float64(w)) {
			continue
		}
		if d := ordered(g) - ordered(w); d > ulps || d < -ulps {
			t.Fatalf("%s: [%d] is %g (%08x), want %g (%08x)", what, i, g, math.Float32bits(g), w, math.Float32bits(w))
		}
	}
}

// ordered maps floats to integers in their order.
func ordered(x float32) int64 {
	b := int64(int32(math.Float32bits(x)))
	if b < 0 {
		return math.MinInt32 - b
	}
	return b
}

// product is C = A·Bᵀ (+ C) as the package defines it, a chain of fused
// multiply-adds over k, straight from the definition.
func product(c, a []float32, b func(j, k int) float32, m, n, k, lda, ldc int, accumulate bool) {
	for i := range m {
		for j := range n {
			sum := float32(0)
			if accumulate {
				sum = c[i*ldc+j]
			}
			for l := range k {
				sum = fma(a[i*lda+l], b(j, l), sum)
			}
			c[i*ldc+j] = sum
		}
	}
}

const guard = 0x7fa5a5a5 // a NaN that no kernel computes

func guarded(n int) (buf, inner []float32) {
	buf = make([]float32, n+64)
	for i := range buf {
		buf[i] = math.Float32frombits(guard)
	}
	return buf, buf[32 : 32+n]
}

func checkGuards(t *testing.T, what string, buf []float32) {
	t.Helper()
	for _, i := range []int{0, 15, 31, len(buf) - 32, len(buf) - 17, len(buf) - 1} {
		if math.Float32bits(buf[i]) != guard {
			t.Fatalf("%s wrote outside its buffer (%d of %d)", what, i, len(buf))
		}
	}
}

// Every kernel must give the definition's product for every row count, for k no
// multiple of the unrolling, n no multiple of the panel, and strides wider than
// the rows; and write nowhere else.
func TestMul(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := newRand(1)
		for _, kind := range kinds {
			for _, k := range []int{1, 3, 4, 64, 101} {
				for m := 1; m <= 30; m++ {
					n := 1 + rng.IntN(100)
					lda, ldc := k+rng.IntN(5), n+rng.IntN(5)
					a, rows := random(rng, m*lda, kind), random(rng, n*k, kind)
					p := NewPacked(n, k)
					for j := range n {
						p.SetRow(j, rows[j*k:(j+1)*k])
					}
					for _, accumulate := range []bool{false, true} {
						what := fmt.Sprintf("%s %dx%dx%d accumulate=%v", kind, m, n, k, accumulate)
						buf, c := guarded(m * ldc)
						if accumulate {
							copy(c, random(rng, m*ldc, kind))
						}
						want := append([]float32(nil), c...)
						p.Mul(c, ldc, a, lda, m, 0, p.Panels(), accumulate)
						product(want, a, func(j, l int) float32 { return rows[j*k+l] }, m, n, k, lda, ldc, accumulate)
						sameBits(t, what, c, want, 1)
						checkGuards(t, what, buf)
					}
				}
			}
		}
	})
}

// MulRows is the same product with B as it stands.
func TestMulRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := newRand(2)
		for _, k := range []int{1, 5, 127, 300} {
			for m := 1; m <= 30; m += 3 {
				n := 1 + rng.IntN(130)
				lda, ldb, ldc := k+rng.IntN(5), n+rng.IntN(5), n+rng.IntN(5)
				a, b := random(rng, m*lda, "ordinary"), random(rng, k*ldb, "ordinary")
				for _, accumulate := range []bool{false, true} {
					what := fmt.Sprintf("%dx%dx%d accumulate=%v", m, n, k, accumulate)
					buf, c := guarded(m * ldc)
					if accumulate {
						copy(c, random(rng, m*ldc, "ordinary"))
					}
					want := append([]float32(nil), c...)
					MulRows(c, ldc, a, lda, m, b, ldb, k, n, accumulate)
					product(want, a, func(j, l int) float32 { return b[l*ldb+j] }, m, n, k, lda, ldc, accumulate)
					sameBits(t, what, c, want, 1)
					checkGuards(t, what, buf)
				}
			}
		}
	})
}

// A row's result must be the same bits whatever rows are computed beside it,
// however the panels are handed out and however k is split.
func TestMulIsDeterministic(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := newRand(3)
		const m, n, k = 29, 77, 130
		a, p := random(rng, m*k, "ordinary"), NewPacked(n, k)
		for j := range n {
			p.SetRow(j, random(rng, k, "ordinary"))
		}
		want := make([]float32, m*n)
		p.Mul(want, n, a, k, m, 0, p.Panels(), false)
		got := make([]float32, m*n)
		for r := range m {
			for panel := range p.Panels() {
				p.Mul(got[r*n:], n, a[r*k:], k, 1, panel, panel+1, false)
			}
		}
		sameBits(t, "row by row", got, want, 0)
		b := random(rng, k*n, "ordinary")
		MulRows(want, n, a, k, m, b, n, k, n, false)
		for _, split := range []int{1, 64, 100} {
			MulRows(got, n, a, k, m, b, n, split, n, false)
			MulRows(got, n, a[split:], k, m, b[split*n:], n, k-split, n, true)
			sameBits(t, fmt.Sprintf("k split at %d", split), got, want, 0)
		}
	})
}

// All levels must agree with each other in every bit.
func TestLevelsAgree(t *testing.T) {
	before := level
	defer use(before)
	rng := newRand(4)
	const m, n, k = 17, 96, 200
	a, b := random(rng, m*k, "ordinary"), random(rng, k*n, "ordinary")
	var first []float32
	for _, name := range available() {
		if name == "go" {
			continue // its fused multiply-add rounds twice in rare ties
		}
		use(name)
		c := make([]float32, m*n)
		MulRows(c, n, a, k, m, b, n, k, n, false)
		var sum [16]float32
		Exp2(c, Max(c, nil), nil, &sum)
		SiLUMul(c, c, a)
		if first == nil {
			first = c
			continue
		}
		sameBits(t, name, c, first, 0)
	}
}

func TestNaNReachesTheProduct(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		nan := float32(math.NaN())
		p := NewPacked(40, 8)
		p.SetRow(35, []float32{0, 0, 0, nan, 0, 0, 0, 0})
		c := make([]float32, 40)
		p.Mul(c, 40, make([]float32, 8), 8, 1, 0, 2, false)
		for j, v := range c {
			if (v != v) != (j == 35) {
				t.Errorf("column %d is %g", j, v)
			}
		}
	})
}

func masks(rng *rand.Rand, n int) map[string][]uint16 {
	words := func(f func() uint16) []uint16 {
		out := make([]uint16, (n+15)/16)
		for i := range out {
			out[i] = f()
		}
		return out
	}
	return map[string][]uint16{
		"all":    nil,
		"random": words(func() uint16 { return uint16(rng.Uint32()) }),
		"few":    words(func() uint16 { return 1 << rng.IntN(16) }),
		"none":   words(func() uint16 { return 0 }),
		"full":   words(func() uint16 { return 0xffff }),
	}
}

// Softmax's pieces against their plain twins, for every length, under masks,
// with scores so low that their power vanishes.
func TestMaxAndExp2(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := newRand(5)
		for n := 1; n <= 130; n++ {
			for name, keep := range masks(rng, n) {
				what := fmt.Sprintf("%d scores, mask %s", n, name)
				x := random(rng, n, "ordinary")
				for i := range x {
					x[i] *= []float32{1, 50, 1000}[rng.IntN(3)]
				}
				if got, want := Max(x, keep), maxGo(x, keep); got != want {
					t.Fatalf("%s: maximum %g, want %g", what, got, want)
				}
				buf, got := guarded(n)
				copy(got, x)
				want := append([]float32(nil), x...)
				gotSum, wantSum := [16]float32{3: 1}, [16]float32{3: 1}
				Exp2(got, maxGo(x, keep), keep, &gotSum)
				exp2Go(want, maxGo(x, keep), keep, &wantSum)
				sameBits(t, what, got, want, 1)
				checkGuards(t, what, buf)
				for lane := range wantSum {
					if d := math.Abs(float64(gotSum[lane] - wantSum[lane])); d > 1e-6*float64(wantSum[lane]) {
						t.Fatalf("%s: sum %d is %g, want %g", what, lane, gotSum[lane], wantSum[lane])
					}
				}
			}
		}
	})
}

// A masked entry counts for nothing, whatever garbage stands there.
func TestMaskedGarbage(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, garbage := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 3e38} {
			x := make([]float32, 40)
			keep := []uint16{0xffff &^ (1 << 3), 0xffff &^ (1 << 12), 0xff &^ (1 << 2)}
			for _, at := range []int{3, 28, 34} {
				x[at] = garbage
			}
			if got := Max(x, keep); got != 0 {
				t.Errorf("%g masked: maximum %g", garbage, got)
			}
			var sum [16]float32
			Exp2(x, 0, keep, &sum)
			if total := SumLanes(&sum); total != 37 {
				t.Errorf("%g masked: sum %g, want 37", garbage, total)
			}
			if x[3] != 0 || x[28] != 0 || x[34] != 0 {
				t.Errorf("%g masked: weights %g %g %g, want zeros", garbage, x[3], x[28], x[34])
			}
		}
	})
}

func TestExp2Accuracy(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		worst := 0.0
		x := make([]float32, 64)
		for from := float32(-125.9); from < 0; from += 0.13 {
			for i := range x {
				x[i] = min(from+float32(i)*0.002, 0)
			}
			in := append([]float32(nil), x...)
			var sum [16]float32
			Exp2(x, 0, nil, &sum)
			for i := range x {
				want := math.Exp2(float64(in[i]))
				worst = max(worst, math.Abs(float64(x[i])-want)/want)
			}
		}
		if worst > 3e-7 {
			t.Errorf("relative error %g, want below 3e-7", worst)
		}
		low := []float32{-127, -200, -1e30, float32(math.Inf(-1)), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		var sum [16]float32
		Exp2(low, 0, nil, &sum)
		for i, v := range low[:4] {
			if v != 0x1p-126 {
				t.Errorf("a score too low to matter (%d) weighs %g, want 2^-126", i, v)
			}
		}
	})
}

// NaN must not turn into a weight that looks right.
func TestNaNReachesExp2(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{5, 16, 40, 64, 70} {
			for at := range n {
				x := make([]float32, n)
				x[at] = float32(math.NaN())
				var sum [16]float32
				Exp2(x, 0, nil, &sum)
				if x[at] == x[at] {
					t.Fatalf("%d scores: NaN at %d became %g", n, at, x[at])
				}
			}
		}
	})
}

// The other vector kernels against their twins.
func TestVectors(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := newRand(6)
		for n := 1; n <= 100; n++ {
			for _, kind := range kinds {
				what := fmt.Sprintf("%d %s values", n, kind)
				x, y := random(rng, n, kind), random(rng, n, kind)
				check := func(op string, ulps int64, f, twin func(dst []float32)) {
					buf, got := guarded(n)
					copy(got, y)
					want := append([]float32(nil), y...)
					f(got)
					twin(want)
					sameBits(t, op+" of "+what, got, want, ulps)
					checkGuards(t, op+" of "+what, buf)
				}
				check("Scale", 0, func(d []float32) { Scale(d, 1.7) }, func(d []float32) { scaleGo(d, 1.7) })
				check("Add", 0, func(d []float32) { Add(d, x) }, func(d []float32) { addScaledGo(d, x, 1) })
				check("AddScaled", 1, func(d []float32) { AddScaled(d, x, -0.3) }, func(d []float32) { addScaledGo(d, x, -0.3) })
				check("SumAbs", 0, func(d []float32) { d[0] = SumAbs(x) }, func(d []float32) { d[0] = absolutesGo(x) })
				check("SiLUMul", 2, func(d []float32) { SiLUMul(d, x, y) }, func(d []float32) { siluMulGo(d, x, y) })
				check("RMSNorm", 4, func(d []float32) { RMSNorm(d, x, y, 1e-5) }, func(d []float32) {
					sum := 0.0
					for _, v := range x {
						sum += float64(v) * float64(v)
					}
					scale := float32(1 / math.Sqrt(sum/float64(n)+1e-5))
					for i, w := range y {
						d[i] = x[i] * scale * w
					}
				})
			}
		}
	})
}

// SiLU against its definition in float64, up to where it saturates. The rounding
// of the exponent, which grows with the gate, is what costs precision.
func TestSiLUAccuracy(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for g := float32(-86); g < 90; g += 0.37 {
			gate, up, dst := make([]float32, 32), make([]float32, 32), make([]float32, 32)
			for i := range gate {
				gate[i], up[i] = g+float32(i)*0.01, 2
			}
			SiLUMul(dst, gate, up)
			for i, x := range gate {
				want := 2 * float64(x) / (1 + math.Exp(-float64(x)))
				if math.Abs(float64(dst[i])-want) > (5e-7+1e-7*math.Abs(float64(x)))*math.Abs(want) {
					t.Fatalf("SiLU(%g)·2 is %g, want %g", x, dst[i], want)
				}
			}
		}
	})
}

// GELU's tanh form against its definition in float64, far into both tails; every
// length and nothing beside it.
func TestGELU(t *testing.T) {
	gelu := func(x float64) float64 {
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
	eachLevel(t, func(t *testing.T) {
		rng := newRand(8)
		for n := 1; n <= 150; n++ {
			gate, up := random(rng, n, "ordinary"), random(rng, n, "ordinary")
			for i := range gate {
				gate[i] *= []float32{1, 5, 1e-6, 30}[rng.IntN(4)]
			}
			buf, got := guarded(n)
			GELUMul(got, gate, up)
			for i, x := range gate {
				want := gelu(float64(x)) * float64(up[i])
				if !(math.Abs(float64(got[i])-want) <= 2e-6*math.Abs(float64(x*up[i]))) {
					t.Fatalf("%d values: GELU(%g)·%g is %g, want %g", n, x, up[i], got[i], want)
				}
			}
			checkGuards(t, fmt.Sprintf("GELUMul of %d values", n), buf)
		}
		// Where GELU is x or 0 in float32, so is this, up to the largest gates.
		gate := []float32{0, 6, 40, 1e4, 1e9, 1e30, -40, -1e4, -1e9, -1e30}
		want := []float32{0, 12, 80, 2e4, 2e9, 2e30, 0, 0, 0, 0}
		up, got := make([]float32, len(gate)), make([]float32, len(gate))
		for i := range up {
			up[i] = 2
		}
		GELUMul(got, gate, up)
		for i := range got {
			if !(math.Abs(float64(got[i]-want[i])) <= 1e-6*math.Abs(float64(want[i]))+3e-38*math.Abs(float64(gate[i]))) {
				t.Errorf("GELU(%g)·2 is %g, want %g", gate[i], got[i], want[i])
			}
		}
	})
}

func TestSoftCap(t *testing.T) {
	rng := newRand(9)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, limit := range []float32{0.5, 30, 50 * math.Log2E} {
		x := append(random(rng, 40, "ordinary"), 1e-20, -1e30, inf, -inf, nan, 0)
		for i := range 40 {
			x[i] *= limit
		}
		got := append([]float32(nil), x...)
		SoftCap(got, limit)
		for i, v := range x {
			want := float64(limit) * math.Tanh(float64(v)/float64(limit))
			if !(math.Abs(float64(got[i])-want) <= 2e-7*math.Abs(want)) && v == v {
				t.Errorf("cap %g: %g becomes %g, want %g", limit, v, got[i], want)
			}
			if v != v && got[i] == got[i] {
				t.Errorf("cap %g: NaN becomes %g", limit, got[i])
			}
		}
	}
	x := []float32{1, -1e30, nan}
	SoftCap(x, 0)
	if x[0] != 1 || x[1] != -1e30 || x[2] == x[2] {
		t.Errorf("without a cap 1, -1e30 and NaN become %v", x)
	}
}

func TestPackedRows(t *testing.T) {
	rng := newRand(7)
	const k = 24
	p := NewPacked(0, k)
	var rows [][]float32
	for j := range 200 {
		p.Resize(j + 1)
		rows = append(rows, random(rng, k, "ordinary"))
		p.SetRow(j, rows[j])
	}
	got := make([]float32, k)
	for j, row := range rows {
		p.Row(j, got)
		sameBits(t, fmt.Sprintf("row %d", j), got, row, 0)
	}
	// A smaller matrix that grows again holds zeros, not what stood there.
	p.Resize(70)
	p.Resize(200)
	for _, j := range []int{70, 95, 96, 199} {
		p.Row(j, got)
		sameBits(t, fmt.Sprintf("row %d after shrinking", j), got, make([]float32, k), 0)
	}
}

// SumAbs against the definition, with signs, infinities and NaN.
func TestSumAbs(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, c := range []struct {
			x    []float32
			want float64
		}{
			{nil, 0},
			{[]float32{-1, 2, -3}, 6},
			{append(make([]float32, 40), -5), 5},
			{[]float32{float32(math.Inf(-1)), 1}, math.Inf(1)},
		} {
			if got := float64(SumAbs(c.x)); got != c.want {
				t.Errorf("%v: %g, want %g", c.x, got, c.want)
			}
		}
		x := make([]float32, 35)
		x[3] = float32(math.NaN())
		if got := SumAbs(x); got == got {
			t.Errorf("a NaN sums to %g", got)
		}
	})
}

// A part of a matrix's columns gives the product of a matrix that has only
// those, bit for bit; rows copied from another matrix are that matrix's.
func TestMulPartAndCopyRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := newRand(17)
		for _, n := range []int{1, 31, 32, 33, 100} {
			const k, first, part, m = 48, 16, 24, 5
			whole, cut, copied := NewPacked(n, k), NewPacked(n, part), NewPacked(n+40, k)
			for j := range n {
				row := random(rng, k, "ordinary")
				whole.SetRow(j, row)
				cut.SetRow(j, row[first:first+part])
			}
			a := random(rng, m*part, "ordinary")
			got, want := make([]float32, m*n), make([]float32, m*n)
			whole.MulPart(got, n, a, part, m, first, part, 0, whole.Panels(), false)
			cut.Mul(want, n, a, part, m, 0, cut.Panels(), false)
			sameBits(t, fmt.Sprintf("part of %d rows", n), got, want, 0)
			copied.CopyRows(whole, n)
			a, b := make([]float32, k), make([]float32, k)
			for j := range n + 40 {
				copied.Row(j, a)
				clear(b)
				if j < n {
					whole.Row(j, b)
				}
				sameBits(t, fmt.Sprintf("row %d of %d copied", j, n), a, b, 0)
			}
		}
	})
}

func TestMulRefusesShortBuffers(t *testing.T) {
	p := NewPacked(40, 8)
	for name, f := range map[string]func(){
		"short a":   func() { p.Mul(make([]float32, 80), 40, make([]float32, 15), 8, 2, 0, 2, false) },
		"short c":   func() { p.Mul(make([]float32, 79), 40, make([]float32, 16), 8, 2, 0, 2, false) },
		"panels":    func() { p.Mul(make([]float32, 80), 40, make([]float32, 16), 8, 2, 0, 3, false) },
		"no part":   func() { p.MulPart(make([]float32, 80), 40, make([]float32, 16), 8, 2, 1, 8, 0, 2, false) },
		"rows":      func() { p.CopyRows(NewPacked(39, 8), 40) },
		"short b":   func() { MulRows(make([]float32, 8), 4, make([]float32, 6), 3, 2, make([]float32, 11), 4, 3, 4, false) },
		"short c 2": func() { MulRows(make([]float32, 7), 4, make([]float32, 6), 3, 2, make([]float32, 12), 4, 3, 4, false) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the product ran", name)
				}
			}()
			f()
		}()
	}
}

// What every token calls in every layer leaves nothing for the collector.
func TestNormsAllocateNothing(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		x := random(newRand(9), 100, "ordinary")
		dst := make([]float32, len(x))
		if n := testing.AllocsPerRun(10, func() { RMSNorm(dst, x, x, 1e-5) }); n != 0 {
			t.Errorf("RMSNorm allocates %g times", n)
		}
		if n := testing.AllocsPerRun(10, func() { dst[0] = SumAbs(x) }); n != 0 {
			t.Errorf("SumAbs allocates %g times", n)
		}
	})
}
