package model

import (
	"encoding/binary"
	"math"
	"slices"
)

// An encoding writes values as one type of file stores them.
type encoding struct {
	name   string // of the type
	number uint32 // GGUF's for it
	encode func([]float32) []byte
}

// encodings are F32, the other types that safetensors knows too, and ggml's of 32
// values a block, quantised as its reference code does.
var encodings = []encoding{
	{"F32", 0, func(v []float32) (out []byte) {
		for _, x := range v {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		}
		return out
	}},
	{"F16", 1, func(v []float32) (out []byte) {
		for _, x := range v {
			out = binary.LittleEndian.AppendUint16(out, halfBits(x))
		}
		return out
	}},
	{"BF16", 30, func(v []float32) (out []byte) { // cut, not rounded
		for _, x := range v {
			out = binary.LittleEndian.AppendUint16(out, uint16(math.Float32bits(x)>>16))
		}
		return out
	}},
	{"Q8_0", 8, func(v []float32) (out []byte) {
		for block := range slices.Chunk(v, 32) {
			d := float32(math.Abs(float64(furthest(block)))) / 127
			out = binary.LittleEndian.AppendUint16(out, halfBits(d))
			for _, x := range block {
				out = append(out, byte(int8(math.Round(float64(x*inverse(d))))))
			}
		}
		return out
	}},
	{"Q4_0", 2, quantiser(4, false)},
	{"Q4_1", 3, quantiser(4, true)},
	{"Q5_0", 6, quantiser(5, false)},
	{"Q5_1", 7, quantiser(5, true)},
}

// halfBits rounds a number to half precision, to even where it is halfway.
func halfBits(x float32) uint16 {
	bits := math.Float32bits(x)
	sign, size := uint16(bits>>16&0x8000), bits&^(1<<31)
	switch value := float64(math.Float32frombits(size)); {
	case value >= 65520:
		return sign | 0x7C00
	case value < 1.0/(1<<14): // subnormal
		return sign | uint16(math.RoundToEven(value*(1<<24)))
	}
	return sign | uint16((size+0xFFF+size>>13&1)>>13-112<<10)
}

// furthest is the value furthest from zero.
func furthest(v []float32) float32 {
	return slices.MaxFunc(v, func(a, b float32) int { return int(math.Copysign(1, math.Abs(float64(a))-math.Abs(float64(b)))) })
}

func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

// quantiser writes 32 values a block in 4 or 5 bits, with the smallest value, or
// from the value furthest from zero.
func quantiser(bits int, minimum bool) func([]float32) []byte {
	levels := 1 << bits
	return func(v []float32) (out []byte) {
		for block := range slices.Chunk(v, 32) {
			d, low, half := furthest(block)/float32(-levels/2), float32(0), float32(levels/2)+0.5
			if minimum {
				low, half = slices.Min(block), 0.5
				d = (slices.Max(block) - low) / float32(levels-1)
			}
			out = binary.LittleEndian.AppendUint16(out, halfBits(d))
			if minimum {
				out = binary.LittleEndian.AppendUint16(out, halfBits(low))
			}
			var quants [32]byte
			high := uint32(0)
			for i, x := range block {
				quants[i] = byte(min(int(float32((x-low)*inverse(d))+half), levels-1))
				high |= uint32(quants[i]>>4) << i
			}
			if bits == 5 {
				out = binary.LittleEndian.AppendUint32(out, high)
			}
			for i := range 16 {
				out = append(out, quants[i]&15|quants[16+i]<<4)
			}
		}
		return out
	}
}
