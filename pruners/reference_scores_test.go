package pruners

import (
	"math"
	"slices"
	"sort"
	"strings"

	"refreekv/model"
)

// This file goes on with the spec of every method from its words: the scores of
// those that rank, and what others build on a score.

// refScores rate the entries of a layer, [lists][tokens]; +Inf stays in any case.
var refScores = map[string]func(p *model.Prefix, layer int, o refSettings) [][]float64{
	"h2o":                refWindowScore("h2o"),
	"snapkv":             refWindowScore("snapkv"),
	"knorm":              refKnorm,
	"tova":               refTOVA,
	"keydiff":            refKeyDiff,
	"lagkv":              refLagKV,
	"cur":                refCUR,
	"observed_attention": refObserved,
	"scissorhands":       refScissorhands,
	"random":             refRandom,
}

// refWrappers choose by another method's score, or by none.
var refWrappers = map[string]func(p *model.Prefix, layer int, o refSettings) model.LayerKeep{
	"adakv":      refAdaKV,
	"pyramidkv":  refPyramidKV,
	"chunkkv":    refChunkKV,
	"simlayerkv": refSimLayerKV,
}

// refInner is the score that a wrapper's settings choose, with its settings.
func refInner(p *model.Prefix, layer int, o refSettings) [][]float64 {
	inner := refSettings{}
	for name, value := range o {
		if rest, ok := strings.CutPrefix(name, "score."); ok {
			inner[rest] = value
		}
	}
	return refScores[o["score"].(string)](p, layer, inner)
}

func refEverything(n int) model.LayerKeep {
	return model.LayerKeep{listOf(func(int) bool { return true }, n)}
}

// refRanked keeps the best of every list within the budget.
func refRanked(p *model.Prefix, scores [][]float64, o refSettings) model.LayerKeep {
	c := refCapacity(p.Len(), o.number("budget"))
	if c == p.Len() {
		return refEverything(c)
	}
	return refBest(scores, c)
}

// refBest keeps the c best entries of every list.
func refBest(scores [][]float64, c int) model.LayerKeep {
	out := model.LayerKeep{}
	for _, list := range scores {
		best := refOrder(list)[:c]
		out = append(out, listOf(func(pos int) bool { return slices.Contains(best, pos) }, len(list)))
	}
	return out
}

// refOrder lists positions, best first: of those that stay in any case the
// newest first, of equal others the oldest.
func refOrder(list []float64) []int {
	order := byScoreDown(list)
	stay := 0
	for stay < len(order) && math.IsInf(list[order[stay]], 1) {
		stay++
	}
	slices.Reverse(order[:stay])
	return order
}

func refWindowScore(name string) func(p *model.Prefix, layer int, o refSettings) [][]float64 {
	return func(p *model.Prefix, layer int, o refSettings) [][]float64 {
		n, window := p.Len(), o.whole("window")
		scores := refWindowScores(p, layer, name, o, window, max(n-window, 0))
		for i := range scores {
			for len(scores[i]) < n {
				scores[i] = append(scores[i], math.Inf(1))
			}
		}
		return scores
	}
}

// perEntry makes one list per KV head.
func perEntry(p *model.Prefix, rate func(kv, pos int) float64) [][]float64 {
	out := make([][]float64, p.Shape().KVHeads)
	for kv := range out {
		for pos := range p.Len() {
			out[kv] = append(out[kv], rate(kv, pos))
		}
	}
	return out
}

// refRows are the keys or values of a KV head: [tokens][headDim].
func refRows(p *model.Prefix, read func(layer, kv, pos int, dst []float32), layer, kv int) [][]float64 {
	out := make([][]float64, p.Len())
	row := make([]float32, p.Shape().HeadDim)
	for pos := range out {
		read(layer, kv, pos, row)
		for _, x := range row {
			out[pos] = append(out[pos], float64(x))
		}
	}
	return out
}

func refDot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func refKnorm(p *model.Prefix, layer int, _ refSettings) [][]float64 {
	out := make([][]float64, p.Shape().KVHeads)
	for kv := range out {
		for _, k := range refRows(p, p.Key, layer, kv) {
			out[kv] = append(out[kv], -math.Sqrt(refDot(k, k)))
		}
	}
	return out
}

// refTOVA: mean over all query heads of the last row; the last token stays.
func refTOVA(p *model.Prefix, layer int, _ refSettings) [][]float64 {
	n := p.Len()
	scores := make([]float64, n)
	for key := range scores {
		for h := range p.Shape().Heads {
			scores[key] += refScore(p, layer, h, key, 1)
		}
		scores[key] /= float64(p.Shape().Heads)
	}
	scores[n-1] = math.Inf(1)
	return [][]float64{scores}
}

// refKeyDiff: minus the cosine with the mean of the normalised keys.
func refKeyDiff(p *model.Prefix, layer int, _ refSettings) [][]float64 {
	n := p.Len()
	out := make([][]float64, p.Shape().KVHeads)
	for kv := range out {
		keys := refRows(p, p.Key, layer, kv)
		anchor := make([]float64, p.Shape().HeadDim)
		for _, k := range keys {
			for i := range anchor {
				anchor[i] += k[i] / math.Sqrt(refDot(k, k)) / float64(n)
			}
		}
		for _, k := range keys {
			out[kv] = append(out[kv], -refDot(k, anchor)/math.Sqrt(refDot(k, k)*refDot(anchor, anchor)))
		}
	}
	return out
}

// refLagKV: every chunk against the bounds of the next.
func refLagKV(p *model.Prefix, layer int, o refSettings) [][]float64 {
	n, sinks, lag := p.Len(), o.whole("sinks"), o.whole("lag")
	out := make([][]float64, p.Shape().KVHeads)
	for kv := range out {
		keys, values := refRows(p, p.Key, layer, kv), refRows(p, p.Value, layer, kv)
		scores := make([]float64, n)
		for pos := range scores {
			scores[pos] = 10 + float64(pos) // the newest first
		}
		for from := sinks; from+2*lag <= n; from += lag {
			a := refSpread(keys[from:from+lag], keys[from+lag:from+2*lag])
			b := refSpread(values[from:from+lag], values[from+lag:from+2*lag])
			both := make([]float64, lag)
			for i := range both {
				both[i] = (a[i] + b[i]) / 2
			}
			for i, x := range both {
				scores[from+i] = x
				if o["cross_scoring"] == false {
					below := 0
					for j, y := range both {
						if y < x || y == x && j < i {
							below++
						}
					}
					scores[from+i] = float64(below) / float64(lag)
				}
			}
		}
		for pos := range scores {
			if pos < sinks || pos == n-1 {
				scores[pos] = math.Inf(1)
			}
		}
		out[kv] = scores
	}
	return out
}

// refSpread is the softmax of the sample standard deviations of rows that are
// scaled by the bounds of other rows.
func refSpread(rows, others [][]float64) []float64 {
	var out []float64
	sum := 0.0
	for _, row := range rows {
		var scaled []float64
		for i, x := range row {
			low, high := others[0][i], others[0][i]
			for _, other := range others {
				low, high = math.Min(low, other[i]), math.Max(high, other[i])
			}
			if high > low {
				scaled = append(scaled, (x-low)/(high-low))
			}
		}
		mean, squares := 0.0, 0.0
		for _, x := range scaled {
			mean += x / float64(len(scaled))
		}
		for _, x := range scaled {
			squares += (x - mean) * (x - mean)
		}
		deviation := 0.0
		if len(scaled) > 1 {
			deviation = math.Sqrt(squares / float64(len(scaled)-1))
		}
		out = append(out, math.Exp(deviation))
		sum += math.Exp(deviation)
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// refCUR: shares of squared norms in a neighbourhood, keys and values.
func refCUR(p *model.Prefix, layer int, o refSettings) [][]float64 {
	n, window := p.Len(), o.whole("window")
	out := make([][]float64, p.Shape().KVHeads)
	for kv := range out {
		share := func(rows [][]float64, pos int) float64 {
			if window == 0 {
				return refDot(rows[pos], rows[pos])
			}
			sum := 0.0
			for other := range rows {
				if other/window == pos/window {
					sum += refDot(rows[other], rows[other])
				}
			}
			return refDot(rows[pos], rows[pos]) / sum
		}
		keys, values := refRows(p, p.Key, layer, kv), refRows(p, p.Value, layer, kv)
		sum := 0.0
		for pos := range n {
			k, v := share(keys, pos), share(values, pos)
			out[kv] = append(out[kv], map[string]float64{"product": k * v, "mean": (k + v) / 2, "key": k, "value": v}[o["leverage"].(string)])
			sum += out[kv][pos]
		}
		for pos := range n {
			out[kv][pos] /= sum
			if pos < o.whole("sinks") {
				out[kv][pos] = math.Inf(1)
			}
		}
	}
	return out
}

// refObserved: mean attention over the queries from the key on and the heads of
// the group.
func refObserved(p *model.Prefix, layer int, _ refSettings) [][]float64 {
	group := p.Shape().Group()
	return perEntry(p, func(kv, pos int) float64 {
		sum := 0.0
		for h := kv * group; h < (kv+1)*group; h++ {
			sum += float64(p.ColumnSum(layer, h)[pos])
		}
		return sum / float64((p.Len()-pos)*group)
	})
}

// refScissorhands: how many of the window's queries that see the key gave it
// less than an even share.
func refScissorhands(p *model.Prefix, layer int, o refSettings) [][]float64 {
	n, group := p.Len(), p.Shape().Group()
	return perEntry(p, func(kv, pos int) float64 {
		if pos >= n-o.whole("recent") {
			return math.Inf(1)
		}
		low := 0
		for h := kv * group; h < (kv+1)*group; h++ {
			for query := max(n-o.whole("window"), pos); query < n; query++ {
				if p.Row(layer, h, n-1-query)[pos] < 1/float32(query+1) {
					low++
				}
			}
		}
		return -float64(low)
	})
}

// refRandom asks the product: TestRandomDraws holds its draws to account.
func refRandom(p *model.Prefix, layer int, o refSettings) [][]float64 {
	scores, _ := random{o.whole("seed")}.score(p, layer, newScratch(p.Shape().Heads, p.Len()))
	return scores
}

// refAdaKV: the best of every list up to the safeguard, then the best of all
// lists together.
func refAdaKV(p *model.Prefix, layer int, o refSettings) model.LayerKeep {
	n, scores := p.Len(), refInner(p, layer, o)
	c := refCapacity(n, o.number("budget"))
	safe := int(float64(c) * o.number("safeguard"))
	if safe == 0 {
		safe = 1
	}
	type entry struct{ list, pos int }
	var rest []entry
	kept := make([][]int, len(scores))
	for i, list := range scores {
		order := refOrder(list)
		kept[i] = slices.Clone(order[:safe])
		sort.Ints(order[safe:])
		for _, pos := range order[safe:] {
			rest = append(rest, entry{i, pos})
		}
	}
	sort.SliceStable(rest, func(a, b int) bool {
		x, y := scores[rest[a].list][rest[a].pos], scores[rest[b].list][rest[b].pos]
		if math.IsInf(x, 1) && math.IsInf(y, 1) {
			return rest[a].pos > rest[b].pos
		}
		return x > y
	})
	for _, e := range rest[:len(scores)*(c-safe)] {
		kept[e.list] = append(kept[e.list], e.pos)
	}
	out := model.LayerKeep{}
	for _, list := range kept {
		out = append(out, listOf(func(pos int) bool { return slices.Contains(list, pos) }, n))
	}
	return out
}

func refPyramidKV(p *model.Prefix, layer int, o refSettings) model.LayerKeep {
	n, layers, schedule := p.Len(), p.Shape().Layers, o["schedule"]
	c := refCapacity(n, o.number("budget"))
	if name := o["score"]; (name == "h2o" || name == "snapkv") && schedule != "kvpress" && c <= o["score.window"].(int) {
		o["score.window"] = 1
	}
	scores, window := refInner(p, layer, o), 0
	for window < n && scores[0][n-1-window] > math.MaxFloat64 {
		window++
	}
	count := 0
	switch schedule {
	case "released", "factory":
		older := c - window
		low := older / o.whole("beta")
		high := 2*older - low
		if high >= n-window {
			high, low = n-window, 2*older-(n-window)
		}
		divisor := layers
		if schedule == "factory" {
			divisor--
		}
		count = high - layer*((high-low)/divisor) + window
		if n < 2*older || older < 0 {
			count = c
		}
	case "kvpress":
		real := o.number("budget")
		if real <= 1 {
			real *= float64(n)
		}
		real = math.Min(real, float64(n))
		low := real / float64(o.whole("beta"))
		high := 2*real - low
		if high >= float64(n-window) {
			high, low = float64(n-window), 2*real-float64(n-window)
		}
		count = int(math.RoundToEven(high - float64(layer)*(high-low)/float64(layers-1)))
		if high > float64(n) || low > high || low < float64(window) {
			count = int(math.RoundToEven(real))
		}
	}
	if c == n {
		return refEverything(n)
	}
	return refBest(scores, max(count, 1))
}

func refChunkKV(p *model.Prefix, layer int, o refSettings) model.LayerKeep {
	n, chunk, budget := p.Len(), o.whole("chunk"), o.number("budget")
	scores := refInner(p, layer, o)
	if n < chunk {
		return refRanked(p, scores, o)
	}
	var means []float64
	for from := 0; from < n; from += chunk {
		sum, to := 0.0, min(from+chunk, n)
		for _, list := range scores {
			for _, x := range list[from:to] {
				sum += x
			}
		}
		means = append(means, sum/float64(to-from))
	}
	count := int(budget * float64(len(means)))
	if budget > 1 {
		count = int(budget / float64(chunk))
		if budget >= float64(n) {
			count = len(means)
		}
	}
	best := refOrder(means)[:max(count, 1)]
	return model.LayerKeep{listOf(func(pos int) bool { return slices.Contains(best, pos/chunk) }, n)}
}

func refSimLayerKV(p *model.Prefix, layer int, o refSettings) model.LayerKeep {
	n, rows, recent, sinks := p.Len(), o.whole("last_rows"), o.whole("recent"), o.whole("sinks")
	if n <= sinks+recent+rows || o.number("threshold") == 1 {
		return refEverything(n)
	}
	sum := 0.0
	for h := range p.Shape().Heads {
		for key := range n - rows {
			if key < sinks || key >= n-rows-recent {
				sum += refScore(p, layer, h, key, rows)
			}
		}
	}
	if sum/float64(rows*p.Shape().Heads) <= o.number("threshold") {
		return refEverything(n)
	}
	return model.LayerKeep{listOf(func(pos int) bool { return pos < sinks || pos >= n-recent+rows }, n)}
}
