package tensor

import "unsafe"

// Bytes of a block of activations: values of one byte or of two, scale and start.
const (
	byteBlock = int8Block + 8
	wordBlock = 2*int8Block + 8
)

var (
	int8x512 = int8Set{rows: len(int8x512xKernels), block: byteBlock, tile: int8Tile512, quantise: quantise512}
	int8x256 = int8Set{rows: len(int8x256xKernels), block: wordBlock, tile: int8Tile256, quantise: quantise256}
)

//go:noescape
func quantise512asm(dst *byte, x *float32, blocks int)

//go:noescape
func quantise256asm(dst *byte, x *float32, blocks int)

func quantise512(dst []byte, x []float32) {
	_ = dst[len(x)/int8Block*byteBlock-1]
	quantise512asm(&dst[0], &x[0], len(x)/int8Block)
}

func quantise256(dst []byte, x []float32) {
	_ = dst[len(x)/int8Block*wordBlock-1]
	quantise256asm(&dst[0], &x[0], len(x)/int8Block)
}

func int8Tile512(c []float32, ldc int, a []byte, stride, rows int, b []byte, next upcoming) {
	_, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*stride+len(b)/panelBlock*byteBlock-1]
	next = next.orBehind(unsafe.Pointer(&b[0]), int8Pace)
	int8x512xKernels[rows-1](&c[0], ldc, &a[0], stride, &b[0], len(b)/panelBlock, next.at, next.pace)
}

// int8Tile256 takes 8 columns at a time, which stand 32 bytes apart in the scales
// and in every four of k.
func int8Tile256(c []float32, ldc int, a []byte, stride, rows int, b []byte, _ upcoming) {
	_, _ = c[(rows-1)*ldc+Panel-1], a[(rows-1)*stride+len(b)/panelBlock*wordBlock-1]
	for j := 0; j < Panel; j += 8 {
		int8x256xKernels[rows-1](&c[j], ldc, &a[0], stride, &b[4*j], len(b)/panelBlock, 0, 0)
	}
}
