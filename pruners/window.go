package pruners

import (
	"fmt"

	"refreekv/model"
)

// Options that the methods scoring by an observation window share.
var (
	windowOption = Option{Name: "window", Default: 8, About: "newest tokens that always stay and whose queries score the others; a budget of at most this many tokens makes it 1"}
	headsOption  = Option{Name: "heads", Default: "query", Choices: []string{"query", "kv"}, About: "query: every query head keeps its own entries (the released codes, which repeat keys and values); kv: every KV head"}
	groupOption  = Option{Name: "group", Default: "mean", Choices: []string{"mean", "max", "sum"}, About: "with heads=kv, how the query heads of a KV head are combined: mean, max or sum of scores"}
)

// windowed keeps, per head, the best-scored older entries and a recent span. It
// is what H2O and SnapKV have in common (spec 4).
type windowed struct {
	budget  float64
	window  int
	heads   string
	group   string
	half    bool // half of the budget is recent, not the window
	allRows bool // every query scores, not the window's alone
	// pool turns the attention that each older key received into scores, by way
	// of a worker's space; nil: as it is.
	pool func(dst, attention []float64, s *scratch)
}

// newWindowed reads the shared options. A score for others has no budget.
func newWindowed(o options) *windowed {
	budget, _ := o["budget"].(float64)
	return &windowed{budget: budget, window: o.int("window"), heads: o.text("heads"), group: o.text("group")}
}

func (w *windowed) check() error {
	if w.window < 1 {
		return fmt.Errorf("window %d is below 1", w.window)
	}
	return nil
}

func (w *windowed) checkWithBudget() error {
	if err := w.check(); err != nil {
		return err
	}
	return checkBudget(w.budget)
}

// Needs implements [Pruner].
func (w *windowed) Needs() model.Needs {
	if w.allRows {
		return model.Needs{ColumnSums: true}
	}
	return model.Needs{LastRows: w.window}
}

// Select implements [Pruner].
func (w *windowed) Select(p *model.Prefix) (model.Keep, error) {
	if err := checkNeeds(p, w.Needs()); err != nil {
		return nil, err
	}
	n := p.Len()
	c := capacity(n, w.budget)
	if c == n {
		return model.All(p.Shape().Layers, n), nil
	}
	rows, recent := w.spans(c)
	return eachLayer(p, func(layer int, s *scratch) (model.LayerKeep, error) {
		scores, err := w.score(p, layer, n-recent, rows, s)
		if err != nil {
			return nil, err
		}
		out := make(model.LayerKeep, len(scores))
		for h := range out {
			list := topK(make([]int32, 0, c), scores[h], c-recent, s.spare)
			out[h] = span(list, n-recent, n)
		}
		return out, nil
	})
}

// spans says, for a budget of c entries, how many last queries score and how
// many entries stay for being recent. As in the released codes the window is a
// single token where the budget does not exceed it.
func (w *windowed) spans(c int) (rows, recent int) {
	rows = w.window
	if c <= w.window {
		rows = 1
	}
	if w.half {
		return rows, max(c/2, 1)
	}
	return rows, rows
}

// score rates the keys before position end: [heads or kvHeads][end].
func (w *windowed) score(p *model.Prefix, layer, end, rows int, s *scratch) ([][]float64, error) {
	scores := make([][]float64, p.Shape().Heads)
	for h := range scores {
		var err error
		if w.allRows {
			err = sumColumns(s.total, p, layer, h)
		} else {
			err = sumRows(s.total, p, layer, h, rows)
		}
		if err != nil {
			return nil, err
		}
		scores[h] = s.scores[h][:end]
		if w.pool != nil {
			w.pool(scores[h], s.total[:end], s)
		} else {
			copy(scores[h], s.total)
		}
	}
	if w.heads == "kv" {
		scores = combine(scores, p.Shape().Group(), w.group)
	}
	return scores, nil
}

// windowScore is the score of a windowed method for others to build on: the mean
// over the rows that score. Its window stays in any case, whatever the budget.
type windowScore struct{ w *windowed }

func (w windowScore) needs() model.Needs { return w.w.Needs() }

// narrow is the score with a window of one token, which the released codes take
// where the budget does not exceed the window.
func (w windowScore) narrow() windowScore {
	one := *w.w
	one.window = 1
	return windowScore{&one}
}

func (w windowScore) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	n := p.Len()
	recent := min(w.w.window, n)
	scores, err := w.w.score(p, layer, n-recent, recent, s)
	if err != nil {
		return nil, err
	}
	rows := recent
	if w.w.allRows {
		rows = n
	}
	for h, list := range scores {
		for i := range list {
			list[i] /= float64(rows)
		}
		scores[h] = list[:n]
		always(scores[h], n-recent, n)
	}
	return scores, nil
}

// combine joins the scores of the query heads that share a KV head, in place of
// the first one's.
func combine(scores [][]float64, group int, how string) [][]float64 {
	out := make([][]float64, len(scores)/group)
	for kv := range out {
		out[kv] = scores[kv*group]
		combineInto(out[kv], scores[kv*group:(kv+1)*group], how)
	}
	return out
}

// combineInto sets dst to the mean, maximum or sum of scores; dst may be the
// first of them.
func combineInto(dst []float64, scores [][]float64, how string) {
	copy(dst, scores[0])
	for _, other := range scores[1:] {
		for i, x := range other[:len(dst)] {
			if how == "max" {
				dst[i] = max(dst[i], x)
			} else {
				dst[i] += x
			}
		}
	}
	if how == "mean" {
		for i := range dst {
			dst[i] /= float64(len(scores))
		}
	}
}
