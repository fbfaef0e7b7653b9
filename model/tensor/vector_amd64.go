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

var (
	vector512 = vectorAsm{max512asm, exp2x512asm, scale512asm, addScaled512asm, siluMul512asm, squares512, absolutes512}.kernels()
	vector256 = vectorAsm{max256asm, exp2x256asm, scale256asm, addScaled256asm, siluMul256asm, squares256, absolutes256}.kernels()
)

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

//go:noescape
func absolutes512asm(x *float32, n int, lanes *[16]float32)

//go:noescape
func max256asm(x *float32, n int, keep *uint16) float32

//go:noescape
func exp2x256asm(x *float32, n int, max float32, keep *uint16, sum *[16]float32)

//go:noescape
func scale256asm(x *float32, n int, s float32)

//go:noescape
func addScaled256asm(dst, x *float32, n int, s float32)

//go:noescape
func siluMul256asm(dst, gate, up *float32, n int)

//go:noescape
func squares256asm(x *float32, n int, lanes *[16]float32)

//go:noescape
func absolutes256asm(x *float32, n int, lanes *[16]float32)

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

// Sums over lanes call their kernels by name: lanes whose address goes through a
// variable would be allocated, twice a layer and token.

func squares512(x []float32) float32 {
	var lanes [16]float32
	whole := len(x) &^ 15
	if whole > 0 {
		squares512asm(&x[0], whole, &lanes)
	}
	return moreSquares(&lanes, x[whole:])
}

func squares256(x []float32) float32 {
	var lanes [16]float32
	whole := len(x) &^ 15
	if whole > 0 {
		squares256asm(&x[0], whole, &lanes)
	}
	return moreSquares(&lanes, x[whole:])
}

func absolutes512(x []float32) float32 {
	var lanes [16]float32
	whole := len(x) &^ 15
	if whole > 0 {
		absolutes512asm(&x[0], whole, &lanes)
	}
	return moreAbsolutes(&lanes, x[whole:])
}

func absolutes256(x []float32) float32 {
	var lanes [16]float32
	whole := len(x) &^ 15
	if whole > 0 {
		absolutes256asm(&x[0], whole, &lanes)
	}
	return moreAbsolutes(&lanes, x[whole:])
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

// exp2Constants are the constants of the AVX-512 kernels, in the order they load
// them.
//
//lint:ignore U1000 read by the assembly only
var exp2Constants = [...]float32{
	exp2Least, exp2Round, exp2C6, exp2C5, exp2C4, exp2C3, exp2C2, exp2C1, exp2C0, lowest, -math.Log2E, 126,
}

// exp2Vectors are those of the AVX2 kernels: each eight times, then the bits of
// a mask word, the low byte's and the high byte's.
//
//lint:ignore U1000 read by the assembly only
var exp2Vectors = func() (v [14][8]float32) {
	for lane := range 8 {
		for i, c := range exp2Constants {
			v[i][lane] = c
		}
		v[12][lane] = math.Float32frombits(1 << lane)
		v[13][lane] = math.Float32frombits(1 << (8 + lane))
	}
	return v
}()
