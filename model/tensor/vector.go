package tensor

import "math"

// vectorKernels are the kernels over whole slices.
type vectorKernels struct {
	max       func(x []float32, keep []uint16) float32
	exp2      func(x []float32, max float32, keep []uint16, sum *[16]float32)
	scale     func(x []float32, s float32)
	addScaled func(dst, x []float32, s float32)
	siluMul   func(dst, gate, up []float32)
	squares   func(x []float32) float32
	absolutes func(x []float32) float32
}

var vectorGo = vectorKernels{maxGo, exp2Go, scaleGo, addScaledGo, siluMulGo, squaresGo, absolutesGo}

var vector = vectorGo

// lowest is the maximum of nothing: low enough that no score reaches it, high
// enough that differences stay finite.
const lowest = -1e30

// Max returns the largest of those x[i] whose bit i%16 of keep[i/16] is set;
// nil keeps all. It returns -1e30 if there is none larger.
func Max(x []float32, keep []uint16) float32 { return vector.max(x, keep) }

// Exp2 replaces x[i] by 2^(x[i]-max), and by exactly 0 where keep drops it, and
// adds each to sum[i%16], ascending. Relative error is below 3e-7; powers below
// 2^-126 become 2^-126.
func Exp2(x []float32, max float32, keep []uint16, sum *[16]float32) { vector.exp2(x, max, keep, sum) }

// Softmax replaces scores by unnormalised base-2 softmax weights, exactly zero
// where keep drops them, and returns their sum. Lanes of the sum belong to
// positions, so dropping an entry and masking it give the same bits.
func Softmax(scores []float32, keep []uint16) float32 {
	var lanes [16]float32
	Exp2(scores, Max(scores, keep), keep, &lanes)
	return SumLanes(&lanes)
}

// Scale multiplies x by s.
func Scale(x []float32, s float32) { vector.scale(x, s) }

// Add adds x to dst.
func Add(dst, x []float32) { vector.addScaled(dst, x[:len(dst)], 1) }

// AddScaled adds s·x to dst, fused.
func AddScaled(dst, x []float32, s float32) { vector.addScaled(dst, x[:len(dst)], s) }

// SumAbs returns the L1 norm of x.
func SumAbs(x []float32) float32 { return vector.absolutes(x) }

// SiLUMul sets dst to gate·sigmoid(gate)·up.
func SiLUMul(dst, gate, up []float32) { vector.siluMul(dst, gate[:len(dst)], up[:len(dst)]) }

// geluSlope is 2·sqrt(2/π): the tanh form of GELU is x·sigmoid(geluSlope·(x +
// 0.044715·x³)).
const geluSlope = 1.5957691216057308

// GELUMul sets dst to gelu(gate)·up, gelu in its tanh form (arXiv 1606.08415).
// dst must not overlap gate or up.
func GELUMul(dst, gate, up []float32) {
	// gelu(x)·up = t·sigmoid(t)·(up·x/t) with t the sigmoid's argument.
	const block = 64
	var t, rest [block]float32
	for at := 0; at < len(dst); at += block {
		n := min(block, len(dst)-at)
		for i, x := range gate[at : at+n] {
			// Long before x is 1,000 the sigmoid is 0 or 1; the bound keeps t finite.
			slope := geluSlope * (1 + 0.044715*min(x*x, 1e6))
			t[i], rest[i] = x*slope, up[at+i]/slope
		}
		SiLUMul(dst[at:at+n], t[:n], rest[:n])
	}
}

// SoftCap bends every x to cap·tanh(x/cap); a cap of 0 leaves x as it is.
func SoftCap(x []float32, cap float32) {
	if cap == 0 {
		return
	}
	for i, v := range x {
		x[i] = cap * float32(math.Tanh(float64(v/cap)))
	}
}

// RMSNorm sets dst to x/sqrt(mean(x²)+eps)·weight (arXiv 1910.07467).
func RMSNorm(dst, x, weight []float32, eps float32) {
	scale := float32(1 / math.Sqrt(float64(vector.squares(x))/float64(len(x))+float64(eps)))
	for i, w := range weight[:len(dst)] {
		dst[i] = x[i] * scale * w
	}
}

func kept(keep []uint16, i int) bool { return keep == nil || keep[i>>4]>>(i&15)&1 == 1 }

func maxGo(x []float32, keep []uint16) float32 {
	most := float32(lowest)
	for i, v := range x {
		if v > most && kept(keep, i) {
			most = v
		}
	}
	return most
}

func exp2Go(x []float32, max float32, keep []uint16, sum *[16]float32) {
	for i, v := range x {
		if !kept(keep, i) {
			x[i] = 0
			continue
		}
		x[i] = exp2(v - max)
		sum[i&15] += x[i]
	}
}

// Coefficients of 2^x on [-1/2, 1/2], minimax in relative error.
const (
	exp2C0 = 1.0
	exp2C1 = 0.693147182464599609375
	exp2C2 = 0.2402265071868896484375
	exp2C3 = 0.05550406873226165771484375
	exp2C4 = 0.009617836214601993560791015625
	exp2C5 = 0.0013352065347135066986083984375
	exp2C6 = 0.00015469732170458883047103881835938
	// Adding and subtracting 1.5·2²³ rounds to an integer, which stands in the
	// low bits of the sum.
	exp2Round = 1.5 * (1 << 23)
	exp2Least = -126
)

func exp2(x float32) float32 {
	if !(x > exp2Least) {
		if x != x {
			return x
		}
		x = exp2Least
	}
	shifted := x + exp2Round
	r := x - (shifted - exp2Round)
	p := float32(exp2C6)
	for _, c := range [...]float32{exp2C5, exp2C4, exp2C3, exp2C2, exp2C1, exp2C0} {
		p = fma(p, r, c)
	}
	return math.Float32frombits(math.Float32bits(p) + math.Float32bits(shifted)<<23)
}

func fma(a, b, c float32) float32 { return float32(float64(a)*float64(b) + float64(c)) }

func scaleGo(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

func addScaledGo(dst, x []float32, s float32) {
	for i, v := range x {
		dst[i] = fma(v, s, dst[i])
	}
}

func siluMulGo(dst, gate, up []float32) {
	for i, g := range gate {
		// exp2 stops at 2^126 too, so that the denominator stays finite.
		power := min(-g*math.Log2E, 126)
		dst[i] = g / (1 + exp2(power)) * up[i]
	}
}

// squaresGo sums squares in 16 lanes, then the lanes as a tree.
func squaresGo(x []float32) float32 {
	var lanes [16]float32
	for i, v := range x {
		lanes[i&15] = fma(v, v, lanes[i&15])
	}
	return SumLanes(&lanes)
}

// absolutesGo sums absolute values in 16 lanes, then the lanes as a tree.
func absolutesGo(x []float32) float32 {
	var lanes [16]float32
	for i, v := range x {
		lanes[i&15] += absolute(v)
	}
	return SumLanes(&lanes)
}

func absolute(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// SumLanes adds 16 partial sums up as a tree; it overwrites them.
func SumLanes(lanes *[16]float32) float32 {
	for width := 8; width > 0; width /= 2 {
		for i := range width {
			lanes[i] += lanes[i+width]
		}
	}
	return lanes[0]
}
