package tensor

import "math"

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
