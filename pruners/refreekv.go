package pruners

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"refreekv/model"
)

var refreekvInfo = Info{
	Name:  "refreekv",
	About: "threshold-free: evicts the oldest entries of a layer until the last row's attention norm falls by the threshold",
	Paper: "ReFreeKV, arXiv 2502.16886",
	Options: []Option{
		{Name: "threshold", Default: 0.01, About: "largest relative loss of the attention norm; negative: random control that keeps this share of the candidates"},
		{Name: "sinks", Default: 4, About: "first tokens that always stay"},
		{Name: "frozen_layers", Default: []int{0, 1}, About: "layers that keep everything; the paper freezes the first two, the released code none unless asked"},
		{Name: "ranking", Default: "position", Choices: []string{"position", "attention", "snapkv"}, About: "eviction order: oldest first (the paper), lowest H2O score first, or lowest SnapKV score first (the released code's other modes)"},
		{Name: "norm_scope", Default: "candidates", Choices: []string{"candidates", "all", "mixed"}, About: "entries in the norm: those that may go (released code), sinks too (the paper's equations), or sinks in the baseline only"},
		{Name: "head_agg", Default: "mean", Choices: []string{"mean", "joint", "per_head"}, About: "mean of the heads' norms (released code), one norm over all heads, or a cut of its own for every head"},
		{Name: "last_rows", Default: 1, About: "how many last queries are averaged into the attention row (equation 2)"},
		{Name: "budget", Default: 1.0, About: "initial budget: with less than 1 the middle of the prompt goes before the rule runs"},
		{Name: "seed", Default: 0, About: "of the random control"},
		{Name: "with_replacement", Default: true, About: "the random control may draw an entry twice, as in the released code; false: it draws different ones"},
		{Name: "preset", Default: "paper", Choices: []string{"paper", "readme"}, About: "paper: the defaults; readme: what the released code's README runs (attention ranking, 5 %, nothing frozen)"},
	},
}

var refreekvPresets = map[string]map[string]any{
	"readme": {"threshold": 0.05, "ranking": "attention", "frozen_layers": []int{}},
}

// The window and pooling of the rankings that the released code takes from H2O
// and SnapKV.
const (
	rankingWindow = 8
	rankingKernel = 7
)

// refreekv decides per layer how much of the prompt may go (spec 2).
type refreekv struct {
	threshold float64
	sinks     int
	frozen    []int
	ranking   string
	scope     string
	agg       string
	rows      int
	budget    float64
	seed      int
	replace   bool
}

func newReFreeKV(o options) (Pruner, error) {
	r := &refreekv{
		threshold: o.float("threshold"), sinks: o.int("sinks"), frozen: o.ints("frozen_layers"),
		ranking: o.text("ranking"), scope: o.text("norm_scope"), agg: o.text("head_agg"),
		rows: o.int("last_rows"), budget: o.float("budget"), seed: o.int("seed"), replace: o.bool("with_replacement"),
	}
	switch {
	case r.threshold < -1 || math.IsInf(r.threshold, 0):
		return nil, fmt.Errorf("threshold %g: want a share, or down to -1 for the random control", r.threshold)
	case r.sinks < 0:
		return nil, fmt.Errorf("sinks %d is negative", r.sinks)
	case r.rows < 1:
		return nil, fmt.Errorf("last_rows %d is below 1", r.rows)
	case r.ranking != "position" && (r.sinks != 4 || r.rows != 1 || r.scope != "candidates" || r.budget != 1):
		return nil, fmt.Errorf("sinks, last_rows, norm_scope and budget go with ranking=position only")
	}
	return r, checkBudget(r.budget)
}

func (r *refreekv) Needs() model.Needs {
	switch r.ranking {
	case "attention":
		return model.Needs{LastRows: rankingWindow}
	case "snapkv":
		return model.Needs{LastRows: rankingWindow + 1}
	}
	return model.Needs{LastRows: r.rows}
}

func (r *refreekv) Select(p *model.Prefix) (model.Keep, error) {
	if err := checkNeeds(p, r.Needs()); err != nil {
		return nil, err
	}
	all := allPositions(p.Len())
	return eachLayer(p, func(layer int, s *scratch) (model.LayerKeep, error) {
		if slices.Contains(r.frozen, layer) || p.Len() == 1 {
			return model.LayerKeep{all}, nil
		}
		c, err := r.candidates(p, layer, all, s)
		if err != nil {
			return nil, err
		}
		if r.threshold < 0 {
			return r.random(p, layer, c, s), nil
		}
		return c.keep(r.cuts(c), s), nil
	})
}

// candidates are what a layer may evict: for every head an eviction order and
// the attention in that order, with what stays in any case.
type candidates struct {
	order     [][]int32   // [heads or 1][J] positions, first to go first; one list serves all heads
	energy    [][]float64 // [heads][J] squared attention norm of a candidate and all that go after it
	zeros     []int       // [heads] how many of the first to go have no attention at all
	fixed     []float64   // [heads] squared norm of the sinks
	protected []int32     // positions that always stay, ascending
}

func (r *refreekv) candidates(p *model.Prefix, layer int, all []int32, s *scratch) (candidates, error) {
	if r.ranking == "position" {
		return r.byPosition(p, layer, all, s)
	}
	return r.byScore(p, layer, all, s)
}

// byPosition: sinks stay, the oldest of the others goes first.
func (r *refreekv) byPosition(p *model.Prefix, layer int, all []int32, s *scratch) (candidates, error) {
	n, heads := p.Len(), p.Shape().Heads
	c := capacity(n, r.budget)
	sinks := min(r.sinks, c-1)
	first := n - (c - sinks)
	out := candidates{
		order: [][]int32{all[first:]}, zeros: make([]int, heads), fixed: make([]float64, heads),
		protected: all[:sinks],
	}
	for h := range heads {
		if err := meanRow(s.total, p, layer, h, r.rows); err != nil {
			return candidates{}, err
		}
		for _, a := range s.total[:sinks] {
			out.fixed[h] += a * a
		}
		out.zeros[h] = leadingZeros(s.total[first:])
		tailSquares(s.scores[h][:n-first], s.total[first:])
	}
	out.energy = cutTo(s.scores, n-first)
	return out, nil
}

// meanRow averages, for every key, the last rows that can see it (equation 2).
func meanRow(dst []float64, p *model.Prefix, layer, head, rows int) error {
	n := p.Len()
	rows = min(rows, n)
	if err := sumRows(dst, p, layer, head, rows); err != nil || rows == 1 {
		return err
	}
	for j := range dst {
		// Queries n-rows…n-1; those from j on see key j.
		dst[j] /= float64(n - max(j, n-rows))
	}
	return nil
}

// byScore: the newest tokens stay, the lowest-scored of the others goes first,
// every head in its own order (spec 3.1).
func (r *refreekv) byScore(p *model.Prefix, layer int, all []int32, s *scratch) (candidates, error) {
	n, heads := p.Len(), p.Shape().Heads
	window := rankingWindow
	if n <= rankingWindow {
		window = 1
	}
	end, back := n-window, 0
	if r.ranking == "snapkv" {
		// The released code takes the row of the last candidate, not of the last
		// token.
		back = window
	}
	out := candidates{
		order: make([][]int32, heads), zeros: make([]int, heads), fixed: make([]float64, heads),
		protected: all[end:],
	}
	for h := range heads {
		if err := sumRows(s.total, p, layer, h, window); err != nil {
			return candidates{}, err
		}
		scores := s.total[:end]
		if r.ranking == "snapkv" {
			scores = s.spare[:end]
			maxPool(scores, s.total[:end], rankingKernel, s)
		}
		out.order[h] = rank(scores, s, h)
		row, weights := p.Row(layer, h, back), s.total[:end]
		for i, pos := range out.order[h] {
			weights[i] = float64(row[pos])
		}
		if err := checkFinite(weights, layer, h); err != nil {
			return candidates{}, err
		}
		out.zeros[h] = leadingZeros(weights)
		tailSquares(s.scores[h][:end], weights)
	}
	out.energy = cutTo(s.scores, end)
	return out, nil
}

// tailSquares sets dst[i] to the sum of squares of a[i:].
func tailSquares(dst, a []float64) {
	sum := 0.0
	for i := len(a) - 1; i >= 0; i-- {
		sum += a[i] * a[i]
		dst[i] = sum
	}
}

func leadingZeros(a []float64) int {
	for i, x := range a {
		if x != 0 {
			return i
		}
	}
	return len(a)
}

// cutTo shortens every row to n.
func cutTo(rows [][]float64, n int) [][]float64 {
	out := make([][]float64, len(rows))
	for i, row := range rows {
		out[i] = row[:n]
	}
	return out
}

// cuts says how many of the first candidates go: one number, or one per head.
func (r *refreekv) cuts(c candidates) []int {
	groups := [][]int{allInts(len(c.energy))}
	if r.agg == "per_head" {
		groups = nil
		for h := range c.energy {
			groups = append(groups, []int{h})
		}
	}
	cuts := make([]int, len(groups))
	for g, heads := range groups {
		baseline := r.norm(c, heads, 0, r.scope != "candidates")
		// The loss does not fall with i: the first i beyond the threshold ends it.
		cut := sort.Search(len(c.energy[0]), func(i int) bool {
			return !((baseline-r.norm(c, heads, i, r.scope == "all"))/baseline <= r.threshold)
		}) - 1
		if r.threshold == 0 {
			// Rounding forgives small losses; T = 0 forgives none (spec 2.6).
			for _, h := range heads {
				cut = min(cut, c.zeros[h])
			}
		}
		cuts[g] = max(cut, 0)
	}
	return cuts
}

// norm is the attention norm of what is left when the first i candidates are
// gone, over some heads: the mean of the heads' norms, or their joint norm.
func (r *refreekv) norm(c candidates, heads []int, i int, withFixed bool) float64 {
	sum := 0.0
	for _, h := range heads {
		e := c.energy[h][i]
		if withFixed {
			e += c.fixed[h]
		}
		if r.agg == "joint" {
			sum += e
		} else {
			sum += math.Sqrt(e)
		}
	}
	if r.agg == "joint" {
		return math.Sqrt(sum)
	}
	return sum / float64(len(heads))
}

// keep drops the first cut candidates: one cut for all heads, or one per head.
func (c candidates) keep(cuts []int, s *scratch) model.LayerKeep {
	out := make(model.LayerKeep, max(len(c.order), len(cuts)))
	for h := range out {
		left := c.order[min(h, len(c.order)-1)][cuts[min(h, len(cuts)-1)]:]
		out[h] = c.with(left, s)
	}
	return out
}

// with lists what always stays and some candidates, ascending and once each.
func (c candidates) with(left []int32, s *scratch) []int32 {
	for _, pos := range c.protected {
		s.marked[pos] = true
	}
	for _, pos := range left {
		s.marked[pos] = true
	}
	return s.takeMarked(len(c.protected) + len(left))
}

// random is the released code's control: every head draws |threshold| of the
// candidates (spec 3.4). A position that is drawn twice is held once: with
// replacement about 1-exp(-|threshold|) of the candidates stay.
func (r *refreekv) random(p *model.Prefix, layer int, c candidates, s *scratch) model.LayerKeep {
	out := make(model.LayerKeep, p.Shape().Heads)
	for h := range out {
		rng := rand.New(rand.NewPCG(uint64(r.seed), uint64(layer)<<32|uint64(h)))
		order := c.order[min(h, len(c.order)-1)]
		drawn := s.queue[:len(order)]
		copy(drawn, order)
		share := int(float64(len(order)) * -r.threshold)
		for i := range share {
			if r.replace {
				drawn[i] = order[rng.IntN(len(order))]
				continue
			}
			j := i + rng.IntN(len(order)-i)
			drawn[i], drawn[j] = drawn[j], drawn[i]
		}
		if share+len(c.protected) == 0 {
			drawn[0], share = order[len(order)-1], 1 // a cache cannot be empty
		}
		out[h] = c.with(drawn[:share], s)
	}
	return out
}

func allInts(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
