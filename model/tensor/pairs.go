package tensor

import "math"

// In BFloat16Both, weights and activations are bfloat16, denormals zero, and an
// output is one chain of fused multiply-adds over k in the order 1, 0, 3, 2, …: a
// product of two bfloat16 is exact in float32, so that this is what instructions for
// pairs compute. Where there are such, weights lie in pairs; elsewhere they lie as in
// BFloat16, with k in the order of the chain, for the same kernels.

// pairSet are the kernels for pairs: words of 32 bits, the even k in the low half, the
// odd one in the high half.
type pairSet struct {
	// tile sets c, [rows][Panel], to the product of a, [rows][pairs] with rows lda
	// words apart, with a panel b, [pairs][Panel], or adds it. nil: the machine has no
	// such kernel.
	tile func(c []float32, ldc int, a []uint32, lda, rows int, b []uint32, pairs int, accumulate bool, next upcoming)
	// round rounds x to pairs.
	round func(dst []uint32, x []float32)
	// two rounds two rows to the pairs of their values.
	two func(dst []uint32, even, odd []float32)
	// loop shows what a core can do at most, ops operations a round.
	loop func(n int)
	ops  int
}

// pairKernels are those in use.
var pairKernels pairSet

// pairsOf is how many pairs k values take.
func pairsOf(k int) int { return (k + 1) / 2 }

// roundBF16 is toBF16 with denormals as zero.
func roundBF16(x float32) uint16 {
	if absolute(x) < 0x1p-126 {
		return uint16(math.Float32bits(x) >> 16 & 0x8000)
	}
	return toBF16(x)
}

// widened is a bfloat16 in float32.
func widened(half uint16) float32 { return math.Float32frombits(uint32(half) << 16) }

// setPairs sets a column of a panel of pairs.
func setPairs(panel []uint32, column int, row []float32) {
	for k, v := range row {
		word, shift := &panel[k/2*Panel+column], k%2*16
		*word = *word&^(0xffff<<shift) | uint32(roundBF16(v))<<shift
	}
}

// getPairs is the reverse of setPairs.
func getPairs(panel []uint32, column int, row []float32) {
	for k := range row {
		row[k] = widened(uint16(panel[k/2*Panel+column] >> (k % 2 * 16)))
	}
}

// roundPairsGo is the plain twin of the kernels that round to pairs.
func roundPairsGo(dst []uint32, x []float32) {
	clear(dst[:pairsOf(len(x))])
	for k, v := range x {
		dst[k/2] |= uint32(roundBF16(v)) << (k % 2 * 16)
	}
}

// roundTwoGo is the plain twin of the kernels that round two rows.
func roundTwoGo(dst []uint32, even, odd []float32) {
	for i, v := range even {
		dst[i] = uint32(roundBF16(v)) | uint32(roundBF16(odd[i]))<<16
	}
}

// chainOrder puts a row, rounded, into the order of the chain; dst has as many values
// as the row's pairs.
func chainOrder(dst, row []float32) {
	dst[len(dst)-2] = 0 // of a pair that the row does not fill
	for k, v := range row {
		dst[k^1] = widened(roundBF16(v))
	}
}

// tilePairsGo is the plain twin of the kernels for pairs.
func tilePairsGo(c []float32, ldc int, a []uint32, lda, rows int, b []uint32, pairs int, accumulate bool, _ upcoming) {
	for r := range rows {
		out := c[r*ldc:][:Panel]
		if !accumulate {
			clear(out)
		}
		for i, pair := range a[r*lda:][:pairs] {
			low, high := widened(uint16(pair)), widened(uint16(pair>>16))
			for j, w := range b[i*Panel:][:Panel] {
				sum := flushed(fma(high, widened(uint16(w>>16)), out[j]))
				out[j] = flushed(fma(low, widened(uint16(w)), sum))
			}
		}
	}
}

// flushed is x, zero where it is a denormal.
func flushed(x float32) float32 {
	if absolute(x) < 0x1p-126 {
		return 0
	}
	return x
}
