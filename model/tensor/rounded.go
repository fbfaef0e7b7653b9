package tensor

import (
	"fmt"
	"unsafe"
)

// A RoundedHead holds keys and values of a KV head, rounded for products in which
// queries and attention weights are rounded likewise, as in [BFloat16Both]. It belongs
// to the kernels in use when it was made.
type RoundedHead struct {
	keys   *Weights // [tokens][dim]
	values *Weights // [dim][tokens]
}

// NewRoundedHead returns a head of zeros for so many tokens.
func NewRoundedHead(tokens, dim int) *RoundedHead {
	tokens = (tokens + Panel - 1) / Panel * Panel
	return &RoundedHead{NewWeights(tokens, dim, BFloat16Both), NewWeights(dim, tokens, BFloat16Both)}
}

// Tokens is how many tokens there is room for.
func (h *RoundedHead) Tokens() int { return h.keys.N }

// Set rounds positions [from, to) of keys, [tokens][dim], and values, [tokens][dim].
// from is the start of a panel.
func (h *RoundedHead) Set(keys *Packed, values []float32, from, to int) {
	dim := h.keys.K
	if from%Panel != 0 || to > h.Tokens() || to > keys.N || keys.K != dim || len(values) < to*dim {
		panic(fmt.Sprintf("tensor: positions %d to %d of keys [%d][%d] and %d values into a rounded head of %d tokens of %d", from, to, keys.N, keys.K, len(values), h.Tokens(), dim))
	}
	none := make([]float32, max(dim, Panel)) // the other half of a pair that is not full
	for panel := from / Panel; panel*Panel < to; panel++ {
		columns := keys.data[panel*Panel*dim:][:Panel*dim]
		for k := 0; k < dim; k += 2 {
			odd := none[:Panel]
			if k+1 < dim {
				odd = columns[(k+1)*Panel:][:Panel]
			}
			h.keys.setPair(panel, k, columns[k*Panel:][:Panel], odd)
		}
	}
	for pos := from; pos < to; pos += 2 {
		even, odd := values[pos*dim:][:dim], none[:dim]
		if pos+1 < to {
			odd = values[(pos+1)*dim:][:dim]
		}
		for panel := 0; panel*Panel < dim; panel++ {
			end := min((panel+1)*Panel, dim)
			h.values.setPair(panel, pos, even[panel*Panel:end], odd[panel*Panel:end])
		}
	}
}

// Scores sets the columns of panels [from, to) of c, [rows][tokens] with rows ldc
// apart, to the products of queries q, [rows][dim], with the keys.
func (h *RoundedHead) Scores(c []float32, ldc int, in *Input, q []float32, rows, from, to int) {
	h.keys.Mul(c, ldc, h.keys.Input(in, q, h.keys.K, rows), from, to)
}

// MulValues computes C = A·V, or C += A·V with accumulate, for the values of positions
// [first, first+n), first being even: a is [rows][n] with rows lda apart, c
// [rows][dim].
func (h *RoundedHead) MulValues(c []float32, in *Input, a []float32, lda, rows, first, n int, accumulate bool) {
	w := h.values
	if first%2 != 0 || first+n > w.K || len(a) < (rows-1)*lda+n || len(c) < rows*w.N {
		panic(fmt.Sprintf("tensor: product of [%d][%d] (of %d, %d apart) with values from %d of %d into %d", rows, n, len(a), lda, first, w.K, len(c)))
	}
	in.rows = rows
	in.round(a, lda, n, w.pairs != nil)
	for panel := range w.Panels() {
		width := min(Panel, w.N-panel*Panel)
		eachRowBlock(rows, tileRows, func(r, count int) {
			out := c[r*w.N+panel*Panel:]
			if width == Panel {
				w.partTile(out, w.N, in, r, count, panel, first/2, accumulate)
				return
			}
			var scratch [mostRows * Panel]float32
			if accumulate {
				for i := range count {
					copy(scratch[i*Panel:][:width], out[i*w.N:])
				}
			}
			w.partTile(scratch[:], Panel, in, r, count, panel, first/2, accumulate)
			for i := range count {
				copy(out[i*w.N:][:width], scratch[i*Panel:])
			}
		})
	}
}

// partTile multiplies a few rows of the input with part of a panel of BFloat16Both,
// from a pair of k on.
func (w *Weights) partTile(c []float32, ldc int, in *Input, from, rows, panel, pair int, accumulate bool) {
	n := in.width
	if w.pairs != nil {
		b := w.pairPanel(panel)[pair*Panel:][:n*Panel]
		next := share(unsafe.Pointer(&b[0]), n, 4*Panel, from, rows, in.rows)
		pairKernels.tile(c, ldc, in.pairs[from*n:], n, rows, b, n, accumulate, next)
		return
	}
	half := w.halfPanel(panel)[2*pair*halfPanel:][:2*n*halfPanel]
	next := share(unsafe.Pointer(&half[0]), 2*n, 4*halfPanel, from, rows, in.rows)
	tileHalves(c, ldc, in.chain[from*2*n:], 2*n, rows, half, 2*n, accumulate, next)
}

// setPair sets k and k+1 of a panel's columns, k being even.
func (w *Weights) setPair(panel, k int, even, odd []float32) {
	if w.pairs != nil {
		pairKernels.two(w.pairPanel(panel)[k/2*Panel:], even, odd)
		return
	}
	// In the order of the chain the odd one comes first; see halfPanel for the halves.
	for i, row := range [][]float32{odd, even} {
		words := w.halfPanel(panel)[(k+i)*halfPanel:][:halfPanel]
		for j := range words {
			word := uint32(0)
			if j < len(row) {
				word = uint32(roundBF16(row[j]))
			}
			if j+halfPanel < len(row) {
				word |= uint32(roundBF16(row[j+halfPanel])) << 16
			}
			words[j] = word
		}
	}
}
