package tensor

import "golang.org/x/sys/cpu"

var (
	peak512 = peakKernels{fmaLoop512, dotLoop512, whole(readLoop512), 2 * 16 * 24, 2 * 64 * 24}
	peak256 = peakKernels{fmaLoop256, dotLoop256, whole(readLoop256), 2 * 8 * 14, 2 * 16 * 12}
)

func peaks() peakKernels {
	switch level {
	case "avx512":
		loops := peak512
		if !cpu.X86.HasAVX512VNNI {
			loops.dot, loops.ops = peak256.dot, peak256.ops
		}
		return loops
	case "avx2":
		return peak256
	}
	return peakGo
}

func whole(read func(x *float32, n int)) func([]float32) {
	return func(x []float32) { read(&x[0], len(x)) }
}

//go:noescape
func fmaLoop512(n int, a, b float32)

//go:noescape
func fmaLoop256(n int, a, b float32)

//go:noescape
func dotLoop512(n int)

//go:noescape
func dotLoop256(n int)

//go:noescape
func readLoop512(x *float32, n int)

//go:noescape
func readLoop256(x *float32, n int)
