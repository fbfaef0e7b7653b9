package pruners

import (
	"fmt"
	"math"
	"sort"

	"refreekv/model"
)

// Options of ReFreeKV's stopping rule.
var (
	thresholdOption = Option{Name: "threshold", Default: 0.01, About: "largest relative loss of the attention norm"}
	frozenOption    = Option{Name: "frozen_layers", Default: []int{0, 1}, About: "layers that keep everything; the paper freezes the first two, the released code none unless asked"}
	scopeOption     = Option{Name: "norm_scope", Default: "candidates", Choices: []string{"candidates", "all", "mixed"}, About: "entries in the norm: those that may go (released code), those that always stay too (the paper's equations), or the latter in the baseline only"}
	headAggOption   = Option{Name: "head_agg", Default: "mean", Choices: []string{"mean", "joint", "per_head"}, About: "mean of the heads' norms (released code), one norm over all heads, or a cut of its own for every head"}
)

// stopping is ReFreeKV's rule: entries go in order until the norm of the
// attention on what is left has fallen by the threshold (spec 2.1).
type stopping struct {
	threshold float64
	scope     string
	agg       string // as the option head_agg, or pooled: squares of all heads together, without a root
}

func newStopping(o options) stopping {
	return stopping{threshold: o.float("threshold"), scope: o.text("norm_scope"), agg: o.text("head_agg")}
}

func (r stopping) check() error {
	if r.threshold < 0 || math.IsInf(r.threshold, 0) {
		return fmt.Errorf("threshold %g is no share", r.threshold)
	}
	return nil
}

// candidates are what a layer may evict: eviction orders, the attention in
// these orders, and what stays in any case. A list of order serves all query
// heads, those of a KV head, or one.
type candidates struct {
	order     [][]int32   // [1, kvHeads or heads][J] positions, first to go first
	protected [][]int32   // [1 or as order] positions that always stay
	energy    [][]float64 // [heads][J] squared attention norm of a candidate and all that go after it
	zeros     []int       // [heads] how many of the first to go have no attention at all
	fixed     []float64   // [heads] squared norm of what always stays
}

// weigh fills in what a head's candidates weigh: a, [J], is its attention on
// them in eviction order and may be overwritten; energy goes to dst.
func (c *candidates) weigh(head int, dst, a []float64) {
	c.zeros[head] = leadingZeros(a)
	tailSquares(dst[:len(a)], a)
	c.energy[head] = dst[:len(a)]
}

// tailSquares sets dst[i] to the sum of squares of a[i:].
func tailSquares(dst, a []float64) {
	sum := 0.0
	for i := len(a) - 1; i >= 0; i-- {
		sum += a[i] * a[i]
		dst[i] = sum
	}
}

func leadingZeros(a []float64) int {
	for i, x := range a {
		if x != 0 {
			return i
		}
	}
	return len(a)
}

// cuts says how many of the first candidates go: one number, or one per head.
func (r stopping) cuts(c candidates) []int {
	groups := [][]int{allInts(len(c.energy))}
	if r.agg == "per_head" {
		groups = nil
		for h := range c.energy {
			groups = append(groups, []int{h})
		}
	}
	cuts := make([]int, len(groups))
	for g, heads := range groups {
		if len(c.energy[0]) == 0 {
			continue
		}
		baseline := r.norm(c, heads, 0, r.scope != "candidates")
		// The loss does not fall with i: the first i beyond the threshold ends it.
		cut := sort.Search(len(c.energy[0]), func(i int) bool {
			return !((baseline-r.norm(c, heads, i, r.scope == "all"))/baseline <= r.threshold)
		}) - 1
		if r.threshold == 0 {
			// Rounding forgives small losses; T = 0 forgives none (spec 2.6).
			for _, h := range heads {
				cut = min(cut, c.zeros[h])
			}
		}
		cuts[g] = max(cut, 0)
	}
	return cuts
}

// norm is the attention norm of what is left when the first i candidates are
// gone, over some heads: the mean of the heads' norms, or their joint norm.
func (r stopping) norm(c candidates, heads []int, i int, withFixed bool) float64 {
	sum := 0.0
	for _, h := range heads {
		e := c.energy[h][i]
		if withFixed {
			e += c.fixed[h]
		}
		if r.agg == "joint" || r.agg == "pooled" {
			sum += e
		} else {
			sum += math.Sqrt(e)
		}
	}
	switch r.agg {
	case "joint":
		return math.Sqrt(sum)
	case "pooled":
		return sum
	}
	return sum / float64(len(heads))
}

// keep drops the first cut candidates: one cut for all heads, or one per head.
func (c candidates) keep(cuts []int, s *scratch) model.LayerKeep {
	out := make(model.LayerKeep, max(len(c.order), len(cuts)))
	for i := range out {
		out[i] = c.with(i, len(out), shared(c.order, i, len(out))[shared(cuts, i, len(out)):], s)
	}
	return out
}

// with lists what always stays in list i of count and some candidates, ascending
// and once each.
func (c candidates) with(i, count int, left []int32, s *scratch) []int32 {
	protected := shared(c.protected, i, count)
	for _, pos := range protected {
		s.marked[pos] = true
	}
	for _, pos := range left {
		s.marked[pos] = true
	}
	return s.takeMarked(len(protected) + len(left))
}

// shared is the item for list i of count, where every item serves equally many
// lists that follow each other.
func shared[T any](items []T, i, count int) T { return items[i*len(items)/count] }

func allInts(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
