package tensor

import (
	"fmt"
	"unsafe"

	"refreekv/spelling"
)

// A DType names the format in which weights are held and multiplied. Activations,
// the KV cache and all sums are float32 in each.
type DType string

const (
	// Float32 is the reference.
	Float32 DType = "float32"
	// BFloat16 rounds weights to bfloat16 and multiplies what they widen to in
	// float32: weights that are bfloat16 in their file give the same bits as
	// Float32, in half the memory.
	BFloat16 DType = "bfloat16"
	// BFloat16Both rounds weights, and the activations they are multiplied with, to
	// bfloat16; sums are float32.
	BFloat16Both DType = "bfloat16-both"
	// Int8 rounds weights, and the activations they are multiplied with, to 8 bits
	// in blocks of 32 along k, each with a float32 scale.
	Int8 DType = "int8"
)

// DTypes lists all formats, the reference first.
func DTypes() []DType { return []DType{Float32, BFloat16, BFloat16Both, Int8} }

// ParseDType is the format of that name; an empty one is Float32.
func ParseDType(name string) (DType, error) {
	if name == "" {
		return Float32, nil
	}
	names := make([]string, len(DTypes()))
	for i, d := range DTypes() {
		if names[i] = string(d); names[i] == name {
			return d, nil
		}
	}
	return "", fmt.Errorf("%q is no dtype%s", name, spelling.OneOf(name, names))
}

// BytesPerWeight is the memory that a weight takes.
func (d DType) BytesPerWeight() float64 {
	switch d {
	case BFloat16, BFloat16Both:
		return 2
	case Int8:
		return 1 + 4./int8Block
	}
	return 4
}

// Weights are a matrix B[N][K] for products C = A·Bᵀ, held in one format, in panels
// of [Panel] columns of C.
type Weights struct {
	N, K  int
	dtype DType
	// What the format stores, the others nil.
	floats *Packed
	halves []uint32 // [panels][K][16]; of BFloat16Both K in whole pairs, in the order of the chain
	pairs  []uint32 // [panels][pairs of k][Panel]
	blocks []byte   // [panels][blocks of k][panelBlock]
}

// NewWeights returns a matrix of zeros in a format.
func NewWeights(n, k int, dtype DType) *Weights {
	w := &Weights{N: n, K: k, dtype: dtype}
	switch dtype {
	case BFloat16:
		w.halves = alignedWords(w.Panels() * k * halfPanel)
	case BFloat16Both:
		if pairKernels.tile != nil {
			w.pairs = alignedWords(w.Panels() * pairsOf(k) * Panel)
		} else {
			w.halves = alignedWords(w.Panels() * 2 * pairsOf(k) * halfPanel)
		}
	case Int8:
		w.blocks = newInt8(w.Panels() * int8Blocks(k))
	default:
		w.dtype, w.floats = Float32, NewPacked(n, k)
	}
	return w
}

// Panels is the number of panels.
func (w *Weights) Panels() int { return (w.N + Panel - 1) / Panel }

// SetRow sets row j to K values, rounded to the format.
func (w *Weights) SetRow(j int, row []float32) {
	switch w.dtype {
	case BFloat16:
		setHalves(w.halfPanel(j/Panel), j%Panel, row[:w.K])
	case BFloat16Both:
		if w.pairs != nil {
			setPairs(w.pairPanel(j/Panel), j%Panel, row[:w.K])
			return
		}
		chain := make([]float32, 2*pairsOf(w.K))
		chainOrder(chain, row[:w.K])
		setHalves(w.halfPanel(j/Panel), j%Panel, chain)
	case Int8:
		setInt8(w.panelBlocks(j/Panel), j%Panel, row[:w.K])
	default:
		w.floats.SetRow(j, row)
	}
}

// Row copies row j, K values as they are multiplied with, into dst.
func (w *Weights) Row(j int, dst []float32) {
	switch w.dtype {
	case BFloat16:
		getHalves(w.halfPanel(j/Panel), j%Panel, dst[:w.K])
	case BFloat16Both:
		if w.pairs != nil {
			getPairs(w.pairPanel(j/Panel), j%Panel, dst[:w.K])
			return
		}
		chain := make([]float32, 2*pairsOf(w.K))
		getHalves(w.halfPanel(j/Panel), j%Panel, chain)
		for k := range dst[:w.K] {
			dst[k] = chain[k^1]
		}
	case Int8:
		getInt8(w.panelBlocks(j/Panel), j%Panel, dst[:w.K])
	default:
		w.floats.Row(j, dst)
	}
}

// halfPanel is a panel in bfloat16.
func (w *Weights) halfPanel(panel int) []uint32 {
	size := len(w.halves) / w.Panels()
	return w.halves[panel*size : (panel+1)*size]
}

// pairPanel is a panel of pairs.
func (w *Weights) pairPanel(panel int) []uint32 {
	size := pairsOf(w.K) * Panel
	return w.pairs[panel*size : (panel+1)*size]
}

// panelBlocks are a panel's blocks in int8.
func (w *Weights) panelBlocks(panel int) []byte {
	size := int8Blocks(w.K) * panelBlock
	return w.blocks[panel*size : (panel+1)*size]
}

// An Input is the left side of a product, A[rows][K], as far as its weights' format
// wants it prepared. It belongs to one product at a time and keeps its space.
type Input struct {
	a         []float32
	lda, rows int
	blocks    []byte    // int8: [rows][blocks of k][activation block of the kernels]
	stride    int       // bytes from one row of blocks to the next
	width     int       // BFloat16Both: pairs of k
	pairs     []uint32  // [rows][width]
	chain     []float32 // without kernels for pairs, in their place: [rows][2·width]
}

// Input prepares a, [rows][K] with rows lda apart, for products with w. It refers
// to a, which must stay as it is until they are done.
func (w *Weights) Input(in *Input, a []float32, lda, rows int) *Input {
	in.a, in.lda, in.rows = a, lda, rows
	if rows > 0 && len(a) < (rows-1)*lda+w.K {
		panic(fmt.Sprintf("tensor: input of [%d][%d], %d apart, has %d values", rows, w.K, lda, len(a)))
	}
	switch w.dtype {
	case Int8:
		in.quantise(a, lda, w.K)
	case BFloat16Both:
		in.round(a, lda, w.K, w.pairs != nil)
	}
	return in
}

// quantise prepares the rows for int8.
func (in *Input) quantise(a []float32, lda, k int) {
	in.stride = int8Blocks(k) * int8Kernels.block
	if need := in.rows * in.stride; cap(in.blocks) < need {
		in.blocks = make([]byte, need)
	}
	in.blocks = in.blocks[:in.rows*in.stride]
	for r := range in.rows {
		quantise(in.blocks[r*in.stride:(r+1)*in.stride], a[r*lda:r*lda+k])
	}
}

// round prepares the rows for BFloat16Both, as pairs or in the order of the chain.
func (in *Input) round(a []float32, lda, k int, pairs bool) {
	n := pairsOf(k)
	in.width = n
	if pairs {
		if cap(in.pairs) < in.rows*n {
			in.pairs = alignedWords(in.rows * n)
		}
		in.pairs = in.pairs[:in.rows*n]
		for r := range in.rows {
			pairKernels.round(in.pairs[r*n:(r+1)*n], a[r*lda:r*lda+k])
		}
		return
	}
	if cap(in.chain) < in.rows*2*n {
		in.chain = make([]float32, in.rows*2*n)
	}
	in.chain = in.chain[:in.rows*2*n]
	for r := range in.rows {
		chainOrder(in.chain[r*2*n:(r+1)*2*n], a[r*lda:r*lda+k])
	}
}

// Mul computes C = A·Bᵀ for the columns of panels [from, to): c is [rows][N] with
// rows ldc apart, of which only those columns are written. It runs on the calling
// goroutine.
func (w *Weights) Mul(c []float32, ldc int, in *Input, from, to int) { w.mul(c, ldc, 0, in, from, to) }

// MulPanels is [Weights.Mul] for a c that holds nothing but the columns of panels
// [from, to): [rows][(to-from)·Panel] with rows ldc apart.
func (w *Weights) MulPanels(c []float32, ldc int, in *Input, from, to int) {
	w.mul(c, ldc, from*Panel, in, from, to)
}

// mul multiplies panels [from, to); c begins at column left.
func (w *Weights) mul(c []float32, ldc, left int, in *Input, from, to int) {
	if w.dtype == Float32 {
		w.floats.mul(c, ldc, left, in.a, in.lda, in.rows, 0, w.K, from, to, false)
		return
	}
	if in.rows == 0 || from >= to {
		return
	}
	if last := min(to*Panel, w.N) - left; to > w.Panels() || len(c) < (in.rows-1)*ldc+last {
		panic(fmt.Sprintf("tensor: product of %d rows with panels %d to %d of %d into %d values, %d apart", in.rows, from, to, w.Panels(), len(c), ldc))
	}
	most := tileRows
	if w.dtype == Int8 {
		most = int8Kernels.rows
	}
	for panel := from; panel < to; panel++ {
		column, width := panel*Panel-left, min(Panel, w.N-panel*Panel)
		eachRowBlock(in.rows, most, func(r, rows int) {
			if width == Panel {
				w.tile(c[r*ldc+column:], ldc, in, r, rows, panel)
				return
			}
			var scratch [mostRows * Panel]float32
			w.tile(scratch[:], Panel, in, r, rows, panel)
			for i := range rows {
				copy(c[(r+i)*ldc+column:][:width], scratch[i*Panel:])
			}
		})
	}
}

// tile multiplies a few rows of the input with a panel.
func (w *Weights) tile(c []float32, ldc int, in *Input, from, rows, panel int) {
	switch w.dtype {
	case BFloat16Both:
		w.partTile(c, ldc, in, from, rows, panel, 0, false)
	case Int8:
		b := w.panelBlocks(panel)
		next := share(unsafe.Pointer(&b[0]), len(b)/int8Pace, int8Pace, from, rows, in.rows)
		int8Kernels.tile(c, ldc, in.blocks[from*in.stride:], in.stride, rows, b, next)
	default:
		half := w.halfPanel(panel)
		next := share(unsafe.Pointer(&half[0]), w.K, 4*halfPanel, from, rows, in.rows)
		tileHalves(c, ldc, in.a[from*in.lda:], in.lda, rows, half, w.K, false, next)
	}
}

// MulPart is C = A·Bᵀ with the k columns of B from first on only, in float32
// whatever the format: a is [m][k] with rows lda apart, c [m][N] with rows ldc apart.
func (w *Weights) MulPart(c []float32, ldc int, a []float32, lda, m, first, k int) {
	if w.dtype == Float32 {
		w.floats.MulPart(c, ldc, a, lda, m, first, k, 0, w.Panels(), false)
		return
	}
	part, row := NewPacked(Panel, k), make([]float32, w.K)
	wide := make([]float32, m*Panel)
	for panel := range w.Panels() {
		width := min(Panel, w.N-panel*Panel)
		for j := range width {
			w.Row(panel*Panel+j, row)
			part.SetRow(j, row[first:first+k])
		}
		part.Mul(wide, Panel, a, lda, m, 0, 1, false)
		for i := range m {
			copy(c[i*ldc+panel*Panel:][:width], wide[i*Panel:])
		}
	}
}
