//go:build amd64 || arm64

package tensor

import (
	"math"
	"unsafe"
)

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// words passes a bfloat16 panel to a kernel.
func words(b []uint32) *float32 { return (*float32)(unsafe.Pointer(unsafe.SliceData(b))) }

// int8Constants are what the quantising kernels load.
//
//lint:ignore U1000 read by the assembly only
var int8Constants = [...]uint32{
	math.Float32bits(int8Most), math.Float32bits(1. / int8Most), math.Float32bits(int8Least), math.Float32bits(float32(math.NaN())), 1<<31 - 1,
}
