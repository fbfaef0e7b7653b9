package pruners

import "refreekv/model"

var fullInfo = Info{Name: "full", About: "the full cache: nothing is pruned", Paper: "reference"}

type full struct{}

func newFull(options) (Pruner, error) { return full{}, nil }

func (full) Needs() model.Needs { return model.Needs{} }

func (full) Select(p *model.Prefix) (model.Keep, error) {
	return model.All(p.Shape().Layers, p.Len()), nil
}
