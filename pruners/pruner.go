package pruners

import "refreekv/model"

// A Pruner chooses the cache entries that outlive prefill.
type Pruner interface {
	// Needs tells prefill what to record. Nothing else is kept.
	Needs() model.Needs
	// Select returns, for every layer, the kept positions, ascending: one list
	// for all heads, one per KV head or one per query head.
	Select(p *model.Prefix) (model.Keep, error)
}
