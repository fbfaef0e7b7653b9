package pruners

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"refreekv/model"
)

var refreekvInfo = Info{
	Name:    "refreekv",
	About:   "threshold-free: evicts the oldest entries of a layer until the last row's attention norm falls by the threshold",
	Paper:   "ReFreeKV, arXiv 2502.16886",
	Repeats: true,
	Options: []Option{
		{Name: "threshold", Default: 0.01, About: thresholdOption.About + "; negative: random control that keeps this share of the candidates"},
		{Name: "sinks", Default: 4, About: "first tokens that always stay"},
		frozenOption,
		{Name: "ranking", Default: "position", Choices: []string{"position", "attention", "snapkv"}, About: "eviction order: oldest first (the paper), lowest H2O score first, or lowest SnapKV score first (the released code's other modes)"},
		scopeOption, headAggOption,
		lastRowsOption, rowShareOption, normalizeOption,
		{Name: "rows_mask", Default: "causal", Choices: []string{"causal", "none"}, About: "none: the last rows attend to every key, newer ones too, and a share of less than one row takes all rows, as in the released code; causal: neither"},
		{Name: "metric", Default: "last_row", Choices: slices.Concat([]string{"last_row"}, normMetrics, energyMetrics), About: "what may not fall: the norm of the last row, or, with ranking=snapkv, one over the whole attention matrix (the released code's ablation)"},
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
	stopping
	sinks    int
	frozen   frozen
	ranking  string
	rows     lastRows
	unmasked bool // the last rows see newer keys as well
	metric   string
	budget   float64
	seed     int
	replace  bool
}

func newReFreeKV(o options) (Pruner, error) {
	r := &refreekv{
		stopping: newStopping(o), sinks: o.int("sinks"), frozen: o.ints("frozen_layers"), ranking: o.text("ranking"),
		rows: newLastRows(o), unmasked: o.text("rows_mask") == "none", metric: o.text("metric"),
		budget: o.float("budget"), seed: o.int("seed"), replace: o.bool("with_replacement"),
	}
	switch {
	case r.threshold < -1 || math.IsInf(r.threshold, 0):
		return nil, fmt.Errorf("threshold %g: want a share, or down to -1 for the random control", r.threshold)
	case r.sinks < 0:
		return nil, fmt.Errorf("sinks %d is negative", r.sinks)
	case r.ranking != "position" && (r.sinks != 4 || r.rows != lastRows{count: 1, mean: true} || r.unmasked || r.scope != "candidates" || r.budget != 1):
		return nil, fmt.Errorf("sinks, last_rows, row_share, normalize, rows_mask, norm_scope and budget go with ranking=position only")
	case r.metric != "last_row" && (r.ranking != "snapkv" || r.agg != "mean"):
		return nil, fmt.Errorf("metric %s goes with ranking=snapkv and head_agg=mean only", r.metric)
	}
	if err := r.rows.check(); err != nil {
		return nil, err
	}
	return r, checkBudget(r.budget)
}

func (r *refreekv) Needs() model.Needs {
	switch {
	case r.ranking == "attention":
		return model.Needs{LastRows: rankingWindow}
	case r.ranking == "snapkv" && r.metric == "last_row":
		return model.Needs{LastRows: rankingWindow + 1}
	case r.ranking == "snapkv":
		return model.Needs{LastRows: rankingWindow, Queries: true}
	case r.unmasked:
		return model.Needs{Queries: true}
	}
	return r.rows.needs()
}

func (r *refreekv) Select(p *model.Prefix) (model.Keep, error) {
	if err := checkNeeds(p, r.Needs()); err != nil {
		return nil, err
	}
	if err := r.frozen.check(p); err != nil {
		return nil, err
	}
	all := allPositions(p.Len())
	return eachLayer(p, func(layer int, s *scratch) (model.LayerKeep, error) {
		if r.frozen.has(layer) || p.Len() == 1 {
			return model.LayerKeep{all}, nil
		}
		c, err := r.candidates(p, layer, all, s)
		if err != nil {
			return nil, err
		}
		switch {
		case r.threshold < 0:
			return r.random(p, layer, c, s), nil
		case r.metric == "last_row":
			return c.keep(r.cuts(c), s), nil
		}
		cut, err := r.matrixCut(p, layer, c, s)
		if err != nil {
			return nil, err
		}
		return c.keep([]int{cut}, s), nil
	})
}

func (r *refreekv) candidates(p *model.Prefix, layer int, all []int32, s *scratch) (candidates, error) {
	heads := p.Shape().Heads
	c := candidates{energy: make([][]float64, heads), zeros: make([]int, heads), fixed: make([]float64, heads)}
	if r.ranking == "position" {
		return c, r.byPosition(&c, p, layer, all, s)
	}
	return c, r.byScore(&c, p, layer, all, s)
}

// byPosition: sinks stay, the oldest of the others goes first.
func (r *refreekv) byPosition(out *candidates, p *model.Prefix, layer int, all []int32, s *scratch) error {
	n := p.Len()
	c := capacity(n, r.budget)
	sinks := min(r.sinks, c-1)
	first := n - (c - sinks)
	out.order, out.protected = [][]int32{all[first:]}, [][]int32{all[:sinks]}
	for h := range out.energy {
		if err := r.row(s.total, p, layer, h); err != nil {
			return err
		}
		for _, a := range s.total[:sinks] {
			out.fixed[h] += a * a
		}
		out.weigh(h, s.scores[h], s.total[first:])
	}
	return nil
}

// row sets dst to the attention that the rule weighs.
func (r *refreekv) row(dst []float64, p *model.Prefix, layer, head int) error {
	if !r.unmasked {
		return r.rows.sum(dst, p, layer, head)
	}
	n := p.Len()
	rows := r.rows.of(n)
	if r.rows.share > 0 && int(float64(n)*r.rows.share) == 0 {
		// The released code slices the last k rows off the matrix, and a slice from
		// -0 on is the whole of it.
		rows = n
	}
	clear(dst)
	eachRow(p, layer, head, n-rows, n, false, func(_ int, row []float32) {
		for i, a := range row {
			dst[i] += float64(a)
		}
	})
	if r.rows.mean {
		for i := range dst {
			dst[i] /= float64(rows)
		}
	}
	return checkFinite(dst, layer, head)
}

// byScore: the newest tokens stay, the lowest-scored of the others goes first,
// every head in its own order (spec 3.1).
func (r *refreekv) byScore(out *candidates, p *model.Prefix, layer int, all []int32, s *scratch) error {
	n := p.Len()
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
	out.order, out.protected = make([][]int32, len(out.energy)), [][]int32{all[end:]}
	for h := range out.order {
		if err := sumRows(s.total, p, layer, h, window); err != nil {
			return err
		}
		scores := s.total[:end]
		if r.ranking == "snapkv" {
			scores = s.spare[:end]
			maxPool(scores, s.total[:end], rankingKernel, s)
		}
		out.order[h] = rank(scores, s, h)
		if r.metric != "last_row" {
			continue
		}
		row, weights := p.Row(layer, h, back), s.total[:end]
		for i, pos := range out.order[h] {
			weights[i] = float64(row[pos])
		}
		if err := checkFinite(weights, layer, h); err != nil {
			return err
		}
		out.weigh(h, s.scores[h], weights)
	}
	return nil
}

// random is the released code's control: every head draws |threshold| of the
// candidates (spec 3.4). A position that is drawn twice is held once: with
// replacement about 1-exp(-|threshold|) of the candidates stay.
func (r *refreekv) random(p *model.Prefix, layer int, c candidates, s *scratch) model.LayerKeep {
	out := make(model.LayerKeep, p.Shape().Heads)
	for h := range out {
		rng := rand.New(rand.NewPCG(uint64(r.seed), uint64(layer)<<32|uint64(h)))
		order := shared(c.order, h, len(out))
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
		if share+len(c.protected[0]) == 0 {
			drawn[0], share = order[len(order)-1], 1 // a cache cannot be empty
		}
		out[h] = c.with(h, len(out), drawn[:share], s)
	}
	return out
}
