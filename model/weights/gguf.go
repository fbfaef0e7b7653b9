package weights

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

const ggufMagic = "GGUF"

// Value types of GGUF metadata.
const (
	ggufU8 = iota
	ggufI8
	ggufU16
	ggufI16
	ggufU32
	ggufI32
	ggufF32
	ggufBool
	ggufString
	ggufArray
	ggufU64
	ggufI64
	ggufF64
)

// ggufWidths are the bytes of the value types of fixed size.
var ggufWidths = map[uint32]int{
	ggufU8: 1, ggufI8: 1, ggufU16: 2, ggufI16: 2, ggufU32: 4, ggufI32: 4, ggufF32: 4, ggufBool: 1, ggufU64: 8, ggufI64: 8, ggufF64: 8,
}

// ggufTypes are the tensor types by number; those without a codec are named in
// errors.
var ggufTypes = map[uint32]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
	10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS",
	18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
	24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}

// A cursor reads little-endian values from a file's header; after the first
// failure all reads give zero.
type cursor struct {
	all []byte
	at  int
	err error
}

func (c *cursor) left() uint64 { return uint64(len(c.all) - c.at) }

// need fails where fewer bytes are left.
func (c *cursor) need(n uint64) {
	switch {
	case c.err != nil || n <= c.left():
	case len(c.all) == mostHeader:
		c.err = fmt.Errorf("the header is longer than %d MB", mostHeader/1_000_000)
	default:
		c.err = errors.New("the file ends in the middle of its header")
	}
}

func (c *cursor) bytes(n uint64) []byte {
	if c.need(n); c.err != nil {
		return nil
	}
	out := c.all[c.at : c.at+int(n)]
	c.at += int(n)
	return out
}

func (c *cursor) u32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) text() string { return string(c.bytes(c.u64())) }

// readGGUF reads header, metadata and tensor table of a GGUF file, version 2 or
// 3, little-endian.
func (f *File) readGGUF(data []byte) error {
	c := &cursor{all: data[:min(len(data), mostHeader)], at: len(ggufMagic)}
	version, tensors, pairs := c.u32(), c.u64(), c.u64()
	if c.err != nil {
		return c.err
	}
	if version != 2 && version != 3 {
		return fmt.Errorf("GGUF version %d is not supported; supported: 2 and 3, little-endian", version)
	}
	// A pair takes at least 12 bytes, a tensor's entry at least 24.
	if pairs > c.left()/12 || tensors > c.left()/24 {
		return fmt.Errorf("the header speaks of %d values and %d tensors, more than the file can hold", pairs, tensors)
	}
	f.Meta = make(map[string]any)
	for range pairs {
		key := c.text()
		value, err := c.value(c.u32(), 0)
		if err != nil {
			return fmt.Errorf("metadata %q: %w", key, err)
		}
		if _, twice := f.Meta[key]; twice {
			return fmt.Errorf("metadata %q stands in the file twice", key)
		}
		f.Meta[key] = value
	}
	var entries []ggufTensor
	for range tensors {
		e, err := c.tensor()
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	if c.err != nil {
		return c.err
	}
	return f.placeTensors(data, c.at, entries)
}

// value reads one metadata value; numbers become int64, uint64 or float64.
func (c *cursor) value(kind uint32, depth int) (any, error) {
	if width, ok := ggufWidths[kind]; ok {
		b := c.bytes(uint64(width))
		if b == nil {
			return nil, c.err
		}
		return number(kind, b), nil
	}
	switch kind {
	case ggufString:
		s := c.text()
		return s, c.err
	case ggufArray:
		if depth > 3 {
			return nil, errors.New("arrays nest too deeply")
		}
		return c.array(depth)
	}
	return nil, fmt.Errorf("value type %d is unknown", kind)
}

func number(kind uint32, b []byte) any {
	switch kind {
	case ggufU8:
		return int64(b[0])
	case ggufI8:
		return int64(int8(b[0]))
	case ggufBool:
		return b[0] != 0
	case ggufU16:
		return int64(binary.LittleEndian.Uint16(b))
	case ggufI16:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case ggufU32:
		return int64(binary.LittleEndian.Uint32(b))
	case ggufI32:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case ggufF32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case ggufU64:
		return binary.LittleEndian.Uint64(b)
	case ggufI64:
		return int64(binary.LittleEndian.Uint64(b))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// array reads an array; one of strings or numbers gets a slice of its type,
// others []any.
func (c *cursor) array(depth int) (any, error) {
	kind, n := c.u32(), c.u64()
	least := uint64(8)
	if width, ok := ggufWidths[kind]; ok {
		least = uint64(width)
	}
	if hi, size := bits.Mul64(n, least); hi > 0 {
		c.need(math.MaxUint64)
	} else {
		c.need(size)
	}
	if c.err != nil {
		return nil, c.err
	}
	switch kind {
	case ggufString:
		return collect[string](c, kind, n, depth)
	case ggufBool:
		return collect[bool](c, kind, n, depth)
	case ggufF32, ggufF64:
		return collect[float64](c, kind, n, depth)
	case ggufU64:
		return collect[uint64](c, kind, n, depth)
	case ggufArray:
		return collect[any](c, kind, n, depth)
	}
	return collect[int64](c, kind, n, depth)
}

func collect[T any](c *cursor, kind uint32, n uint64, depth int) (any, error) {
	out := make([]T, 0, n)
	for range n {
		v, err := c.value(kind, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v.(T))
	}
	return out, nil
}

type ggufTensor struct {
	name   string
	shape  []int
	kind   uint32
	offset uint64
}

func (c *cursor) tensor() (ggufTensor, error) {
	e := ggufTensor{name: c.text()}
	dims := c.u32()
	if c.err == nil && dims > 8 {
		return e, fmt.Errorf("tensor %q has %d dimensions, at most 8 make sense", e.name, dims)
	}
	for range dims {
		n := c.u64()
		if n > math.MaxInt32 {
			return e, fmt.Errorf("tensor %q: dimension %d is too large", e.name, n)
		}
		// GGUF names the innermost dimension first.
		e.shape = append([]int{int(n)}, e.shape...)
	}
	e.kind, e.offset = c.u32(), c.u64()
	return e, c.err
}

// placeTensors finds each tensor's bytes behind the header.
func (f *File) placeTensors(data []byte, header int, entries []ggufTensor) error {
	alignment := uint64(32)
	if v, ok := f.Meta["general.alignment"].(int64); ok {
		alignment = uint64(v)
	}
	if alignment == 0 || alignment&(alignment-1) != 0 || alignment > 1<<20 {
		return fmt.Errorf("alignment %d is no power of two", alignment)
	}
	start := (uint64(header) + alignment - 1) &^ (alignment - 1)
	for _, e := range entries {
		name, ok := ggufTypes[e.kind]
		if !ok {
			name = fmt.Sprintf("number %d", e.kind)
		}
		t := &Tensor{Name: e.name, Shape: e.shape, Type: name, codec: codecs[name]}
		n, err := elements(e.shape)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", e.name, err)
		}
		if e.offset%alignment != 0 || e.offset > uint64(len(data)) || start+e.offset > uint64(len(data)) {
			return fmt.Errorf("tensor %q: offset %d is not aligned to %d or lies outside the file", e.name, e.offset, alignment)
		}
		rest := data[start+e.offset:]
		if t.codec != nil {
			if t.Cols()%t.codec.values != 0 {
				return fmt.Errorf("tensor %q: rows of %d do not divide into blocks of %d", e.name, t.Cols(), t.codec.values)
			}
			size := uint64(n/t.codec.values) * uint64(t.codec.bytes)
			if size > uint64(len(rest)) {
				return fmt.Errorf("tensor %q: %d bytes are left of the %d it needs; the file is cut short", e.name, len(rest), size)
			}
			rest = rest[:size]
		}
		t.data = rest
		if err := f.add(t); err != nil {
			return err
		}
	}
	return f.checkSpans(entries, uint64(len(data))-min(start, uint64(len(data))), alignment)
}

// checkSpans refuses tensors that begin inside another one's bytes, and bytes
// behind the last one: size is that of all of them. The gaps that alignment
// leaves are no fault; tensors of unknown size are not looked at.
func (f *File) checkSpans(entries []ggufTensor, size, alignment uint64) error {
	slices.SortStableFunc(entries, func(a, b ggufTensor) int { return cmp.Compare(a.offset, b.offset) })
	end, last, known := uint64(0), "", true
	for _, e := range entries {
		t := f.tensors[e.name]
		if t.codec == nil {
			known = false
		}
		if t.codec == nil || len(t.data) == 0 {
			continue
		}
		if e.offset < end {
			return fmt.Errorf("tensor %q begins at byte %d, inside tensor %q", e.name, e.offset, last)
		}
		end, last = e.offset+uint64(len(t.data)), e.name
	}
	if known && size >= end+alignment {
		return fmt.Errorf("%d bytes follow the last tensor: this is no whole GGUF file", size-end)
	}
	return nil
}
