package pruners

import (
	"fmt"

	"refreekv/model"
)

var simLayerKVInfo = Info{
	Name:  "simlayerkv",
	About: "no budget: layers whose last queries attend to sinks and recent tokens keep only those, all others keep everything",
	Paper: "SimLayerKV, arXiv 2410.13846",
	Options: []Option{
		{Name: "threshold", Default: 0.9, About: "share of the attention on sinks and recent tokens above which a layer is lazy: 0.9 for Llama 3, 0.8 for Mistral, 0.85 for Qwen, 0.65 for Llama 2; 1: none is"},
		{Name: "last_rows", Default: 1, About: "last queries that are averaged"},
		{Name: "recent", Default: 1024, About: "recent tokens; a lazy layer keeps this many less last_rows"},
		{Name: "sinks", Default: 4, About: "first tokens that always stay"},
	},
}

// simLayerKV decides per layer between the full cache and a streaming one, as
// kvpress does: of the attention on the newest rows tokens themselves nothing is
// counted, and prompts of up to sinks, recent and rows tokens stay whole.
type simLayerKV struct {
	threshold           float64
	rows, recent, sinks int
}

func newSimLayerKV(o options) (Pruner, error) {
	m := simLayerKV{o.float("threshold"), o.int("last_rows"), o.int("recent"), o.int("sinks")}
	switch {
	case m.threshold < 0 || m.threshold > 1:
		return nil, fmt.Errorf("threshold %g is no share from 0 to 1", m.threshold)
	case m.rows < 1:
		return nil, fmt.Errorf("last_rows %d is below 1", m.rows)
	case m.recent <= m.rows:
		return nil, fmt.Errorf("recent %d is not above last_rows %d", m.recent, m.rows)
	case m.sinks < 0:
		return nil, fmt.Errorf("sinks %d is negative", m.sinks)
	}
	return m, nil
}

// Needs implements [Pruner].
func (m simLayerKV) Needs() model.Needs { return model.Needs{LastRows: m.rows} }

// Select implements [Pruner].
func (m simLayerKV) Select(p *model.Prefix) (model.Keep, error) {
	if err := checkNeeds(p, m.Needs()); err != nil {
		return nil, err
	}
	n := p.Len()
	all := allPositions(n)
	if m.threshold == 1 || n <= m.sinks+m.recent+m.rows {
		return sameForAll(p, all), nil
	}
	lazy := span(span(nil, 0, m.sinks), n-(m.recent-m.rows), n)
	return eachLayer(p, func(layer int, s *scratch) (model.LayerKeep, error) {
		share, err := m.share(p, layer, s)
		if err != nil || share <= m.threshold {
			return model.LayerKeep{all}, err
		}
		return model.LayerKeep{lazy}, nil
	})
}

// share is the attention that the last rows give to sinks and recent tokens,
// averaged over rows and heads.
func (m simLayerKV) share(p *model.Prefix, layer int, s *scratch) (float64, error) {
	end, heads, sum := p.Len()-m.rows, p.Shape().Heads, 0.0
	for h := range heads {
		if err := sumRows(s.total, p, layer, h, m.rows); err != nil {
			return 0, err
		}
		for _, a := range s.total[:m.sinks] {
			sum += a
		}
		for _, a := range s.total[end-m.recent : end] {
			sum += a
		}
	}
	return sum / float64(heads*m.rows), nil
}
