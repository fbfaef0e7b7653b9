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
}

func newReFreeKV(o options) (Pruner, error) {
	r := &refreekv{
		threshold: o.float("threshold"), sinks: o.int("sinks"), frozen: o.ints("frozen_layers"),
		ranking: o.text("ranking"), scope: o.text("norm_scope"), agg: o.text("head_agg"),
		rows: o.int("last_rows"), budget: o.float("budget"), seed: o.int("seed"),
	}
	switch {
	case r.threshold < -1 || math.IsInf(r.threshold, 0):
		return nil, fmt.Errorf("threshold %g: want a share, or down to -1 for the random control", r.threshold)
	case r.sinks < 0:
		return nil, fmt.Errorf("sinks %d is negative", r.sinks)
	case r.rows < 1:
		return nil, fmt.Errorf("last_rows %d is below 1", r.rows)
	case r.ranking != "position" && (r.rows != 1 || r.scope != "candidates" || r.budget != 1):
		return nil, fmt.Errorf("last_rows, norm_scope and budget go with ranking=position only")
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
	all := allPositions(p.Len())
	return eachLayer(p, func(layer int) (model.LayerKeep, error) {
		if slices.Contains(r.frozen, layer) || p.Len() == 1 {
			return model.LayerKeep{all}, nil
		}
		for h := range p.Shape().Heads {
			if err := checkRecorded(p, layer, h); err != nil {
				return nil, err
			}
		}
		c := r.candidates(p, layer)
		if r.threshold < 0 {
			return r.random(p, layer, c), nil
		}
		return c.keep(r.cuts(c)), nil
	})
}

// candidates are what a layer may evict: for every head an eviction order and
// the attention row in that order, with what stays in any case.
type candidates struct {
	order     [][]int32   // [heads or 1][J] positions, first to go first; one list serves all heads
	rows      [][]float64 // [heads][J] attention of the candidates in eviction order
	fixed     []float64   // [heads] squared norm of what stays in any case, as far as the scope counts it
	protected []int32     // positions that always stay, ascending
}

func (r *refreekv) candidates(p *model.Prefix, layer int) candidates {
	if r.ranking == "position" {
		return r.byPosition(p, layer)
	}
	return r.byScore(p, layer)
}

// byPosition: sinks stay, the oldest of the others goes first.
func (r *refreekv) byPosition(p *model.Prefix, layer int) candidates {
	n, heads := p.Len(), p.Shape().Heads
	c := capacity(n, r.budget)
	sinks := min(r.sinks, c-1)
	first := n - (c - sinks)
	out := candidates{
		order: [][]int32{span(nil, first, n)}, rows: make([][]float64, heads), fixed: make([]float64, heads),
		protected: span(nil, 0, sinks),
	}
	for h := range heads {
		row := meanRow(p, layer, h, r.rows)
		out.rows[h] = row[first:]
		for _, a := range row[:sinks] {
			out.fixed[h] += a * a
		}
	}
	return out
}

// meanRow averages, for every key, the last rows that can see it (equation 2).
func meanRow(p *model.Prefix, layer, head, rows int) []float64 {
	n := p.Len()
	rows = min(rows, n)
	out := windowSum(p, layer, head, n, rows)
	for j := range out {
		// Queries n-rows…n-1; those from j on see key j.
		out[j] /= float64(n - max(j, n-rows))
	}
	return out
}

// byScore: the newest tokens stay, the lowest-scored of the others goes first,
// every head in its own order (spec 3.1).
func (r *refreekv) byScore(p *model.Prefix, layer int) candidates {
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
		order: make([][]int32, heads), rows: make([][]float64, heads), fixed: make([]float64, heads),
		protected: span(nil, end, n),
	}
	for h := range heads {
		scores := windowSum(p, layer, h, end, window)
		if r.ranking == "snapkv" {
			scores = maxPool(scores, rankingKernel)
		}
		out.order[h] = ascending(scores)
		row := p.Row(layer, h, back)
		for _, pos := range out.order[h] {
			out.rows[h] = append(out.rows[h], float64(row[pos]))
		}
	}
	return out
}

// cuts says how many of the first candidates go: one number, or one per head.
func (r *refreekv) cuts(c candidates) []int {
	energy := make([][]float64, len(c.rows)) // [heads][J] squared norm of what is left
	for h, row := range c.rows {
		energy[h] = make([]float64, len(row))
		sum := 0.0
		for i := len(row) - 1; i >= 0; i-- {
			sum += row[i] * row[i]
			energy[h][i] = sum
		}
	}
	var groups [][]int
	switch r.agg {
	case "per_head":
		for h := range energy {
			groups = append(groups, []int{h})
		}
	default:
		groups = [][]int{allInts(len(energy))}
	}
	cuts := make([]int, len(groups))
	for g, heads := range groups {
		baseline := r.norm(c, energy, heads, 0, r.scope != "candidates")
		J := len(c.rows[heads[0]])
		// The loss does not fall with i: the first i beyond the threshold ends it.
		cut := sort.Search(J, func(i int) bool {
			return !((baseline-r.norm(c, energy, heads, i, r.scope == "all"))/baseline <= r.threshold)
		}) - 1
		cuts[g] = max(cut, 0)
	}
	return cuts
}

// norm is the attention norm of what is left when the first i candidates are
// gone, over some heads: the mean of the heads' norms, or their joint norm.
func (r *refreekv) norm(c candidates, energy [][]float64, heads []int, i int, withFixed bool) float64 {
	sum := 0.0
	for _, h := range heads {
		e := energy[h][i]
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
func (c candidates) keep(cuts []int) model.LayerKeep {
	lists := max(len(c.order), len(cuts))
	out := make(model.LayerKeep, lists)
	for h := range out {
		left := c.order[min(h, len(c.order)-1)][cuts[min(h, len(cuts)-1)]:]
		out[h] = slices.Sorted(slices.Values(slices.Concat(c.protected, left)))
	}
	return out
}

// random is the released code's control: every head draws |threshold| of the
// candidates with replacement (spec 3.4). The cache holds a position once, so
// about 1-exp(-|threshold|) of them stay.
func (r *refreekv) random(p *model.Prefix, layer int, c candidates) model.LayerKeep {
	out := make(model.LayerKeep, p.Shape().Heads)
	for h := range out {
		rng := rand.New(rand.NewPCG(uint64(r.seed), uint64(layer)<<32|uint64(h)))
		order := c.order[min(h, len(c.order)-1)]
		list := slices.Clone(c.protected)
		for range int(float64(len(order)) * -r.threshold) {
			list = append(list, order[rng.IntN(len(order))])
		}
		if len(list) == 0 {
			list = append(list, order[len(order)-1])
		}
		slices.Sort(list)
		out[h] = slices.Compact(list)
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
