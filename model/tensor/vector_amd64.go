package tensor

import (
	"math"
	"unsafe"
)

var vector512 = vectorKernels{max512, exp2_512, scale512, addScaled512, siluMul512, squares512}

//go:noescape
func max512asm(x *float32, n int, keep *uint16) float32

//go:noescape
func exp2x512asm(x *float32, n int, max float32, keep *uint16, sum *[16]float32)

//go:noescape
func scale512asm(x *float32, n int, s float32)

//go:noescape
func addScaled512asm(dst, x *float32, n int, s float32)

//go:noescape
func siluMul512asm(dst, gate, up *float32, n int)

//go:noescape
func squares512asm(x *float32, n int, lanes *[16]float32)

// The assembly takes whole vectors of 16; what is left over goes through the
// plain twins.

func max512(x []float32, keep []uint16) float32 {
	whole := len(x) &^ 15
	most := float32(lowest)
	if whole > 0 {
		most = max512asm(&x[0], whole, unsafe.SliceData(keep))
	}
	return max(most, maxGo(x[whole:], rest(keep, whole)))
}

func rest(keep []uint16, from int) []uint16 {
	if keep == nil || from>>4 >= len(keep) {
		return nil
	}
	return keep[from>>4:]
}

func exp2_512(x []float32, max float32, keep []uint16, sum *[16]float32) {
	whole := len(x) &^ 15
	if whole > 0 {
		exp2x512asm(&x[0], whole, max, unsafe.SliceData(keep), sum)
	}
	exp2Go(x[whole:], max, rest(keep, whole), sum)
}

func scale512(x []float32, s float32) {
	whole := len(x) &^ 15
	if whole > 0 {
		scale512asm(&x[0], whole, s)
	}
	scaleGo(x[whole:], s)
}

func addScaled512(dst, x []float32, s float32) {
	whole := len(x) &^ 15
	if whole > 0 {
		addScaled512asm(&dst[0], &x[0], whole, s)
	}
	addScaledGo(dst[whole:], x[whole:], s)
}

func siluMul512(dst, gate, up []float32) {
	whole := len(gate) &^ 15
	if whole > 0 {
		siluMul512asm(&dst[0], &gate[0], &up[0], whole)
	}
	siluMulGo(dst[whole:], gate[whole:], up[whole:])
}

func squares512(x []float32) float32 {
	var lanes [16]float32
	whole := len(x) &^ 15
	if whole > 0 {
		squares512asm(&x[0], whole, &lanes)
	}
	for i, v := range x[whole:] {
		lanes[i] = fma(v, v, lanes[i])
	}
	for width := 8; width > 0; width /= 2 {
		for i := range width {
			lanes[i] += lanes[i+width]
		}
	}
	return lanes[0]
}

// exp2Constants are the constants of the assembly, in the order it loads them.
//
//lint:ignore U1000 read by the assembly only
var exp2Constants = [...]float32{
	exp2Least, exp2Round, exp2C6, exp2C5, exp2C4, exp2C3, exp2C2, exp2C1, exp2C0, lowest, -math.Log2E, 126,
}
