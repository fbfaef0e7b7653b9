package pruners

import (
	"fmt"

	"refreekv/model"
)

var attnInfo = Info{
	Name:  "attn",
	About: "entries that the last token, or a share of last tokens, attends to, plus the newest",
	Paper: "the ablation of ReFreeKV, arXiv 2502.16886, as in its released code",
	Options: []Option{
		budgetOption,
		{Name: "window", Default: 8, About: "newest tokens that always stay; a budget of at most this many tokens makes it 1"},
		lastRowsOption, rowShareOption, normalizeOption, headsOption, groupOption,
	},
}

// attn keeps, per head, the newest tokens and of the others those with the
// largest attention from the last rows (spec 3.5).
type attn struct {
	budget       float64
	window       int
	rows         lastRows
	heads, group string
}

func newAttn(o options) (Pruner, error) {
	a, err := attnOf(o)
	if err != nil {
		return nil, err
	}
	a.budget = o.float("budget")
	return a, checkBudget(a.budget)
}

func newAttnScorer(o options) (scorer, error) {
	a, err := attnOf(o)
	return attnScore{a}, err
}

func attnOf(o options) (attn, error) {
	a := attn{window: o.int("window"), rows: newLastRows(o), heads: o.text("heads"), group: o.text("group")}
	if a.window < 1 {
		return attn{}, fmt.Errorf("window %d is below 1", a.window)
	}
	return a, a.rows.check()
}

func (a attn) Needs() model.Needs { return a.rows.needs() }

func (a attn) Select(p *model.Prefix) (model.Keep, error) {
	c := capacity(p.Len(), a.budget)
	if c <= a.window {
		a.window = 1
	}
	return ranked{attnScore{a}, a.budget}.Select(p)
}

// attnScore is attn's score for others to build on: the window stays in any
// case, whatever the budget.
type attnScore struct{ attn }

func (a attnScore) needs() model.Needs { return a.Needs() }

func (a attnScore) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	scores := s.scores[:p.Shape().Heads]
	for h, list := range scores {
		if err := a.rows.sum(list, p, layer, h); err != nil {
			return nil, err
		}
	}
	if a.heads == "kv" {
		scores = combine(scores, p.Shape().Group(), a.group)
	}
	for _, list := range scores {
		always(list, p.Len()-a.window, p.Len())
	}
	return scores, nil
}
