package pruners

import (
	"math"
	"slices"
	"sort"
	"strings"

	"refreekv/model"
)

// The metrics of the released code that look at a whole attention matrix
// (spec 3.3): entrywise norms of the matrix, and energies of its rows or
// columns.
var (
	normMetrics   = []string{"norm1", "norm2", "norm_inf", "norm_fro"}
	energyMetrics = []string{"row_square_sum", "col_square_sum", "row_sqrt_sum", "col_sqrt_sum"}
)

// matrixCut is how many of the first candidates of every head may go before a
// metric of the candidates' attention among themselves falls by the threshold.
// It reads that whole matrix: its time grows with the square of the prompt.
func (r *refreekv) matrixCut(p *model.Prefix, layer int, c candidates, s *scratch) (int, error) {
	if slices.Contains(normMetrics, r.metric) {
		return r.normCut(p, layer, c, s)
	}
	m := matrixSums{power: 2, rows: strings.HasPrefix(r.metric, "row"), columns: strings.HasPrefix(r.metric, "col")}
	rule := stopping{threshold: r.threshold, scope: "candidates", agg: "mean"}
	if strings.HasSuffix(r.metric, "square_sum") {
		rule.agg = "pooled"
	}
	for h, order := range c.order {
		sums := m.of(p, layer, h, nil, s.total[:len(order)])
		if err := checkFinite(sums, layer, h); err != nil {
			return 0, err
		}
		weights := s.spare[:len(order)]
		for i, pos := range order {
			weights[i] = math.Sqrt(sums[pos])
		}
		c.weigh(h, s.scores[h], weights)
	}
	return rule.cuts(c)[0], nil
}

// normCut is the largest number of candidates for which the norm of what
// vanishes with them, over the heads' mean, stays within the threshold.
func (r *refreekv) normCut(p *model.Prefix, layer int, c candidates, s *scratch) (int, error) {
	m := matrixSums{power: map[string]int{"norm1": 1, "norm2": 2, "norm_fro": 2}[r.metric], rows: true, columns: true}
	baseline := 0.0
	place := make([]int32, len(c.order[0]))
	for h, order := range c.order {
		for i, pos := range order {
			place[pos] = int32(i)
		}
		sums := m.of(p, layer, h, place, s.total[:len(order)])
		lost, gone := s.scores[h][:len(order)], 0.0
		for i, pos := range order {
			switch m.power {
			case 0:
				gone = max(gone, sums[pos])
				lost[i] = gone
			case 1:
				gone += sums[pos]
				lost[i] = gone
			case 2:
				gone += sums[pos]
				lost[i] = math.Sqrt(gone)
			}
		}
		if err := checkFinite(lost, layer, h); err != nil {
			return 0, err
		}
		baseline += lost[len(lost)-1]
	}
	// With i candidates gone the loss is lost[i-1]; the last one always stays.
	return sort.Search(len(c.order[0])-1, func(i int) bool {
		sum := 0.0
		for h := range c.order {
			sum += s.scores[h][i]
		}
		return sum > r.threshold*baseline
	}), nil
}

// matrixSums adds up the attention of the candidates, which are the first
// tokens, among themselves.
type matrixSums struct {
	power         int // of the entries; 0: their maximum, not a sum
	rows, columns bool
}

// of sets dst, [candidates], to the sum of each candidate's row, of its column,
// or, with both, of the entries that vanish when it goes: those in its row and
// column that did not go with a candidate of a lower place.
func (m matrixSums) of(p *model.Prefix, layer, head int, place []int32, dst []float64) []float64 {
	clear(dst)
	eachRow(p, layer, head, 0, len(dst), true, func(r int, row []float32) {
		switch {
		case m.rows && m.columns:
			m.split(dst, r, row, place)
		case m.rows:
			dst[r] = sumSquares(row)
		default:
			for c, x := range row {
				dst[c] += float64(x) * float64(x)
			}
		}
	})
	return dst
}

// split gives every entry of row r to the candidate, of its row's and its
// column's, that goes first.
func (m matrixSums) split(dst []float64, r int, row []float32, place []int32) {
	own, at := 0.0, place[r]
	for c, x := range row {
		v := float64(x)
		if m.power == 2 {
			v *= v
		}
		first := place[c] < at
		switch {
		case first && m.power == 0:
			dst[c] = max(dst[c], v)
		case first:
			dst[c] += v
		case m.power == 0:
			own = max(own, v)
		default:
			own += v
		}
	}
	if m.power == 0 {
		dst[r] = max(dst[r], own)
	} else {
		dst[r] += own
	}
}

// eachRow calls f with the attention rows of the queries from..to-1, computed
// again: with causal a row ends at its own query, without it sees every key.
func eachRow(p *model.Prefix, layer, head, from, to int, causal bool, f func(query int, row []float32)) {
	const most = 48 // rows at a time: enough for the matrix kernels
	n := p.Len()
	tile := make([]float32, min(most, to-from)*n)
	for at := from; at < to; at += most {
		rows := min(most, to-at)
		p.Attend(layer, head, at, at+rows, causal, tile)
		for i := range rows {
			row := tile[i*n : (i+1)*n]
			if causal {
				row = row[:at+i+1]
			}
			f(at+i, row)
		}
	}
}
