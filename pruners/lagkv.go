package pruners

import (
	"fmt"
	"math"
	"slices"

	"refreekv/model"
)

var lagkvInfo = Info{
	Name:  "lagkv",
	About: "entries whose keys and values stand out against the chunk of tokens that follows theirs; the last chunk stays",
	Paper: "LagKV, arXiv 2504.04704",
	Options: []Option{
		budgetOption,
		{Name: "sinks", Default: 4, About: "first tokens that always stay"},
		{Name: "lag", Default: 128, About: "tokens of a chunk; prompts of less than sinks and two chunks keep the sinks and the newest"},
		{Name: "cross_scoring", Default: false, About: "true: scores are compared across chunks; false: ranks within a chunk are, so that every chunk keeps the same share"},
	},
}

// lagKV scales a chunk's keys, channel by channel, by the lowest and highest
// value of the next chunk and rates a token by the spread of its channels; so
// with the values.
type lagKV struct {
	sinks, lag int
	cross      bool
}

func newLagKV(o options) (scorer, error) {
	l := lagKV{sinks: o.int("sinks"), lag: o.int("lag"), cross: o.bool("cross_scoring")}
	if l.sinks < 0 {
		return nil, fmt.Errorf("sinks %d is negative", l.sinks)
	}
	if l.lag < 1 {
		return nil, fmt.Errorf("lag %d is below 1", l.lag)
	}
	return l, nil
}

func (lagKV) needs() model.Needs { return model.Needs{} }

func (l lagKV) score(p *model.Prefix, layer int, s *scratch) ([][]float64, error) {
	n := p.Len()
	rated := max((n-l.sinks)/l.lag-1, 0) * l.lag // tokens that a whole chunk follows
	chunk := newLagChunk(l.lag, p.Shape().HeadDim)
	return perKVHead(p, s, func(kv int, dst []float64) {
		key := func(pos int, dst []float32) { p.Key(layer, kv, pos, dst) }
		value := func(pos int, dst []float32) { p.Value(layer, kv, pos, dst) }
		for from := l.sinks; from < l.sinks+rated; from += l.lag {
			scores := dst[from : from+l.lag]
			clear(scores)
			chunk.rate(scores, from, key)
			chunk.rate(scores, from, value)
			// Ranks would hide a score that is not a number.
			if !l.cross && !slices.ContainsFunc(scores, math.IsNaN) {
				copy(s.total, scores)
				for place, at := range rank(s.total[:l.lag], s, kv) {
					scores[at] = float64(place) / float64(l.lag)
				}
			}
		}
		// All that follows stays as well. The scores rise, above those of the
		// chunks, so that a budget that cannot hold it all holds the newest.
		for pos := min(l.sinks+rated, n); pos < n; pos++ {
			dst[pos] = 1 + float64(pos+1)/float64(n)
		}
		always(dst, 0, l.sinks)
		always(dst, n-1, n)
	}), nil
}

// lagChunk is the space for rating one chunk.
type lagChunk struct {
	lag       int
	x         []float32 // [headDim]
	low, high []float64 // [headDim] bounds of the next chunk
	scale     []float64 // [headDim] 1/(high-low); 0 where the next chunk repeats one value
	scaled    []float64 // [headDim]
	spread    []float64 // [lag]
}

func newLagChunk(lag, headDim int) *lagChunk {
	c := &lagChunk{lag: lag, x: make([]float32, headDim), spread: make([]float64, lag)}
	for _, channels := range []*[]float64{&c.low, &c.high, &c.scale, &c.scaled} {
		*channels = make([]float64, headDim)
	}
	return c
}

// rate adds half of the softmax over the tokens' spreads to the scores of the
// chunk that starts at position from.
func (c *lagChunk) rate(scores []float64, from int, read func(pos int, dst []float32)) {
	c.bound(from+c.lag, read)
	most := 0.0
	for i := range c.spread {
		read(from+i, c.x)
		c.spread[i] = c.deviation()
		most = max(most, c.spread[i])
	}
	sum := 0.0
	for i, x := range c.spread {
		c.spread[i] = math.Exp(x - most)
		sum += c.spread[i]
	}
	for i, x := range c.spread {
		scores[i] += x / sum / 2
	}
}

// bound finds the channels' bounds in the chunk that starts at position from.
func (c *lagChunk) bound(from int, read func(pos int, dst []float32)) {
	for i := range c.low {
		c.low[i], c.high[i] = math.Inf(1), math.Inf(-1)
	}
	for pos := from; pos < from+c.lag; pos++ {
		read(pos, c.x)
		for i, v := range c.x {
			c.low[i], c.high[i] = min(c.low[i], float64(v)), max(c.high[i], float64(v))
		}
	}
	for i := range c.scale {
		c.scale[i] = 0
		if c.high[i] != c.low[i] {
			c.scale[i] = 1 / (c.high[i] - c.low[i])
		}
	}
}

// deviation is the sample standard deviation of the scaled channels of x. A
// channel without a scale says nothing.
func (c *lagChunk) deviation() float64 {
	scaled, mean := c.scaled[:0], 0.0
	for i, v := range c.x {
		if c.scale[i] != 0 {
			scaled = append(scaled, (float64(v)-c.low[i])*c.scale[i])
			mean += scaled[len(scaled)-1]
		}
	}
	if len(scaled) < 2 {
		return 0
	}
	mean /= float64(len(scaled))
	squares := 0.0
	for _, x := range scaled {
		squares += (x - mean) * (x - mean)
	}
	return math.Sqrt(squares / float64(len(scaled)-1))
}
