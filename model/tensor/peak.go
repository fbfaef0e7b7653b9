package tensor

//go:generate go run gen/peak/main.go

// peakKernels are the loops that show what a core can do at most.
type peakKernels struct {
	fma  func(n int, a, b float32) // n rounds of x = x·a + b in many chains
	dot  func(n int)               // n rounds of products of bytes, summed up
	read func(x []float32)         // reads x, whose length is a multiple of readStep
	flop int                       // operations in a round of fma
	ops  int                       // and of dot
}

// readStep is how many floats the read loops take at a time.
const readStep = 256

// FMALoop runs independent fused multiply-adds on numbers in registers, with
// vectors as wide as those of the kernels in use, and returns how many operations
// it did, a multiplication and an addition counted as two. No product of
// matrices is faster.
func FMALoop(rounds int) (operations float64) {
	loops := peaks()
	// The chains end at 1: neither overflow nor denormals.
	loops.fma(max(rounds, 1), 1-1./1024, 1./1024)
	return float64(max(rounds, 1)) * float64(loops.flop)
}

// Int8Loop is FMALoop for int8: products of bytes, added to 32 bits, by the
// instructions that the kernels in use have for them.
func Int8Loop(rounds int) (operations float64) {
	loops := peaks()
	loops.dot(max(rounds, 1))
	return float64(max(rounds, 1)) * float64(loops.ops)
}

// BFloat16Loop is FMALoop for products of two bfloat16 that are added in float32, by
// the instructions that the kernels in use have for them.
func BFloat16Loop(rounds int) (operations float64) {
	if pairKernels.tile == nil {
		return FMALoop(rounds)
	}
	pairKernels.loop(max(rounds, 1))
	return float64(max(rounds, 1)) * float64(pairKernels.ops)
}

// ReadLoop reads a slice as fast as the kernels in use could, from wherever it
// lies, and returns how many bytes it read: whole steps of 1 KiB.
func ReadLoop(x []float32) (bytes float64) {
	n := len(x) / readStep * readStep
	if n > 0 {
		peaks().read(x[:n])
	}
	return 4 * float64(n)
}

// plainChains is how many chains fmaGo runs side by side.
const plainChains = 8

var peakGo = peakKernels{fmaGo, dotGo, readGo, 2 * plainChains, 2 * plainChains}

// fmaGo multiplies and adds in float32: the machine's scalar units.
func fmaGo(n int, a, b float32) {
	x0, x1, x2, x3, x4, x5, x6, x7 := b, b, b, b, b, b, b, b
	for range n {
		x0, x1, x2, x3 = x0*a+b, x1*a+b, x2*a+b, x3*a+b
		x4, x5, x6, x7 = x4*a+b, x5*a+b, x6*a+b, x7*a+b
	}
	keepAlive(x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7)
}

// dotGo multiplies and adds in int32.
func dotGo(n int) {
	var x0, x1, x2, x3, x4, x5, x6, x7 int32
	a := int32(n)
	for range n {
		x0, x1, x2, x3 = x0*a+1, x1*a+2, x2*a+3, x3*a+4
		x4, x5, x6, x7 = x4*a+5, x5*a+6, x6*a+7, x7*a+8
	}
	keepAlive(float32(x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7))
}

func readGo(x []float32) {
	var s0, s1, s2, s3 float32
	for ; len(x) >= 4; x = x[4:] {
		s0, s1, s2, s3 = s0+x[0], s1+x[1], s2+x[2], s3+x[3]
	}
	keepAlive(s0 + s1 + s2 + s3)
}

// keepAlive makes the compiler compute x.
//
//go:noinline
func keepAlive(float32) {}
