package tensor

import "unsafe"

var pairs512 = pairSet{tile: tilePairs512, round: roundPairs, two: roundTwo, loop: pairLoop512, ops: 2 * 32 * 24}

//go:noescape
func roundPairs512(dst *uint32, x *float32, n int)

//go:noescape
func roundTwo512(dst *uint32, even, odd *float32, n int)

//go:noescape
func pairLoop512(n int)

func tilePairs512(c []float32, ldc int, a []uint32, lda, rows int, b []uint32, pairs int, accumulate bool, next upcoming) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+pairs-1], b[pairs*Panel-1]
	next = next.orBehind(unsafe.Pointer(&b[0]), 4*Panel)
	pairs512xKernels[rows-1](&c[0], ldc, words(a), lda, words(b), Panel, pairs, flag(accumulate), next.at, next.pace)
}

func roundPairs(dst []uint32, x []float32) {
	_ = dst[pairsOf(len(x))-1]
	whole := len(x) &^ 15
	if whole > 0 {
		roundPairs512(&dst[0], &x[0], whole)
	}
	roundPairsGo(dst[whole/2:], x[whole:])
}

func roundTwo(dst []uint32, even, odd []float32) {
	_, _ = dst[len(even)-1], odd[len(even)-1]
	whole := len(even) &^ 15
	if whole > 0 {
		roundTwo512(&dst[0], &even[0], &odd[0], whole)
	}
	roundTwoGo(dst[whole:], even[whole:], odd[whole:])
}
