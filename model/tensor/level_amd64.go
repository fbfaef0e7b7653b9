package tensor

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// A kernel computes a tile of as many rows as its name says: C [rows][columns]
// (+)= A [rows][k] · B [k][columns], strides in floats.
type kernel func(c *float32, ldc int, a *float32, lda int, b *float32, ldb, k, accumulate int)

// available lists the levels this machine can run, best first.
func available() []string {
	var levels []string
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
		levels = append(levels, "avx512")
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		levels = append(levels, "avx2")
	}
	return append(levels, "go")
}

func use(name string) {
	level, tile, tileRows, taskRows, vector = name, tileGo, mostRows, mostRows, vectorGo
	switch name {
	case "avx512":
		tile, vector = tile512, vector512
	case "avx2":
		tile, tileRows, taskRows, vector = tile256, len(gemm256xKernels), 2*len(gemm256xKernels), vector256
	}
}

func tile512(c []float32, ldc int, a []float32, lda, rows int, b []float32, ldb, k int, accumulate bool) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+k-1], b[(k-1)*ldb+Panel-1]
	gemm512xKernels[rows-1](unsafe.SliceData(c), ldc, unsafe.SliceData(a), lda, unsafe.SliceData(b), ldb, k, flag(accumulate))
}

func tile256(c []float32, ldc int, a []float32, lda, rows int, b []float32, ldb, k int, accumulate bool) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+k-1], b[(k-1)*ldb+Panel-1]
	if rows <= len(gemm256wideKernels) {
		gemm256wideKernels[rows-1](&c[0], ldc, &a[0], lda, &b[0], ldb, k, flag(accumulate))
		return
	}
	// The columns' halves in turn: their sums fill the registers.
	mul := gemm256xKernels[rows-1]
	mul(&c[0], ldc, &a[0], lda, &b[0], ldb, k, flag(accumulate))
	mul(&c[Panel/2], ldc, &a[0], lda, &b[Panel/2], ldb, k, flag(accumulate))
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
