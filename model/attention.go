package model

import (
	"slices"

	"refreekv/model/tensor"
)

// attention computes causal attention of a chunk of queries over the cache.
// Queries are taken in blocks of a few positions, all query heads of a KV head
// together, so that one pass over the keys serves them all. A block's score
// rows are whole, never the [heads][n][n] matrix.
type attention struct {
	shape    Shape
	block    int     // positions per block
	scoreCap float32 // soft cap of scores that are scaled by log2(e); 0: none
	segment  int     // positions per task
	stride   int     // floats from one score row to the next
	workers  []attentionScratch
	sums     [][]float32 // column sums of one task: [tasks][group·tokens]
	// rounded are the keys and values of the layer at hand, [spans][kvHeads], in the
	// formats that round both sides of a product; nil: those of the cache are used.
	rounded [][]*tensor.RoundedHead
	rounds  bool
}

// attentionScratch is one worker's space for a block of queries.
type attentionScratch struct {
	q, out []float32 // [block·group][headDim]
	scores []float32 // [block·group][stride]
	sums   []float32 // [block·group] sum of a score row's weights
	in     tensor.Input
	lanes  [16]float32
	mask   [1]uint16
}

// keyTile is how many keys of a value product are taken at a time, so that
// their values stay in the cache while all rows use them.
const keyTile = 256

// blockRows is about how many score rows make a block: a multiple of the rows
// that kernels compute together. Column sums depend on it in their last bits, so
// it is the same for all kernels.
const blockRows = 36

// blockTokens is how many positions make a block.
func blockTokens(s Shape) int { return max(1, blockRows/s.Group()) }

// segmentTokens is how many positions make a task.
func segmentTokens(s Shape) int { return 4 * blockTokens(s) }

func newAttention(s Shape, tokens int, dtype tensor.DType) attention {
	g := s.Group()
	a := attention{shape: s, block: blockTokens(s), segment: segmentTokens(s), rounds: dtype == tensor.BFloat16Both}
	// A stride that is a power of two would put all rows into the same cache sets.
	a.stride = (tokens+tensor.Panel-1)/tensor.Panel*tensor.Panel + 16
	a.workers = make([]attentionScratch, tensor.Threads())
	for i := range a.workers {
		a.workers[i] = attentionScratch{
			q:      make([]float32, a.block*g*s.HeadDim),
			out:    make([]float32, a.block*g*s.HeadDim),
			scores: make([]float32, a.block*g*a.stride),
			sums:   make([]float32, a.block*g),
		}
	}
	return a
}

// run attends with the queries of some spans (q: [rows][heads·headDim], scaled by
// log2(e)/sqrt(headDim)) over all keys of their prompts up to their own, writes the
// outputs to out ([rows][heads·headDim]) and records what the prompts ask for.
func (a *attention) run(spans []span, l, window int, q, out []float32) {
	tasks := a.tasks(spans)
	if a.rounds {
		a.round(spans, l, window)
	}
	tensor.Parallel(len(tasks), func(i, worker int) {
		t := tasks[i]
		var head *tensor.RoundedHead
		if a.rounds {
			head = a.rounded[t.span][t.kv]
		}
		s, width := spans[t.span], a.shape.Heads*a.shape.HeadDim
		var sums []float32
		if s.p.needs.ColumnSums {
			sums = a.sums[t.sums]
		}
		end := min((t.segment+1)*a.segment, s.n)
		for from := t.segment * a.segment; from < end; from += a.block {
			a.queries(s.p, l, t.kv, head, window, s.start, from, min(from+a.block, end), q[s.row*width:], out[s.row*width:], sums, &a.workers[worker])
		}
	})
	for _, t := range tasks {
		// A span's first task tells where its sums begin.
		if s := spans[t.span]; t.segment == 0 && t.kv == 0 && s.p.needs.ColumnSums {
			a.mergeSums(s.p, l, t.sums, a.segments(s))
		}
	}
}

// round rounds the keys and values of a layer that the spans' queries see.
func (a *attention) round(spans []span, l, window int) {
	for len(a.rounded) < len(spans) {
		a.rounded = append(a.rounded, make([]*tensor.RoundedHead, a.shape.KVHeads))
	}
	// Parts of a head begin with a panel.
	const part = 16 * tensor.Panel
	type task struct{ span, kv, from, to int }
	var tasks []task
	for i, s := range spans {
		_, base := visible(window, s.start)
		for kv := range a.shape.KVHeads {
			if h := a.rounded[i][kv]; h == nil || h.Tokens() < s.start+s.n {
				a.rounded[i][kv] = tensor.NewRoundedHead(s.p.Len(), a.shape.HeadDim)
			}
			for from := base; from < s.start+s.n; from += part {
				tasks = append(tasks, task{i, kv, from, min(from+part, s.start+s.n)})
			}
		}
	}
	tensor.Parallel(len(tasks), func(i, _ int) {
		t := tasks[i]
		cache := spans[t.span].p.cache
		a.rounded[t.span][t.kv].Set(cache.keys[l][t.kv], cache.values[l][t.kv], t.from, t.to)
	})
}

// An attentionTask is a segment of a span's queries over one KV head.
type attentionTask struct {
	span, segment, kv int
	keys              int // that its last query sees
	sums              int // place of its column sums, where they are asked for
}

// tasks lists the tasks of some spans, those that see the most keys first.
func (a *attention) tasks(spans []span) []attentionTask {
	var out []attentionTask
	sums := 0
	for i, s := range spans {
		segments := a.segments(s)
		for segment := segments - 1; segment >= 0; segment-- {
			for kv := range a.shape.KVHeads {
				out = append(out, attentionTask{i, segment, kv, s.start + min((segment+1)*a.segment, s.n), sums + segment*a.shape.KVHeads + kv})
			}
		}
		if s.p.needs.ColumnSums {
			a.clearSums(sums, segments*a.shape.KVHeads, s.p.Len())
			sums += segments * a.shape.KVHeads
		}
	}
	if len(spans) > 1 {
		slices.SortStableFunc(out, func(a, b attentionTask) int { return b.keys - a.keys })
	}
	return out
}

// segments is how many segments a span's queries make.
func (a *attention) segments(s span) int { return (s.n + a.segment - 1) / a.segment }

// queries attends with the chunk's rows [from, to) of one KV head's group, over the
// rounded head where there is one.
func (a *attention) queries(p *Prefix, l, kv int, head *tensor.RoundedHead, window, start, from, to int, q, out, sums []float32, s *attentionScratch) {
	g, d, width := a.shape.Group(), a.shape.HeadDim, a.shape.Heads*a.shape.HeadDim
	rows, keys := (to-from)*g, start+to
	for i := from; i < to; i++ {
		copy(s.q[(i-from)*g*d:(i-from+1)*g*d], q[i*width+kv*g*d:])
	}
	// No query of the block sees what stands before base.
	_, base := visible(window, start+from)
	k, values := p.cache.keys[l][kv], p.cache.values[l][kv]
	first, panels := base/tensor.Panel, (keys+tensor.Panel-1)/tensor.Panel
	if head != nil {
		head.Scores(s.scores, a.stride, &s.in, s.q, rows, first, panels)
	} else {
		k.Mul(s.scores, a.stride, s.q, d, rows, first, panels, false)
	}
	for row := range rows {
		pos := start + from + row/g
		lo, _ := visible(window, pos)
		scores := s.scores[row*a.stride:][:a.stride]
		s.sums[row] = a.weigh(s, scores, base, lo, pos+1)
		clear(scores[pos+1 : keys])
		a.record(p, l, kv*g+row%g, row%g, lo, pos, scores, 1/s.sums[row], sums)
	}
	for at := base; at < keys; at += keyTile {
		n := min(keyTile, keys-at)
		if head != nil {
			head.MulValues(s.out, &s.in, s.scores[at:], a.stride, rows, at, n, at > base)
		} else {
			tensor.MulRows(s.out, d, s.scores[at:], a.stride, rows, values[at*d:], d, n, d, at > base)
		}
	}
	for row := range rows {
		o := s.out[row*d : (row+1)*d]
		tensor.Scale(o, 1/s.sums[row])
		copy(out[(from+row/g)*width+(kv*g+row%g)*d:], o)
	}
}

// weigh turns the scores at keys [base, end) of a row of scratch into unnormalised
// weights, zero where a window hides what stands before lo, and returns their
// sum. It is softmaxFrom, faster: the scratch goes on behind the last key, so
// that kernels take what fills no vector of 16 as well.
func (a *attention) weigh(s *attentionScratch, scores []float32, base, lo, end int) float32 {
	for i := base; i < lo; i++ {
		scores[i] = hidden
	}
	tensor.SoftCap(scores[lo:end], a.scoreCap)
	whole := base + (end-base)&^15
	s.lanes, s.mask[0] = [16]float32{}, 1<<(end-whole)-1
	most := tensor.Max(scores[base:whole], nil)
	if whole < end {
		most = max(most, tensor.Max(scores[whole:whole+16], s.mask[:]))
	}
	tensor.Exp2(scores[base:whole], most, nil, &s.lanes)
	if whole < end {
		tensor.Exp2(scores[whole:whole+16], most, s.mask[:], &s.lanes)
	}
	clear(scores[base:lo])
	return tensor.SumLanes(&s.lanes)
}

// visible tells which keys a query at position pos sees through a window (0:
// all): those from lo on. base is the start of lo's panel.
func visible(window, pos int) (lo, base int) {
	if window > 0 {
		lo = max(0, pos-window+1)
	}
	return lo, lo / tensor.Panel * tensor.Panel
}

// softmaxFrom is [tensor.Softmax] of a row that begins at base and of which a
// window hides what stands before lo: those entries become zero.
func softmaxFrom(scores []float32, keep headMask, lo, base int) float32 {
	for i := base; i < lo; i++ {
		scores[i] = hidden
	}
	if keep != nil {
		keep = keep[base/16:]
	}
	sum := tensor.Softmax(scores[base:], keep)
	clear(scores[base:lo])
	return sum
}

// hidden is a score whose weight vanishes beside any other.
const hidden = -1e30

// record keeps a query's attention row if it is among the last ones asked for
// and adds it to the column sums.
func (a *attention) record(p *Prefix, l, head, inGroup, lo, pos int, weights []float32, scale float32, sums []float32) {
	if back := p.Len() - 1 - pos; back < p.needs.LastRows {
		row := p.Row(l, head, back)
		copy(row[lo:], weights[lo:pos+1])
		tensor.Scale(row[lo:pos+1], scale)
	}
	if sums != nil {
		tensor.AddScaled(sums[inGroup*p.Len()+lo:inGroup*p.Len()+pos+1], weights[lo:pos+1], scale)
	}
}

// clearSums makes zero sums of so many tasks, from the place first on, for a prompt
// of so many tokens.
func (a *attention) clearSums(first, tasks, tokens int) {
	need := a.shape.Group() * tokens
	for i := first; i < first+tasks; i++ {
		if i == len(a.sums) {
			a.sums = append(a.sums, nil)
		}
		if cap(a.sums[i]) < need {
			a.sums[i] = make([]float32, need)
		}
		a.sums[i] = a.sums[i][:need]
		clear(a.sums[i])
	}
}

// mergeSums adds the column sums of a prompt's tasks, which stand from the place
// first on, in the order of their positions, so that the result does not depend on
// which thread did what.
func (a *attention) mergeSums(p *Prefix, l, first, segments int) {
	g, n := a.shape.Group(), p.Len()
	tensor.Parallel(a.shape.Heads, func(head, _ int) {
		for segment := range segments {
			sums := a.sums[first+segment*a.shape.KVHeads+head/g]
			tensor.Add(p.layers[l].sums[head], sums[head%g*n:(head%g+1)*n])
		}
	})
}
