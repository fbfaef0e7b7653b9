package tensor

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"unsafe"
)

// The kernels in use; set once at start.
var (
	level    = "go"
	tile     = tileGo
	tileRows = mostRows // rows that tile takes at most
	taskRows = mostRows
	// tileHalves is tile for a bfloat16 panel.
	tileHalves = tileHalvesGo
)

// TileRows is how many rows of a product are worth a task of their own: whole
// tiles of the kernels in use. Work is best handed out in multiples of it.
func TileRows() int { return taskRows }

// Level names the instruction set of the kernels in use: avx512, avx2, neon or go.
// The environment variable REFREEKV_KERNELS forces one.
func Level() string { return level }

func init() {
	levels := available()
	choice := levels[0]
	if forced := os.Getenv("REFREEKV_KERNELS"); forced != "" {
		if slices.Contains(levels, forced) {
			choice = forced
		} else {
			slog.Warn("REFREEKV_KERNELS asks for kernels that this machine lacks", "asked", forced, "available", strings.Join(levels, " "), "used", choice)
		}
	}
	use(choice)
}

// aligned returns a slice of zeros that begins on a cache line.
func aligned(n, capacity int) []float32 {
	return view[float32](alignedBytes(4 * capacity))[:n]
}

// alignedWords is aligned for words of 32 bits.
func alignedWords(n int) []uint32 { return view[uint32](alignedBytes(4 * n)) }

// alignedBytes is aligned for bytes.
func alignedBytes(n int) []byte {
	const line = 64
	buf := make([]byte, n+line)
	skip := 0
	if off := uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % line; off != 0 {
		skip = int(line - off)
	}
	return buf[skip : skip+n : skip+n]
}

// view is bytes that begin on a cache line as values of four bytes.
func view[T float32 | uint32](b []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}
