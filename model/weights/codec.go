package weights

import (
	"encoding/binary"
	"math"
)

// A codec turns stored blocks into float32. The block formats are those of
// ggml; values come out bit for bit as the gguf Python package gives them, so
// every step rounds to float32.
type codec struct {
	values int // values per block
	bytes  int // bytes per block
	read   func(dst []float32, src []byte)
}

const supportedTypes = "F32, F16, BF16, and in GGUF also Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K"

var codecs = map[string]*codec{
	"F32":  {1, 4, readF32},
	"F16":  {1, 2, readF16},
	"BF16": {1, 2, readBF16},
	"Q8_0": {32, 34, blocks(32, 34, blockQ8_0)},
	"Q4_0": {32, 18, blocks(32, 18, blockQ4_0)},
	"Q4_1": {32, 20, blocks(32, 20, blockQ4_1)},
	"Q5_0": {32, 22, blocks(32, 22, blockQ5_0)},
	"Q5_1": {32, 24, blocks(32, 24, blockQ5_1)},
	"Q4_K": {256, 144, blocks(256, 144, blockQ4K)},
	"Q5_K": {256, 176, blocks(256, 176, blockQ5K)},
	"Q6_K": {256, 210, blocks(256, 210, blockQ6K)},
}

func blocks(values, size int, block func(dst []float32, b []byte)) func([]float32, []byte) {
	return func(dst []float32, src []byte) {
		for len(dst) >= values {
			block(dst[:values], src[:size])
			dst, src = dst[values:], src[size:]
		}
	}
}

func readF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func readBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

func readF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = half(src[2*i:])
	}
}

// half reads an IEEE 754 half-precision number.
func half(b []byte) float32 {
	h := uint32(binary.LittleEndian.Uint16(b))
	sign, exponent, fraction := h>>15<<31, h>>10&31, h&1023
	switch exponent {
	case 0: // zero or subnormal
		f := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 31: // infinity or NaN
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// blockQ8_0: scale, 32 signed bytes.
func blockQ8_0(dst []float32, b []byte) {
	d := half(b)
	for i := range dst {
		dst[i] = d * float32(int8(b[2+i]))
	}
}

// blockQ4_0: scale, 32 nibbles minus 8.
func blockQ4_0(dst []float32, b []byte) {
	d := half(b)
	for i := range 16 {
		dst[i] = d * float32(int(b[2+i]&15)-8)
		dst[16+i] = d * float32(int(b[2+i]>>4)-8)
	}
}

// blockQ4_1: scale, minimum, 32 nibbles.
func blockQ4_1(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	for i := range 16 {
		dst[i] = float32(d*float32(b[4+i]&15)) + m
		dst[16+i] = float32(d*float32(b[4+i]>>4)) + m
	}
}

// blockQ5_0: scale, 32 fifth bits, 32 nibbles; minus 16.
func blockQ5_0(dst []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint32(b[2:])
	for i := range 16 {
		dst[i] = d * float32(int(uint32(b[6+i]&15)|high>>i&1<<4)-16)
		dst[16+i] = d * float32(int(uint32(b[6+i]>>4)|high>>(16+i)&1<<4)-16)
	}
}

// blockQ5_1: scale, minimum, 32 fifth bits, 32 nibbles.
func blockQ5_1(dst []float32, b []byte) {
	d, m, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i := range 16 {
		dst[i] = float32(d*float32(uint32(b[8+i]&15)|high>>i&1<<4)) + m
		dst[16+i] = float32(d*float32(uint32(b[8+i]>>4)|high>>(16+i)&1<<4)) + m
	}
}

// scaleMin unpacks the six-bit scale and minimum of sub-block j of 8.
func scaleMin(j int, s []byte) (scale, minimum uint8) {
	if j < 4 {
		return s[j] & 63, s[j+4] & 63
	}
	return s[j+4]&15 | s[j-4]>>6<<4, s[j+4]>>4 | s[j]>>6<<4
}

// blockQ4K: scale of scales, scale of minima, 8 scales and minima of six bits,
// 256 nibbles in 8 sub-blocks.
func blockQ4K(dst []float32, b []byte) {
	d, dmin, scales, q := half(b), half(b[2:]), b[4:16], b[16:]
	for j := range 8 {
		sc, mn := scaleMin(j, scales)
		scale, least := d*float32(sc), dmin*float32(mn)
		shift := 4 * (j % 2)
		for i := range 32 {
			dst[32*j+i] = float32(scale*float32(q[j/2*32+i]>>shift&15)) - least
		}
	}
}

// blockQ5K: as blockQ4K with 256 fifth bits between scales and nibbles.
func blockQ5K(dst []float32, b []byte) {
	d, dmin, scales, high, q := half(b), half(b[2:]), b[4:16], b[16:48], b[48:]
	for j := range 8 {
		sc, mn := scaleMin(j, scales)
		scale, least := d*float32(sc), dmin*float32(mn)
		shift := 4 * (j % 2)
		for i := range 32 {
			v := q[j/2*32+i]>>shift&15 | high[i]>>j&1<<4
			dst[32*j+i] = float32(scale*float32(v)) - least
		}
	}
}

// blockQ6K: 256 low nibbles, 256 pairs of high bits, 16 signed scales, scale of
// scales; minus 32.
func blockQ6K(dst []float32, b []byte) {
	low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
	for part := range 2 {
		for i := range 32 {
			l, h := low[64*part:], high[32*part+i]
			q := [4]int{
				int(l[i]&15 | h&3<<4), int(l[32+i]&15 | h>>2&3<<4),
				int(l[i]>>4 | h>>4&3<<4), int(l[32+i]>>4 | h>>6<<4),
			}
			for k, v := range q {
				scale := d * float32(int8(scales[8*part+2*k+i/16]))
				dst[128*part+32*k+i] = scale * float32(v-32)
			}
		}
	}
}
