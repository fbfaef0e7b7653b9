package tensor

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// A kernel computes a tile of as many rows as its name says: C [rows][columns]
// (+)= A [rows][k] · B [k][columns], strides in floats. For every k it fetches what
// stands at ahead, pace bytes further each time, into the second level of the cache.
type kernel func(c *float32, ldc int, a *float32, lda int, b *float32, ldb, k, accumulate int, ahead uintptr, pace int)

// An int8Kernel computes a tile of as many rows as its name says over so many
// blocks; lda is in bytes. For every 128 bytes of B it fetches what stands at ahead,
// pace bytes further each time, into the second level of the cache.
type int8Kernel func(c *float32, ldc int, a *byte, lda int, b *byte, blocks int, ahead uintptr, pace int)

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
	tileHalves, int8Kernels, pairKernels = tileHalvesGo, int8Go, pairSet{}
	switch name {
	case "avx512":
		tile, tileHalves, vector, int8Kernels = tile512, tileHalves512, vector512, int8x256
		if cpu.X86.HasAVX512VNNI {
			int8Kernels = int8x512
		}
		if cpu.X86.HasAVX512BF16 {
			pairKernels = pairs512
		}
	case "avx2":
		tile, tileRows, taskRows, vector = tile256, len(gemm256xKernels), 2*len(gemm256xKernels), vector256
		tileHalves, int8Kernels = tileHalves256, int8x256
	}
}

func tile512(c []float32, ldc int, a []float32, lda, rows int, b []float32, ldb, k int, accumulate bool, next upcoming) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+k-1], b[(k-1)*ldb+Panel-1]
	next = next.orBehind(unsafe.Pointer(&b[0]), 4*ldb)
	gemm512xKernels[rows-1](&c[0], ldc, &a[0], lda, &b[0], ldb, k, flag(accumulate), next.at, next.pace)
}

func tile256(c []float32, ldc int, a []float32, lda, rows int, b []float32, ldb, k int, accumulate bool, next upcoming) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+k-1], b[(k-1)*ldb+Panel-1]
	if rows <= len(gemm256wideKernels) {
		gemm256wideKernels[rows-1](&c[0], ldc, &a[0], lda, &b[0], ldb, k, flag(accumulate), 0, 0)
		return
	}
	// The columns' halves in turn: their sums fill the registers.
	mul := gemm256xKernels[rows-1]
	left, right := next.halves(k)
	left, right = left.orBehind(unsafe.Pointer(&b[0]), 4*ldb), right.orBehind(unsafe.Pointer(&b[Panel/2]), 4*ldb)
	mul(&c[0], ldc, &a[0], lda, &b[0], ldb, k, flag(accumulate), left.at, left.pace)
	mul(&c[Panel/2], ldc, &a[0], lda, &b[Panel/2], ldb, k, flag(accumulate), right.at, right.pace)
}

func tileHalves512(c []float32, ldc int, a []float32, lda, rows int, b []uint32, k int, accumulate bool, next upcoming) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+k-1], b[k*halfPanel-1]
	next = next.orBehind(unsafe.Pointer(&b[0]), 4*halfPanel)
	bf16x512xKernels[rows-1](&c[0], ldc, &a[0], lda, words(b), halfPanel, k, flag(accumulate), next.at, next.pace)
}

func tileHalves256(c []float32, ldc int, a []float32, lda, rows int, b []uint32, k int, accumulate bool, next upcoming) {
	_, _, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*lda+k-1], b[k*halfPanel-1]
	if rows <= len(bf16x256wideKernels) {
		bf16x256wideKernels[rows-1](&c[0], ldc, &a[0], lda, words(b), halfPanel, k, flag(accumulate), 0, 0)
		return
	}
	left, right := next.halves(k)
	left, right = left.orBehind(unsafe.Pointer(&b[0]), 4*halfPanel), right.orBehind(unsafe.Pointer(&b[0]), 4*halfPanel)
	bf16x256lowKernels[rows-1](&c[0], ldc, &a[0], lda, words(b), halfPanel, k, flag(accumulate), left.at, left.pace)
	bf16x256highKernels[rows-1](&c[Panel/2], ldc, &a[0], lda, words(b), halfPanel, k, flag(accumulate), right.at, right.pace)
}
