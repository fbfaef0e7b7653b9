package pruners

import (
	"fmt"
	"math"

	"refreekv/model"
)

var vatpInfo = Info{
	Name:  "vatp",
	About: "attention received times the L1 norm of the value; sinks and the newest tokens stay",
	Paper: "VATP, arXiv 2406.12335",
	Options: []Option{
		budgetOption,
		{Name: "window", Default: 8, About: "newest tokens that always stay"},
		headsOption, groupOption,
		{Name: "rows", Default: "all", Choices: []string{"all", "window"}, About: "all: attention of every query, the paper's variant of H2O; window: of the window's queries, as its variant of Scissorhands"},
		{Name: "sinks", Default: 20, About: "first tokens that always stay: their attention is large, their values are small"},
	},
}

// vatp weighs the attention that an entry received by the L1 norm of its value,
// which is what the attention carries to the output.
type vatp struct {
	windowScore
	sinks int
}

func newVATP(o options) (scorer, error) {
	w := newWindowed(o)
	w.allRows = o.text("rows") == "all"
	v := vatp{windowScore{w}, o.int("sinks")}
	if v.sinks < 0 {
		return nil, fmt.Errorf("sinks %d is negative", v.sinks)
	}
	return v, w.check()
}

func (v vatp) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	scores, err := v.windowScore.score(p, layer, s)
	if err != nil {
		return nil, err
	}
	value, perKV := make([]float32, p.Shape().HeadDim), len(scores)/p.Shape().KVHeads
	for kv := range p.Shape().KVHeads {
		lists := scores[kv*perKV : (kv+1)*perKV]
		for pos := range p.Len() - v.w.window {
			p.Value(layer, kv, pos, value)
			norm := sumAbs(value)
			for _, list := range lists {
				list[pos] *= norm
			}
		}
	}
	for _, list := range scores {
		always(list, 0, v.sinks)
	}
	return scores, nil
}

func sumAbs(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Abs(float64(v))
	}
	return sum
}
