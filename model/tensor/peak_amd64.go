package tensor

var (
	peak512 = peakKernels{fmaLoop512, whole(readLoop512), 2 * 16 * 24}
	peak256 = peakKernels{fmaLoop256, whole(readLoop256), 2 * 8 * 14}
)

func peaks() peakKernels {
	switch level {
	case "avx512":
		return peak512
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
func readLoop512(x *float32, n int)

//go:noescape
func readLoop256(x *float32, n int)
