//go:build amd64 || arm64

package tensor

import (
	"math"
	"unsafe"
)

// vectorAsm are the assembly kernels of one instruction set. Where nothing else is
// said they take whole vectors of 16, at least one.
type vectorAsm struct {
	max       func(x *float32, n int, keep *uint16) float32
	exp2      func(x *float32, n int, max float32, keep *uint16, sum *[16]float32)
	scale     func(x *float32, n int, s float32)
	addScaled func(dst, x *float32, n int, s float32)
	siluMul   func(dst, gate, up *float32, n int)
	squares   func(x []float32) float32 // any number
	absolutes func(x []float32) float32
}

// kernels hands what is left over after whole vectors to the plain twins.
func (a vectorAsm) kernels() vectorKernels {
	return vectorKernels{
		max: func(x []float32, keep []uint16) float32 {
			whole := len(x) &^ 15
			most := float32(lowest)
			if whole > 0 {
				most = a.max(&x[0], whole, unsafe.SliceData(keep))
			}
			return max(most, maxGo(x[whole:], rest(keep, whole)))
		},
		exp2: func(x []float32, max float32, keep []uint16, sum *[16]float32) {
			whole := len(x) &^ 15
			if whole > 0 {
				a.exp2(&x[0], whole, max, unsafe.SliceData(keep), sum)
			}
			exp2Go(x[whole:], max, rest(keep, whole), sum)
		},
		scale: func(x []float32, s float32) {
			whole := len(x) &^ 15
			if whole > 0 {
				a.scale(&x[0], whole, s)
			}
			scaleGo(x[whole:], s)
		},
		addScaled: func(dst, x []float32, s float32) {
			whole := len(x) &^ 15
			if whole > 0 {
				a.addScaled(&dst[0], &x[0], whole, s)
			}
			addScaledGo(dst[whole:], x[whole:], s)
		},
		siluMul: func(dst, gate, up []float32) {
			whole := len(gate) &^ 15
			if whole > 0 {
				a.siluMul(&dst[0], &gate[0], &up[0], whole)
			}
			siluMulGo(dst[whole:], gate[whole:], up[whole:])
		},
		squares:   a.squares,
		absolutes: a.absolutes,
	}
}

// moreSquares adds what fills no vector to the lanes and sums them up.
func moreSquares(lanes *[16]float32, x []float32) float32 {
	for i, v := range x {
		lanes[i] = fma(v, v, lanes[i])
	}
	return SumLanes(lanes)
}

func moreAbsolutes(lanes *[16]float32, x []float32) float32 {
	for i, v := range x {
		lanes[i] += absolute(v)
	}
	return SumLanes(lanes)
}

// rest is the mask from position from on, a multiple of 16.
func rest(keep []uint16, from int) []uint16 {
	if keep == nil || from>>4 >= len(keep) {
		return nil
	}
	return keep[from>>4:]
}

// exp2Constants are the constants of the kernels, in the order they load them.
//
//lint:ignore U1000 read by the assembly only
var exp2Constants = [...]float32{
	exp2Least, exp2Round, exp2C6, exp2C5, exp2C4, exp2C3, exp2C2, exp2C1, exp2C0, lowest, -math.Log2E, 126,
}
