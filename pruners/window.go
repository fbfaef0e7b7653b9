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
	budget float64
	window int
	heads  string
	group  string
	// recent is how many of c entries are kept for being recent.
	recent func(c int) int
	// score rates the keys before position end for one query head: [end].
	score func(p *model.Prefix, layer, head, end, rows int) []float64
}

func (w *windowed) check() error {
	if w.window < 1 {
		return fmt.Errorf("window %d is below 1", w.window)
	}
	return checkBudget(w.budget)
}

// keep selects for a prompt.
func (w *windowed) keep(p *model.Prefix) (model.Keep, error) {
	n, s := p.Len(), p.Shape()
	c := capacity(n, w.budget)
	if c == n {
		return model.All(s.Layers, n), nil
	}
	rows := w.window
	if c <= w.window {
		rows = 1
	}
	recent := w.recent(c)
	return eachLayer(p, func(layer int) (model.LayerKeep, error) {
		scores := make([][]float64, s.Heads)
		for h := range scores {
			if err := checkRecorded(p, layer, h); err != nil {
				return nil, err
			}
			scores[h] = w.score(p, layer, h, n-recent, rows)
		}
		if w.heads == "kv" {
			scores = combine(scores, s.Group(), w.group)
		}
		out := make(model.LayerKeep, len(scores))
		for h := range out {
			out[h] = span(topK(scores[h], c-recent), n-recent, n)
		}
		return out, nil
	})
}

// checkRecorded refuses attention that is not a number.
func checkRecorded(p *model.Prefix, layer, head int) error {
	if p.Needs().LastRows > 0 {
		if err := checkFinite(p.Row(layer, head, 0), layer, head); err != nil {
			return err
		}
	}
	if p.Needs().ColumnSums {
		return checkFinite(p.ColumnSum(layer, head), layer, head)
	}
	return nil
}

// combine joins the scores of the query heads that share a KV head.
func combine(scores [][]float64, group int, how string) [][]float64 {
	out := make([][]float64, len(scores)/group)
	for kv := range out {
		out[kv] = scores[kv*group]
		for _, other := range scores[kv*group+1 : (kv+1)*group] {
			for i, x := range other {
				if how == "max" {
					out[kv][i] = max(out[kv][i], x)
				} else {
					out[kv][i] += x
				}
			}
		}
		if how == "mean" {
			for i := range out[kv] {
				out[kv][i] /= float64(group)
			}
		}
	}
	return out
}

// windowSum adds up the last rows' attention to the keys before end, oldest row
// first.
func windowSum(p *model.Prefix, layer, head, end, rows int) []float64 {
	scores := make([]float64, end)
	for back := min(rows, p.Len()) - 1; back >= 0; back-- {
		for i, a := range p.Row(layer, head, back)[:end] {
			scores[i] += float64(a)
		}
	}
	return scores
}
