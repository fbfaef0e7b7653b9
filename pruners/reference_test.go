package pruners

import (
	"math"
	"slices"
	"sort"
	"testing"

	"refreekv/model"
)

// This file is the spec of every method once more, written from its words: plain
// loops over all keys and all cuts, full sorts, no shared sums. vector_test.go
// holds it to the spec's printed numbers, equal_test.go the product to it.

// refSettings are the options of a method, defaults filled in.
type refSettings map[string]any

func (s refSettings) number(name string) float64 { return s[name].(float64) }
func (s refSettings) whole(name string) int      { return s[name].(int) }
func (s refSettings) is(name, value string) bool { return s[name] == value }

func reference(t testing.TB, text string, p *model.Prefix) model.Keep {
	t.Helper()
	m, settings := mustResolve(t, text)
	o, name := refSettings(settings), m.info.Name
	keep := make(model.Keep, p.Shape().Layers)
	for layer := range keep {
		switch name {
		case "full":
			keep[layer] = model.LayerKeep{listOf(func(int) bool { return true }, p.Len())}
		case "streamingllm":
			keep[layer] = refStreaming(p, o)
		case "h2o", "snapkv":
			keep[layer] = refWindowed(p, layer, name, o)
		case "refreekv":
			keep[layer] = refReFreeKV(p, layer, o)
		default:
			if rate, ok := refScores[name]; ok {
				keep[layer] = refRanked(p, rate(p, layer, o), o)
			} else if choose, ok := refWrappers[name]; ok {
				keep[layer] = choose(p, layer, o)
			} else {
				t.Fatalf("no reference of %s", name)
			}
		}
	}
	return keep
}

// refCapacity is round(n·b) as Python rounds, between 1 and n; above 1 a budget
// is a number of tokens.
func refCapacity(n int, budget float64) int {
	if budget > 1 {
		return int(math.Min(budget, float64(n)))
	}
	x := float64(n) * budget
	below := math.Floor(x)
	c := int(below)
	if x-below > 0.5 || x-below == 0.5 && c%2 == 1 {
		c++
	}
	if c < 1 {
		c = 1
	}
	return c
}

func listOf(keep func(pos int) bool, n int) []int32 {
	list := []int32{}
	for pos := range n {
		if keep(pos) {
			list = append(list, int32(pos))
		}
	}
	return list
}

// refStreaming: sinks and the newest C-sinks; C of at most sinks: C-1 sinks and
// the newest one.
func refStreaming(p *model.Prefix, o refSettings) model.LayerKeep {
	n, sinks := p.Len(), o.whole("sinks")
	c := refCapacity(n, o.number("budget"))
	if c <= sinks {
		sinks = c - 1
	}
	return model.LayerKeep{listOf(func(pos int) bool { return pos < sinks || pos >= n-(c-sinks) }, n)}
}

// refScore is the attention that a key got: from the last rows queries, or from
// all of them.
func refScore(p *model.Prefix, layer, head, key, rows int) float64 {
	sum := 0.0
	for back := 0; back < rows && back < p.Len(); back++ {
		sum += float64(p.Row(layer, head, back)[key])
	}
	return sum
}

func refPool(scores []float64, kernel int, average bool) []float64 {
	out := make([]float64, len(scores))
	for i := range out {
		var seen []float64
		for j := max(i-kernel/2, 0); j <= i+kernel/2 && j < len(scores); j++ {
			seen = append(seen, scores[j])
		}
		if average {
			for _, x := range seen {
				out[i] += x
			}
			out[i] /= float64(kernel)
		} else {
			out[i] = slices.Max(seen)
		}
	}
	return out
}

// byScoreDown lists positions, best score first, lower positions first on ties.
func byScoreDown(scores []float64) []int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
	return order
}

func refWindowed(p *model.Prefix, layer int, name string, o refSettings) model.LayerKeep {
	n := p.Len()
	c := refCapacity(n, o.number("budget"))
	if c == n {
		return model.LayerKeep{listOf(func(int) bool { return true }, n)}
	}
	window := o.whole("window")
	if c <= window {
		window = 1
	}
	recent := window
	if name == "h2o" && o.is("split", "half") {
		recent = c / 2
		if recent == 0 {
			recent = 1
		}
	}
	scores := refWindowScores(p, layer, name, o, window, n-recent)
	out := model.LayerKeep{}
	for _, s := range scores {
		best := byScoreDown(s)[:c-recent]
		out = append(out, listOf(func(pos int) bool { return pos >= n-recent || slices.Contains(best, pos) }, n))
	}
	return out
}

// refWindowScores rates the keys before position end by the last window queries.
func refWindowScores(p *model.Prefix, layer int, name string, o refSettings, window, end int) [][]float64 {
	heads, group := p.Shape().Heads, p.Shape().Group()
	scores := make([][]float64, heads)
	for h := range scores {
		for key := 0; key < end; key++ {
			x := refScore(p, layer, h, key, window)
			if name == "h2o" && o.is("rows", "all") {
				x = float64(p.ColumnSum(layer, h)[key])
			}
			scores[h] = append(scores[h], x)
		}
		if name == "snapkv" {
			scores[h] = refPool(scores[h], o.whole("kernel"), o.is("pooling", "avg"))
		}
	}
	if o.is("heads", "kv") {
		joined := make([][]float64, heads/group)
		for kv := range joined {
			for key := 0; key < end; key++ {
				var x []float64
				for h := kv * group; h < (kv+1)*group; h++ {
					x = append(x, scores[h][key])
				}
				sum := 0.0
				for _, v := range x {
					sum += v
				}
				switch o["group"] {
				case "max":
					joined[kv] = append(joined[kv], slices.Max(x))
				case "sum":
					joined[kv] = append(joined[kv], sum)
				case "mean":
					joined[kv] = append(joined[kv], sum/float64(group))
				}
			}
		}
		scores = joined
	}
	return scores
}

// lossRatios gives the baseline B and r(i) of spec 2.1 for i = 0…J: the loss
// when the first i candidates are gone. weights are the candidates' in eviction
// order, sinks those of the sinks, both per head.
func lossRatios(weights, sinks [][]float64, scope, agg string) (float64, []float64) {
	norm := func(i int, withSinks bool) float64 {
		all, mean := 0.0, 0.0
		for h := range weights {
			squares := 0.0
			for _, a := range weights[h][i:] {
				squares += a * a
			}
			if withSinks {
				for _, a := range sinks[h] {
					squares += a * a
				}
			}
			all += squares
			mean += math.Sqrt(squares) / float64(len(weights))
		}
		if agg == "joint" {
			return math.Sqrt(all)
		}
		return mean
	}
	baseline := norm(0, scope == "all" || scope == "mixed")
	var r []float64
	for i := 0; i <= len(weights[0]); i++ {
		r = append(r, (baseline-norm(i, scope == "all"))/baseline)
	}
	return baseline, r
}

// refCut is the largest i below J with r(i) <= T, or 0. With T = 0 only
// candidates of exactly zero weight go (2.6), not those that rounding hides.
func refCut(r []float64, threshold float64, weights [][]float64) int {
	for i := len(r) - 2; i > 0; i-- {
		if r[i] <= threshold && (threshold != 0 || allZero(weights, i)) {
			return i
		}
	}
	return 0
}

func allZero(weights [][]float64, first int) bool {
	for _, row := range weights {
		for _, a := range row[:first] {
			if a != 0 {
				return false
			}
		}
	}
	return true
}

func refReFreeKV(p *model.Prefix, layer int, o refSettings) model.LayerKeep {
	n, heads := p.Len(), p.Shape().Heads
	everything := model.LayerKeep{listOf(func(int) bool { return true }, n)}
	if n == 1 || slices.Contains(o["frozen_layers"].([]int), layer) {
		return everything
	}
	// order[h]: candidates of head h, first to go first; row[h]: its attention.
	order, row, sinks := make([][]int, heads), make([][]float64, heads), make([][]float64, heads)
	stays := func(int) bool { return false }
	if o.is("ranking", "position") {
		c, m := refCapacity(n, o.number("budget")), o.whole("sinks")
		if c <= m {
			m = c - 1
		}
		stays = func(pos int) bool { return pos < m }
		for h := range heads {
			row[h] = refMeanRow(p, layer, h, o.whole("last_rows"))
			sinks[h] = row[h][:m]
			for pos := n - (c - m); pos < n; pos++ {
				order[h] = append(order[h], pos)
			}
		}
	} else {
		window := 8
		if n <= 8 {
			window = 1
		}
		stays = func(pos int) bool { return pos >= n-window }
		for h := range heads {
			var scores []float64
			for key := 0; key < n-window; key++ {
				scores = append(scores, refScore(p, layer, h, key, window))
			}
			back := 0
			if o.is("ranking", "snapkv") {
				scores, back = refPool(scores, 7, false), window
			}
			for _, a := range p.Row(layer, h, back) {
				row[h] = append(row[h], float64(a))
			}
			for pos := range scores {
				order[h] = append(order[h], pos)
			}
			sort.SliceStable(order[h], func(a, b int) bool { return scores[order[h][a]] < scores[order[h][b]] })
		}
	}
	weights := make([][]float64, heads)
	for h := range heads {
		for _, pos := range order[h] {
			weights[h] = append(weights[h], row[h][pos])
		}
	}
	scope, agg, threshold := o["norm_scope"].(string), o["head_agg"].(string), o.number("threshold")
	cut := make([]int, heads)
	_, shared := lossRatios(weights, sinks, scope, agg)
	for h := range heads {
		cut[h] = refCut(shared, threshold, weights)
		if agg == "per_head" {
			_, own := lossRatios(weights[h:h+1], sinks[h:h+1], scope, agg)
			cut[h] = refCut(own, threshold, weights[h:h+1])
		}
	}
	out := model.LayerKeep{}
	for h := range heads {
		left := order[h][cut[h]:]
		out = append(out, listOf(func(pos int) bool { return stays(pos) || slices.Contains(left, pos) }, n))
	}
	if o.is("ranking", "position") && agg != "per_head" {
		return out[:1]
	}
	return out
}

// refMeanRow averages, for every key, those of the last k rows that are at or
// after it (equation 2).
func refMeanRow(p *model.Prefix, layer, head, k int) []float64 {
	n := p.Len()
	out := make([]float64, n)
	for key := range out {
		count := 0
		for query := n - 1; query >= key && query >= n-k; query-- {
			out[key] += float64(p.Row(layer, head, n-1-query)[key])
			count++
		}
		out[key] /= float64(count)
	}
	return out
}
