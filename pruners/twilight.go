package pruners

import (
	"fmt"

	"refreekv/model"
)

// topPOption is the attention mass that a set of entries must reach.
func topPOption(name string) Option {
	return Option{Name: name, Default: 0.95, About: "share of the attention that the kept entries of a head must reach; 1 keeps everything"}
}

// unionOption says whether query heads that share a KV head keep one list.
var unionOption = Option{Name: "heads", Default: "query", Choices: []string{"query", "kv"}, About: "query: every query head keeps its own entries; kv: a KV head keeps what any of its query heads chose"}

var twilightInfo = Info{
	Name:  "twilight",
	About: "threshold-free: top-p, the fewest entries of a head that hold a share of its attention",
	Paper: "Twilight, arXiv 2502.02770; its top-p, there applied to every decoded token, once after prefill",
	Options: []Option{
		topPOption("p"),
		{Name: "window", Default: 1, About: "how many last queries' attention is added up"},
		unionOption,
	},
}

// twilight keeps, per head, the smallest set of entries whose attention reaches
// the share p. The paper protects neither sinks nor recent tokens.
type twilight struct {
	p      float64
	window int
	heads  string
}

func newTwilight(o options) (Pruner, error) {
	t := twilight{o.float("p"), o.int("window"), o.text("heads")}
	if t.window < 1 {
		return nil, fmt.Errorf("window %d is below 1", t.window)
	}
	return t, checkTopP("p", t.p)
}

func checkTopP(name string, p float64) error {
	if p <= 0 || p > 1 {
		return fmt.Errorf("%s %g is no share above 0 and up to 1", name, p)
	}
	return nil
}

func (t twilight) Needs() model.Needs { return model.Needs{LastRows: t.window} }

func (t twilight) Select(p *model.Prefix) (model.Keep, error) {
	if err := checkNeeds(p, t.Needs()); err != nil {
		return nil, err
	}
	return eachLayer(p, func(layer int, s *scratch) (model.LayerKeep, error) {
		chosen := make(model.LayerKeep, p.Shape().Heads)
		for h := range chosen {
			if err := sumRows(s.total, p, layer, h, t.window); err != nil {
				return nil, err
			}
			count := topP(s.total, t.p, s)
			chosen[h] = topK(make([]int32, 0, count), s.total, count, s.spare)
		}
		return joinHeads(chosen, p.Shape(), t.heads, s), nil
	})
}

// topP is the smallest number of entries, the largest first, whose weights reach
// the share p of all; at least 1, and all for p = 1.
func topP(weights []float64, p float64, s *scratch) int {
	if p == 1 {
		return len(weights)
	}
	order := rank(weights, s, 0)
	sum := 0.0
	for _, pos := range order {
		sum += weights[pos]
	}
	reached := 0.0
	for count := 1; count < len(order); count++ {
		reached += weights[order[len(order)-count]]
		if reached >= p*sum {
			return count
		}
	}
	return len(order)
}

// joinHeads makes one list per KV head of the query heads' lists, their union;
// heads=query leaves them.
func joinHeads(chosen model.LayerKeep, shape model.Shape, heads string, s *scratch) model.LayerKeep {
	if heads == "query" {
		return chosen
	}
	out := make(model.LayerKeep, shape.KVHeads)
	for kv := range out {
		most := 0
		for _, list := range chosen[kv*shape.Group() : (kv+1)*shape.Group()] {
			most += len(list)
			for _, pos := range list {
				s.marked[pos] = true
			}
		}
		out[kv] = s.takeMarked(min(most, len(s.marked)))
	}
	return out
}
