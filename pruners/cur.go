package pruners

import (
	"fmt"

	"refreekv/model"
)

var curInfo = Info{
	Name:  "cur",
	About: "entries whose keys and values have most leverage: squared norms, each as a share of its neighbourhood",
	Paper: "CurDKV, arXiv 2509.15038; approximate scores as in kvpress",
	Options: []Option{
		budgetOption,
		{Name: "sinks", Default: 4, About: "first tokens that always stay"},
		{Name: "window", Default: 16, About: "tokens of a neighbourhood; 0: norms are compared over the whole prompt"},
		{Name: "leverage", Default: "product", Choices: []string{"product", "mean", "key", "value"}, About: "product or mean of the key's and the value's leverage, or one of them alone"},
	},
}

// cur rates an entry by the approximate leverage of its key and value.
type cur struct {
	sinks, window int
	leverage      string
}

func newCUR(o options) (scorer, error) {
	c := cur{sinks: o.int("sinks"), window: o.int("window"), leverage: o.text("leverage")}
	if c.sinks < 0 {
		return nil, fmt.Errorf("sinks %d is negative", c.sinks)
	}
	if c.window < 0 {
		return nil, fmt.Errorf("window %d is negative", c.window)
	}
	return c, nil
}

func (cur) needs() model.Needs { return model.Needs{} }

func (c cur) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	n, x := p.Len(), make([]float32, p.Shape().HeadDim)
	return perKVHead(p, s, func(kv int, dst []float64) {
		keys, values := s.total, s.spare
		for pos := range dst {
			p.Key(layer, kv, pos, x)
			keys[pos] = sumSquares(x)
			p.Value(layer, kv, pos, x)
			values[pos] = sumSquares(x)
		}
		for from := 0; from < n && c.window > 0; from += c.window {
			asShares(keys[from:min(from+c.window, n)])
			asShares(values[from:min(from+c.window, n)])
		}
		for pos := range dst {
			switch c.leverage {
			case "product":
				dst[pos] = keys[pos] * values[pos]
			case "mean":
				dst[pos] = (keys[pos] + values[pos]) / 2
			case "key":
				dst[pos] = keys[pos]
			case "value":
				dst[pos] = values[pos]
			}
		}
		asShares(dst)
		always(dst, 0, c.sinks)
	}), nil
}

// asShares divides values by their sum, unless that is 0.
func asShares(a []float64) {
	sum := 0.0
	for _, x := range a {
		sum += x
	}
	if sum == 0 {
		return
	}
	for i := range a {
		a[i] /= sum
	}
}
