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
)

// TileRows is how many rows of a product are worth a task of their own: whole
// tiles of the kernels in use. Work is best handed out in multiples of it.
func TileRows() int { return taskRows }

// Level names the instruction set of the kernels in use: avx512, avx2 or go.
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
	const line = 16
	buf := make([]float32, capacity+line)
	skip := 0
	if off := uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % 64; off != 0 {
		skip = int(64-off) / 4
	}
	return buf[skip : skip+n : skip+capacity]
}
