package pruners

import (
	"fmt"

	"refreekv/model"
)

var streamingInfo = Info{
	Name:    "streamingllm",
	About:   "sink tokens plus the newest tokens",
	Paper:   "StreamingLLM, arXiv 2309.17453",
	Repeats: true,
	Options: []Option{
		budgetOption,
		{Name: "sinks", Default: 4, About: "first tokens that always stay"},
		{Name: "positions", Default: "absolute", Choices: []string{"absolute", "cache"}, About: "absolute: entries keep the positions of the prompt, as in ReFreeKV's evaluation; cache: positions are counted inside the cache, as in the StreamingLLM paper"},
		decodeOption,
		{Name: "frozen_layers", Default: []int{}, About: "layers that keep everything, beside the budget of the others; 0,1 is the SLMF of ReFreeKV's paper"},
	},
}

// streaming keeps the sinks and the newest C-sinks entries, C the budget; with
// C of at most sinks, C-1 sinks and the newest entry (spec 4.4). By default, as
// in the paper's evaluation, positions are absolute and nothing rolls while
// decoding.
type streaming struct {
	budget float64
	sinks  int
	rebase bool
	roll   bool
	frozen frozen
}

func newStreaming(o options) (Pruner, error) {
	s := streaming{budget: o.float("budget"), sinks: o.int("sinks"), rebase: o.text("positions") == "cache", roll: o.evicts(), frozen: o.ints("frozen_layers")}
	if s.sinks < 0 {
		return nil, fmt.Errorf("sinks %d is negative", s.sinks)
	}
	return s, checkBudget(s.budget)
}

func (streaming) Needs() model.Needs { return model.Needs{} }

func (s streaming) Select(p *model.Prefix) (model.Keep, error) {
	if err := s.frozen.check(p); err != nil {
		return nil, err
	}
	n := p.Len()
	c := capacity(n, s.budget)
	sinks := min(s.sinks, c-1)
	list := span(span(make([]int32, 0, c), 0, sinks), n-(c-sinks), n)
	keep := sameForAll(p, list)
	for l := range keep {
		if s.frozen.has(l) {
			keep[l] = model.LayerKeep{allPositions(n)}
		}
	}
	return keep, nil
}

// Decoding implements [Evictor].
func (s streaming) Decoding(p *model.Prefix, v *model.Variant) error {
	v.Rebase = s.rebase
	if !s.roll {
		return nil
	}
	c, first := capacity(p.Len(), s.budget), p.Len()
	sinks := min(s.sinks, c-1)
	v.Evict = func() func(*model.Step) error {
		// Every other layer holds the same: the sinks and a span that begins at oldest.
		oldest := first - (c - sinks)
		return func(step *model.Step) error {
			for layer := range step.Layers() {
				if s.frozen.has(layer) {
					continue
				}
				for list := range step.Lists(layer) {
					step.Drop(layer, list, oldest)
				}
			}
			oldest++
			return nil
		}
	}
	return nil
}

// sameForAll is a Keep in which every layer and head keeps one list.
func sameForAll(p *model.Prefix, list []int32) model.Keep {
	keep := make(model.Keep, p.Shape().Layers)
	for l := range keep {
		keep[l] = model.LayerKeep{list}
	}
	return keep
}
