package model

import (
	"math"
	"slices"

	"refreekv/model/tensor"
)

// moments are mean and spread of vectors, gathered a chunk at a time. All sums
// over chunks are in float64.
type moments struct {
	count  int
	mean   []float64 // [width]
	spread []float64 // sums of products of deviations: [width][width], or [width] where only variances are asked for
}

// merge adds a chunk's count, mean and spread (Chan, Golub and LeVeque 1979).
func (m *moments) merge(count int, mean, spread []float64) {
	if m.count == 0 {
		m.count, m.mean, m.spread = count, slices.Clone(mean), slices.Clone(spread)
		return
	}
	width, all := len(mean), float64(m.count+count)
	weight := float64(m.count) * float64(count) / all
	delta := make([]float64, width)
	for i := range delta {
		delta[i] = mean[i] - m.mean[i]
		m.mean[i] += delta[i] * float64(count) / all
	}
	for i := range m.spread {
		if len(spread) == width {
			m.spread[i] += spread[i] + weight*delta[i]*delta[i]
			continue
		}
		m.spread[i] += spread[i] + weight*delta[i/width]*delta[i%width]
	}
	m.count += count
}

// over divides the spread by the count: covariance or variances.
func (m *moments) over() []float64 {
	out := make([]float64, len(m.spread))
	for i, x := range m.spread {
		out[i] = x / float64(m.count)
	}
	return out
}

// recordMoments adds the chunk's queries and hidden states to a layer's moments.
func (r *pass) recordMoments(l int) {
	for _, s := range r.spans {
		r.recordMomentsOf(s, l)
	}
}

// recordMomentsOf adds those of one prompt, in order and a segment at a time: the
// result depends neither on the number of threads nor on where chunks begin.
func (r *pass) recordMomentsOf(s span, l int) {
	c, layer, segment := r.m.Config, &s.p.layers[l], r.attention.segment
	parts := func(add func(from, rows int)) {
		for from := max(0, MomentsFrom-s.start); from < s.n; {
			to := min((s.start+from)/segment*segment+segment-s.start, s.n)
			add(s.row+from, to-from)
			from = to
		}
	}
	if s.p.needs.QueryMoments {
		if layer.moments == nil {
			layer.moments = make([]moments, c.Heads)
		}
		width := c.Heads * c.HeadDim
		tensor.Parallel(c.Heads, func(head, _ int) {
			parts(func(from, rows int) {
				mean, spread := covariance(r.bare[from*width+head*c.HeadDim:], width, rows, c.HeadDim)
				layer.moments[head].merge(rows, mean, spread)
			})
		})
	}
	if s.p.needs.HiddenMoments {
		parts(func(from, rows int) {
			mean, spread := variances(r.hidden[from*c.Hidden:], rows, c.Hidden)
			layer.hidden.merge(rows, mean, spread)
		})
	}
}

// covariance returns the mean of rows (each [width], stride apart) and the sums
// of products of their deviations from it.
func covariance(x []float32, stride, rows, width int) (mean, spread []float64) {
	mean = make([]float64, width)
	for i := range rows {
		for j, v := range x[i*stride : i*stride+width] {
			mean[j] += float64(v)
		}
	}
	for j := range mean {
		mean[j] /= float64(rows)
	}
	across, along := make([]float32, width*rows), make([]float32, rows*width)
	for i := range rows {
		for j, v := range x[i*stride : i*stride+width] {
			deviation := float32(float64(v) - mean[j])
			across[j*rows+i], along[i*width+j] = deviation, deviation
		}
	}
	products := make([]float32, width*width)
	tensor.MulRows(products, width, across, rows, width, along, width, rows, width, false)
	spread = make([]float64, len(products))
	for i, v := range products {
		spread[i] = float64(v)
	}
	return mean, spread
}

// variances returns the mean of rows ([rows][width]) and the sums of squared
// deviations from it.
func variances(x []float32, rows, width int) (mean, spread []float64) {
	mean, spread = make([]float64, width), make([]float64, width)
	for i := range rows {
		for j, v := range x[i*width : (i+1)*width] {
			mean[j] += float64(v)
		}
	}
	for j := range mean {
		mean[j] /= float64(rows)
	}
	for i := range rows {
		for j, v := range x[i*width : (i+1)*width] {
			d := float64(v) - mean[j]
			spread[j] += d * d
		}
	}
	return mean, spread
}

// QueryMoments returns the mean, [headDim], and the population covariance,
// [headDim][headDim], of a query head's queries before rotary embedding, over
// the tokens from [MomentsFrom] on; nil where the prompt has none. It panics if
// they were not asked for in Needs.
func (p *Prefix) QueryMoments(layer, head int) (mean, covariance []float64) {
	if !p.needs.QueryMoments {
		panic("model: moments of the queries were not recorded")
	}
	if moments := p.layers[layer].moments; moments != nil && moments[head].count > 0 {
		return moments[head].mean, moments[head].over()
	}
	return nil, nil
}

// HiddenMoments returns the mean and the variance, [hidden] each, of what enters
// a layer's query projection, over the tokens from [MomentsFrom] on; nil where
// the prompt has none. It panics if they were not asked for in Needs.
func (p *Prefix) HiddenMoments(layer int) (mean, variance []float64) {
	if !p.needs.HiddenMoments {
		panic("model: moments of the hidden states were not recorded")
	}
	m := &p.layers[layer].hidden
	if m.count == 0 {
		return nil, nil
	}
	return m.mean, m.over()
}

// Rotation returns the cosines and sines, [dim/2] each, by which a layer's
// rotary embedding turns a query or key at a position, which may lie beyond the
// prompt: value i of a head turns with value i+dim/2, values from dim on stay. A
// layer without rotary embedding has none.
func (p *Prefix) Rotation(layer, pos int) (cos, sin []float32) {
	index := p.model.layers[layer].Rope
	if index < 0 {
		return nil, nil
	}
	rope := p.model.ropes[index].rope
	return rope.angles(nil, nil, rope.frequencies(max(p.tokens, pos+1)), pos)
}

// ScoreScale is the factor of query·key in the attention logits: 1/sqrt(headDim)
// in most models.
func (p *Prefix) ScoreScale() float64 { return p.model.Config.QueryScale }

// ProjectQueries turns vectors that would enter a layer's query projection,
// [rows][hidden], into queries before rotary embedding, [rows][heads·headDim].
func (p *Prefix) ProjectQueries(layer int, hidden, dst []float32) {
	m := p.model
	c, width := m.Config, m.Config.Heads*m.Config.HeadDim
	rows := len(hidden) / c.Hidden
	panels := (width + tensor.Panel - 1) / tensor.Panel
	stride := panels * tensor.Panel
	wide := make([]float32, rows*stride)
	qkv := m.layers[layer].qkv
	qkv.MulPanels(wide, stride, qkv.Input(new(tensor.Input), hidden, c.Hidden, rows), 0, panels)
	for i := range rows {
		row := dst[i*width : (i+1)*width]
		copy(row, wide[i*stride:])
		m.biasAndNorm(layer, row)
	}
}

// OutputNorms sets dst, [positions], to the L1 norm of what the values at some
// positions become behind a query head's part of the output projection: ‖W_o v‖₁.
func (p *Prefix) OutputNorms(layer, head int, positions []int32, dst []float64) {
	const block = mostRows
	d, out := p.shape.HeadDim, p.model.layers[layer].out
	all := p.cache.values[layer][head/p.shape.Group()]
	values, wide := make([]float32, block*d), make([]float32, block*out.N)
	for from := 0; from < len(positions); from += block {
		rows := min(block, len(positions)-from)
		for i, pos := range positions[from : from+rows] {
			copy(values[i*d:(i+1)*d], all[int(pos)*d:])
		}
		out.MulPart(wide, out.N, values, d, rows, head*d, d)
		for i := range rows {
			dst[from+i] = float64(tensor.SumAbs(wide[i*out.N : (i+1)*out.N]))
		}
	}
}

// Attend computes the attention rows of the queries from..to-1 again: dst is
// [to-from][tokens]. With causal, a query sees what it saw in prefill; without,
// every key of the prompt. It panics if queries were not asked for in Needs.
func (p *Prefix) Attend(layer, head, from, to int, causal bool, dst []float32) {
	if !p.needs.Queries {
		panic("model: queries were not recorded")
	}
	width, d, n := p.shape.Heads*p.shape.HeadDim, p.shape.HeadDim, p.tokens
	keys := p.cache.keys[layer][head/p.shape.Group()]
	panels := keys.Panels()
	if causal {
		panels = (to + tensor.Panel - 1) / tensor.Panel
	}
	keys.Mul(dst, n, p.layers[layer].queries[from*width+head*d:], width, to-from, 0, panels, false)
	window, scoreCap := 0, float32(0)
	if p.model != nil {
		window, scoreCap = p.model.layers[layer].Window, float32(p.model.Config.ScoreCap*math.Log2E)
	}
	for i := range to - from {
		row := dst[i*n : (i+1)*n]
		lo, end := 0, n
		if causal {
			lo, _ = visible(window, from+i)
			end = from + i + 1
		}
		clear(row[:lo])
		clear(row[end:])
		seen := row[lo:end]
		tensor.SoftCap(seen, scoreCap)
		tensor.Scale(seen, 1/tensor.Softmax(seen, nil))
	}
}

// SetQuery writes a query after rotary embedding, [headDim], scaled as the
// model scales it. It is for tests, before the prefix is handed on.
func (p *Prefix) SetQuery(layer, head, pos int, query []float32) {
	width, d := p.shape.Heads*p.shape.HeadDim, p.shape.HeadDim
	row := p.layers[layer].queries[pos*width+head*d:][:d]
	copy(row, query)
	tensor.Scale(row, math.Log2E)
}
