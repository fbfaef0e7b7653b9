package tensor

import (
	"encoding/binary"
	"math"
)

// int8Block is how many values along k share a scale.
const int8Block = 32

// A block of a panel: a float32 scale for every column, then for every four of k
// four bytes of every column, each with 128 added, so that they are unsigned.
const (
	panelScales = 4 * Panel
	panelBlock  = panelScales + int8Block*Panel
)

// int8Blocks is how many blocks k values take.
func int8Blocks(k int) int { return (k + int8Block - 1) / int8Block }

// int8Set are the int8 kernels of one instruction set. A block of activations is
// int8Block values, of one byte or of two, then the float32 scale and the int32 at
// which the sum of a block starts: -128 times the sum of its values, since weights
// are stored with 128 added.
type int8Set struct {
	rows  int // rows that tile takes at most
	block int // bytes of a block of activations
	// tile sets c, [rows][Panel], to the product of rows of blocks, stride bytes
	// apart, with a panel.
	tile func(c []float32, ldc int, a []byte, stride, rows int, b []byte, next upcoming)
	// quantise rounds whole blocks of x.
	quantise func(dst []byte, x []float32)
}

var int8Go = int8Set{rows: 6, block: int8Block + 8, tile: int8TileGo, quantise: quantiseGo}

// int8Kernels are those in use.
var int8Kernels = int8Go

// newInt8 returns so many blocks of zeros.
func newInt8(blocks int) []byte {
	out := alignedBytes(blocks * panelBlock)
	for i := range blocks {
		values := out[i*panelBlock+panelScales : (i+1)*panelBlock]
		for j := range values {
			values[j] = 128
		}
	}
	return out
}

// setInt8 rounds a row of weights to a column of a panel.
func setInt8(panel []byte, column int, row []float32) {
	for at := 0; at < len(row); at += int8Block {
		block := panel[at/int8Block*panelBlock:][:panelBlock]
		values := row[at:min(at+int8Block, len(row))]
		scale, inverse := int8Scale(values)
		binary.LittleEndian.PutUint32(block[4*column:], math.Float32bits(scale))
		for i, v := range values {
			block[panelScales+i/4*4*Panel+4*column+i%4] = byte(int8Round(v, inverse) + 128)
		}
	}
}

// getInt8 is the reverse of setInt8, up to rounding.
func getInt8(panel []byte, column int, row []float32) {
	for i := range row {
		block := panel[i/int8Block*panelBlock:][:panelBlock]
		value := int(block[panelScales+i%int8Block/4*4*Panel+4*column+i%4]) - 128
		row[i] = float32(value) * math.Float32frombits(binary.LittleEndian.Uint32(block[4*column:]))
	}
}

const (
	int8Most = 127
	// int8Least is the largest absolute value of a block up to which it counts as
	// zero: its inverse would overflow.
	int8Least = 0x1p-110
)

// int8Scale is the scale of a block and its inverse. A block with a value that is
// not finite has the scale NaN, which the product then shows.
func int8Scale(x []float32) (scale, inverse float32) {
	most, finite := float32(0), true
	for _, v := range x {
		finite = finite && v-v == 0
		most = max(most, absolute(v))
	}
	if !finite {
		return float32(math.NaN()), 0
	}
	if most < int8Least {
		return 0, 0
	}
	return most * (1. / int8Most), int8Most / most
}

// int8Round is x in units of a scale, to the nearest, ties to even.
func int8Round(x, inverse float32) int {
	if inverse == 0 {
		return 0
	}
	return int(math.RoundToEven(float64(x * inverse)))
}

// quantise rounds a row of activations, whose last block may be part of one.
func quantise(dst []byte, x []float32) {
	whole := len(x) / int8Block
	if whole > 0 {
		int8Kernels.quantise(dst, x[:whole*int8Block])
	}
	if whole*int8Block < len(x) {
		var rest [int8Block]float32
		copy(rest[:], x[whole*int8Block:])
		int8Kernels.quantise(dst[whole*int8Kernels.block:], rest[:])
	}
}

// quantiseGo is the plain twin of the kernels that round activations to bytes.
func quantiseGo(dst []byte, x []float32) {
	for at := 0; at < len(x); at += int8Block {
		block, values := dst[at/int8Block*(int8Block+8):], x[at:at+int8Block]
		scale, inverse := int8Scale(values)
		sum := 0
		for i, v := range values {
			q := int8Round(v, inverse)
			block[i] = byte(int8(q))
			sum += q
		}
		binary.LittleEndian.PutUint32(block[int8Block:], math.Float32bits(scale))
		binary.LittleEndian.PutUint32(block[int8Block+4:], uint32(-128*sum))
	}
}

// int8TileGo is the plain twin of the int8 kernels: per block an exact integer sum,
// whose product with both scales is added by a fused multiply-add, blocks ascending.
func int8TileGo(c []float32, ldc int, a []byte, stride, rows int, b []byte, _ upcoming) {
	for r := range rows {
		out := c[r*ldc:][:Panel]
		clear(out)
		for at := 0; at < len(b); at += panelBlock {
			block, values := b[at:at+panelBlock], a[r*stride+at/panelBlock*(int8Block+8):][:int8Block+8]
			scale := math.Float32frombits(binary.LittleEndian.Uint32(values[int8Block:]))
			start := int32(binary.LittleEndian.Uint32(values[int8Block+4:]))
			for j := range out {
				sum := start
				for i := range int8Block {
					sum += int32(block[panelScales+i/4*4*Panel+4*j+i%4]) * int32(int8(values[i]))
				}
				both := scale * math.Float32frombits(binary.LittleEndian.Uint32(block[4*j:]))
				out[j] = fma(float32(sum), both, out[j])
			}
		}
	}
}
