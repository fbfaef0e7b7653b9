package tensor

import (
	"fmt"
	"unsafe"
)

// Panel is the number of columns that are stored side by side.
const Panel = 32

// mostRows is the most rows any kernel computes together.
const mostRows = 14

// A Packed is a matrix B[N][K] stored for the product C = A·Bᵀ: in panels
// [ceil(N/Panel)][K][Panel], the last one padded with zeros.
type Packed struct {
	N, K int
	data []float32
}

// NewPacked returns a matrix of zeros.
func NewPacked(n, k int) *Packed {
	p := &Packed{K: k}
	p.Resize(n)
	return p
}

// Panels is the number of panels.
func (p *Packed) Panels() int { return (p.N + Panel - 1) / Panel }

// Resize changes the number of rows, keeping contents; new rows are zero. It
// grows its memory geometrically, so that a KV cache can take a row at a time.
func (p *Packed) Resize(n int) {
	if n < p.N {
		zero := make([]float32, p.K)
		for j := n; j < min(p.N, (n+Panel-1)/Panel*Panel); j++ {
			p.SetRow(j, zero)
		}
	}
	p.N = n
	size := p.Panels() * Panel * p.K
	if size <= cap(p.data) {
		old := len(p.data)
		p.data = p.data[:size]
		if size > old {
			clear(p.data[old:])
		}
		return
	}
	grown := aligned(size, max(size, 2*cap(p.data)))
	copy(grown, p.data)
	p.data = grown
}

// SetRow sets row j to K values.
func (p *Packed) SetRow(j int, row []float32) {
	panel := p.data[j/Panel*Panel*p.K:]
	for i, k := j%Panel, 0; k < p.K; i, k = i+Panel, k+1 {
		panel[i] = row[k]
	}
}

// CopyRows sets the first n rows to those of a matrix with as many columns.
func (p *Packed) CopyRows(from *Packed, n int) {
	if n > p.N || n > from.N || p.K != from.K {
		panic(fmt.Sprintf("tensor: %d rows of [%d][%d] into [%d][%d]", n, from.N, from.K, p.N, p.K))
	}
	whole := n / Panel
	copy(p.data[:whole*Panel*p.K], from.data)
	row := make([]float32, p.K)
	for j := whole * Panel; j < n; j++ {
		from.Row(j, row)
		p.SetRow(j, row)
	}
}

// Row copies row j, K values, into dst.
func (p *Packed) Row(j int, dst []float32) {
	panel := p.data[j/Panel*Panel*p.K:]
	for i, k := j%Panel, 0; k < p.K; i, k = i+Panel, k+1 {
		dst[k] = panel[i]
	}
}

// Mul computes C = A·Bᵀ, or C += A·Bᵀ with accumulate, for the columns of
// panels [from, to): a is [m][K] with rows lda apart, c is [m][N] with rows ldc
// apart, of which only those columns are written. It runs on the calling
// goroutine.
func (p *Packed) Mul(c []float32, ldc int, a []float32, lda, m, from, to int, accumulate bool) {
	p.mul(c, ldc, 0, a, lda, m, 0, p.K, from, to, accumulate)
}

// MulPart is [Packed.Mul] with the k columns of B from first on only: a is
// [m][k].
func (p *Packed) MulPart(c []float32, ldc int, a []float32, lda, m, first, k, from, to int, accumulate bool) {
	p.mul(c, ldc, 0, a, lda, m, first, k, from, to, accumulate)
}

// mul multiplies columns [first, first+k) of panels [from, to); c begins at
// column left.
func (p *Packed) mul(c []float32, ldc, left int, a []float32, lda, m, first, k, from, to int, accumulate bool) {
	if m == 0 || from >= to {
		return
	}
	last := min(to*Panel, p.N) - left
	if to > p.Panels() || first < 0 || first+k > p.K || len(a) < (m-1)*lda+k || len(c) < (m-1)*ldc+last {
		panic(fmt.Sprintf("tensor: product of [%d][%d] (of %d, %d apart) with columns from %d of %d and panels %d to %d of %d into %d, %d apart", m, k, len(a), lda, first, p.K, from, to, p.Panels(), len(c), ldc))
	}
	for panel := from; panel < to; panel++ {
		b := p.data[(panel*p.K+first)*Panel:][:k*Panel]
		column := panel*Panel - left
		width := min(Panel, p.N-panel*Panel)
		if width == Panel {
			eachRowBlock(m, tileRows, func(r, rows int) {
				next := share(unsafe.Pointer(&b[0]), k, 4*Panel, r, rows, m)
				tile(c[r*ldc+column:], ldc, a[r*lda:], lda, rows, b, Panel, k, accumulate, next)
			})
			continue
		}
		eachRowBlock(m, tileRows, func(r, rows int) {
			narrowTile(c[r*ldc+column:], ldc, a[r*lda:], lda, rows, b, k, width, accumulate)
		})
	}
}

// MulRows computes C = A·B, or C += A·B with accumulate: a is [m][k] with rows
// lda apart, b [k][n] with rows ldb apart, c [m][n] with rows ldc apart. It runs
// on the calling goroutine.
func MulRows(c []float32, ldc int, a []float32, lda, m int, b []float32, ldb, k, n int, accumulate bool) {
	if m == 0 || n == 0 {
		return
	}
	if len(a) < (m-1)*lda+k || len(b) < (k-1)*ldb+n || len(c) < (m-1)*ldc+n {
		panic(fmt.Sprintf("tensor: product of [%d][%d] (of %d, %d apart) with [%d][%d] (of %d, %d apart) into %d, %d apart", m, k, len(a), lda, k, n, len(b), ldb, len(c), ldc))
	}
	full := n / Panel * Panel
	for column := 0; column < full; column += Panel {
		eachRowBlock(m, tileRows, func(r, rows int) {
			tile(c[r*ldc+column:], ldc, a[r*lda:], lda, rows, b[column:], ldb, k, accumulate, upcoming{})
		})
	}
	if full == n {
		return
	}
	// The columns that fill no panel are copied, a stretch of k at a time.
	const stretch = 128
	var panel [stretch * Panel]float32
	width := n - full
	for at := 0; at < k; at += stretch {
		count := min(stretch, k-at)
		for i := range count {
			copy(panel[i*Panel:i*Panel+width], b[(at+i)*ldb+full:])
		}
		eachRowBlock(m, tileRows, func(r, rows int) {
			narrowTile(c[r*ldc+full:], ldc, a[r*lda+at:], lda, rows, panel[:], count, width, accumulate || at > 0)
		})
	}
}

// eachRowBlock splits m rows into nearly equal blocks of most rows or fewer.
func eachRowBlock(m, most int, f func(from, rows int)) {
	blocks := (m + most - 1) / most
	for i := range blocks {
		from, to := i*m/blocks, (i+1)*m/blocks
		f(from, to-from)
	}
}

// narrowTile is tile for a panel of which only width columns are stored.
func narrowTile(c []float32, ldc int, a []float32, lda, rows int, b []float32, k, width int, accumulate bool) {
	var scratch [mostRows * Panel]float32
	if accumulate {
		for r := range rows {
			copy(scratch[r*Panel:r*Panel+width], c[r*ldc:])
		}
	}
	tile(scratch[:], Panel, a, lda, rows, b, Panel, k, accumulate, upcoming{})
	for r := range rows {
		copy(c[r*ldc:r*ldc+width], scratch[r*Panel:])
	}
}

// tileGo is the plain twin of the tile kernels: up to mostRows rows by Panel
// columns, the product over k. Products of float32 are exact in float64, so
// adding there and rounding once is a fused multiply-add.
func tileGo(c []float32, ldc int, a []float32, lda, rows int, b []float32, ldb, k int, accumulate bool, _ upcoming) {
	var sum [Panel]float32
	for r := range rows {
		if accumulate {
			copy(sum[:], c[r*ldc:r*ldc+Panel])
		} else {
			clear(sum[:])
		}
		for i := range k {
			x := float64(a[r*lda+i])
			for j, w := range b[i*ldb : i*ldb+Panel] {
				sum[j] = float32(x*float64(w) + float64(sum[j]))
			}
		}
		copy(c[r*ldc:r*ldc+Panel], sum[:])
	}
}
