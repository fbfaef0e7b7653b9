package tensor

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// A neonKernel computes a tile of as many rows as its name says: C [rows][columns]
// (+)= A [rows][k] · B [k][columns], strides in floats.
type neonKernel func(c *float32, ldc int, a *float32, lda int, b *float32, ldb, k, accumulate int)

// A neonInt8Kernel computes a tile of as many rows as its name says over so many
// blocks; lda is in bytes.
type neonInt8Kernel func(c *float32, ldc int, a *byte, lda int, b *byte, blocks int)

// available lists the levels this machine can run, best first. Every arm64 has NEON.
func available() []string { return []string{"neon", "go"} }

func use(name string) {
	level, tile, tileRows, taskRows, vector = name, tileGo, mostRows, mostRows, vectorGo
	tileHalves, int8Kernels = tileHalvesGo, int8Go
	if name != "neon" {
		return
	}
	tile, tileRows, taskRows, vector = tileNeon, len(neon8xKernels), len(neon8xKernels), vectorNeon
	tileHalves = tileHalvesNeon
	if cpu.ARM64.HasASIMDDP {
		int8Kernels = int8Neon
	}
}

var (
	vectorNeon = vectorAsm{maxNeonAsm, exp2NeonAsm, scaleNeonAsm, addScaledNeonAsm, siluMulNeonAsm, squaresNeon, absolutesNeon}.kernels()
	int8Neon   = int8Set{rows: len(int8neonKernels), block: int8Block + 8, tile: int8TileNeon, quantise: quantiseNeon}
)

func squaresNeon(x []float32) float32 {
	var lanes [16]float32
	whole := len(x) &^ 15
	if whole > 0 {
		squaresNeonAsm(&x[0], whole, &lanes)
	}
	return moreSquares(&lanes, x[whole:])
}

func absolutesNeon(x []float32) float32 {
	var lanes [16]float32
	whole := len(x) &^ 15
	if whole > 0 {
		absolutesNeonAsm(&x[0], whole, &lanes)
	}
	return moreAbsolutes(&lanes, x[whole:])
}

// neonColumns is the width of a tile of more than a few rows: a quarter of a panel.
const neonColumns = 8

func tileNeon(c []float32, ldc int, a []float32, lda, rows int, b []float32, ldb, k int, accumulate bool, _ upcoming) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+k-1], b[(k-1)*ldb+Panel-1]
	if rows <= len(neon32xKernels) {
		neon32xKernels[rows-1](&c[0], ldc, &a[0], lda, &b[0], ldb, k, flag(accumulate))
		return
	}
	for j := 0; j < Panel; j += neonColumns {
		neon8xKernels[rows-1](&c[j], ldc, &a[0], lda, &b[j], ldb, k, flag(accumulate))
	}
}

func tileHalvesNeon(c []float32, ldc int, a []float32, lda, rows int, b []uint32, k int, accumulate bool, _ upcoming) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+k-1], b[k*halfPanel-1]
	if rows <= len(bf16neonWideKernels) {
		bf16neonWideKernels[rows-1](&c[0], ldc, &a[0], lda, words(b), halfPanel, k, flag(accumulate))
		return
	}
	for j := 0; j < halfPanel; j += neonColumns {
		bf16neonLowKernels[rows-1](&c[j], ldc, &a[0], lda, words(b[j:]), halfPanel, k, flag(accumulate))
		bf16neonHighKernels[rows-1](&c[halfPanel+j], ldc, &a[0], lda, words(b[j:]), halfPanel, k, flag(accumulate))
	}
}

// int8TileNeon takes 8 columns at a time, which stand 32 bytes apart in the scales
// and in every four of k.
func int8TileNeon(c []float32, ldc int, a []byte, stride, rows int, b []byte, _ upcoming) {
	blocks := len(b) / panelBlock
	_, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*stride+blocks*(int8Block+8)-1]
	for j := 0; j < Panel; j += neonColumns {
		int8neonKernels[rows-1](&c[j], ldc, unsafe.SliceData(a), stride, &b[4*j], blocks)
	}
}

func quantiseNeon(dst []byte, x []float32) {
	_ = dst[len(x)/int8Block*(int8Block+8)-1]
	quantiseNeonAsm(&dst[0], &x[0], len(x)/int8Block)
}

// neonBits are the bits of a mask's word.
//
//lint:ignore U1000 read by the assembly only
var neonBits = func() (bits [16]uint32) {
	for i := range bits {
		bits[i] = 1 << i
	}
	return bits
}()
