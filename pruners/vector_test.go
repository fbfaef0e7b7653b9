package pruners

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
)

// The spec's test vector (2.7): two heads, twelve tokens, four sinks.
var vectorRows = [][]float64{
	{9.0, 1.0, 0.5, 0.5, 0.05, 0.10, 0.20, 0.15, 0.30, 0.60, 1.00, 2.60},
	{6.0, 2.0, 1.0, 1.0, 0.40, 0.02, 0.08, 0.30, 0.20, 0.50, 1.50, 2.00},
}

var vectorSums = []float64{16, 15}

// vectorCases are the spec's numbers. Where it prints r but no cut for a
// threshold, the cut follows from r: the largest i below 8 with r(i) <= T.
var vectorCases = []struct {
	scope, agg string
	baseline   float64
	r          []float64
	cuts       map[string]int // threshold → candidates that go
}{
	{
		"candidates", "mean", 0.176851,
		[]float64{0, 0.005895, 0.006217, 0.007681, 0.011680, 0.015939, 0.036559, 0.163610},
		map[string]int{"0.001": 0, "0.01": 3, "0.03": 5, "0.05": 6},
	},
	{
		"candidates", "joint", 0.250143,
		[]float64{0, 0.005777, 0.006105, 0.007591, 0.011528, 0.015816, 0.036472, 0.159679},
		map[string]int{"0.001": 0, "0.01": 3, "0.03": 5, "0.05": 6},
	},
	{
		"all", "mean", 0.530603,
		[]float64{0, 0.000728, 0.000760, 0.000913, 0.001388, 0.001847, 0.004091, 0.017495, 0.057926},
		map[string]int{"0.001": 3, "0.01": 6, "0.03": 7, "0.05": 7},
	},
	{
		"mixed", "mean", 0.530603,
		[]float64{0.6667},
		map[string]int{"0.001": 0, "0.01": 0, "0.03": 0, "0.05": 0},
	},
}

func TestVectorRatios(t *testing.T) {
	weights, sinks := make([][]float64, 2), make([][]float64, 2)
	for h, row := range vectorRows {
		for pos, a := range row {
			if pos < 4 {
				sinks[h] = append(sinks[h], a/vectorSums[h])
			} else {
				weights[h] = append(weights[h], a/vectorSums[h])
			}
		}
	}
	for _, c := range vectorCases {
		name := c.scope + " " + c.agg
		baseline, r := lossRatios(weights, sinks, c.scope, c.agg)
		if math.Abs(baseline-c.baseline) > 0.5e-6 {
			t.Errorf("%s: baseline %.7f, spec %.6f", name, baseline, c.baseline)
		}
		printed := 0.5e-6
		if c.scope == "mixed" {
			printed = 0.5e-4
		}
		for i, want := range c.r {
			if math.Abs(r[i]-want) > printed {
				t.Errorf("%s: r(%d) = %.7f, spec %g", name, i, r[i], want)
			}
		}
		for threshold, want := range c.cuts {
			var value float64
			fmt.Sscan(threshold, &value)
			if got := refCut(r, value, weights); got != want {
				t.Errorf("%s, T=%s: cut %d, spec %d", name, threshold, got, want)
			}
		}
	}
}

// vectorPrefix is the vector in every layer, over one KV head or two.
func vectorPrefix(kvHeads int) *model.Prefix {
	p := model.NewPrefix(model.Shape{Layers: 3, Heads: 2, KVHeads: kvHeads, HeadDim: 4}, 12, model.Needs{LastRows: 1})
	for l := range 3 {
		for h, row := range vectorRows {
			for pos, a := range row {
				p.Row(l, h, 0)[pos] = float32(a / vectorSums[h])
			}
		}
	}
	return p
}

func TestVectorSelect(t *testing.T) {
	for _, kvHeads := range []int{1, 2} {
		p := vectorPrefix(kvHeads)
		for _, c := range vectorCases {
			for threshold, cut := range c.cuts {
				text := fmt.Sprintf("refreekv threshold=%s norm_scope=%s head_agg=%s", threshold, c.scope, c.agg)
				kept := model.LayerKeep{span(span(nil, 0, 4), 4+cut, 12)}
				all := model.LayerKeep{span(nil, 0, 12)}
				want := model.Keep{all, all, kept}
				if diff := cmp.Diff(want, mustSelect(t, text, p)); diff != "" {
					t.Errorf("%s, %d KV heads (-spec +got):\n%s", text, kvHeads, diff)
				}
				want = model.Keep{kept, kept, kept}
				if diff := cmp.Diff(want, mustSelect(t, text+" frozen_layers=", p)); diff != "" {
					t.Errorf("%s, nothing frozen (-spec +got):\n%s", text, diff)
				}
			}
		}
	}
}

// The default settings are the paper's: T = 1 %, the first two layers whole.
func TestVectorDefaults(t *testing.T) {
	all := model.LayerKeep{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}
	want := model.Keep{all, all, {{0, 1, 2, 3, 7, 8, 9, 10, 11}}}
	got := mustSelect(t, "refreekv", vectorPrefix(2))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("default (-spec +got):\n%s", diff)
	}
	// Spec 2.5: mean over layers of the kept share, frozen layers included.
	if budget, want := got.Budget(12), (1+1+0.75)/3; math.Abs(budget-want) > 1e-12 {
		t.Errorf("budget %g, want %g", budget, want)
	}
}
