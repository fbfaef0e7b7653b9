package pruners

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
	"refreekv/model/tensor"
)

// queryPrefix is a prompt with keys, queries, [layers][heads][tokens][headDim],
// and attention rows that have nothing to do with them.
func queryPrefix(seed uint64, s model.Shape, n int) (*model.Prefix, [][][][]float32) {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	p := model.NewPrefix(s, n, model.Needs{LastRows: 16, Queries: true})
	queries := make([][][][]float32, s.Layers)
	for l := range queries {
		queries[l] = make([][][]float32, s.Heads)
		for h := range queries[l] {
			for back := range p.Needs().LastRows {
				fill(rng, softmaxRows, p.Row(l, h, back)[:n-back])
			}
			for pos := range n {
				query := make([]float32, s.HeadDim)
				for i := range query {
					query[i] = float32(rng.NormFloat64())
				}
				p.SetQuery(l, h, pos, query)
				queries[l][h] = append(queries[l][h], query)
			}
		}
	}
	fillKeyValues(rng, p)
	return p, queries
}

// refAttention is a head's attention matrix, [tokens][tokens], in float64.
func refAttention(p *model.Prefix, queries [][]float32, layer, kv int, causal bool) [][]float64 {
	n, key := p.Len(), make([]float32, p.Shape().HeadDim)
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, n)
		sum := 0.0
		for j := range n {
			if causal && j > i {
				continue
			}
			p.Key(layer, kv, j, key)
			logit := 0.0
			for c, k := range key {
				logit += float64(k) * float64(queries[i][c])
			}
			out[i][j] = math.Exp(logit)
			sum += out[i][j]
		}
		for j := range n {
			out[i][j] /= sum
		}
	}
	return out
}

// refMatrixCut is spec 3.3 from its words: matrices are written out, their
// rows and columns set to zero one candidate more at a time.
func refMatrixCut(x [][][]float64, order [][]int, metric string, threshold float64) int {
	count := len(order[0])
	norm := func(m [][]float64) float64 {
		sum, most := 0.0, 0.0
		for _, row := range m {
			for _, a := range row {
				most = max(most, math.Abs(a))
				if metric == "norm1" {
					sum += math.Abs(a)
				} else {
					sum += a * a
				}
			}
		}
		switch metric {
		case "norm1":
			return sum
		case "norm_inf":
			return most
		}
		return math.Sqrt(sum)
	}
	energy := func(h, t int) float64 {
		sum := 0.0
		for i := range count {
			a := x[h][order[h][t]][i]
			if strings.HasPrefix(metric, "col") {
				a = x[h][i][order[h][t]]
			}
			sum += a * a
		}
		return sum
	}
	loss := func(i int) float64 { // of the first i candidates, as a share of the baseline
		base, lost := 0.0, 0.0
		for h := range x {
			if strings.HasPrefix(metric, "norm") {
				gone := order[h][:i]
				difference := make([][]float64, count)
				for r := range difference {
					difference[r] = make([]float64, count)
					for c := range count {
						if slices.Contains(gone, r) || slices.Contains(gone, c) {
							difference[r][c] = x[h][r][c]
						}
					}
				}
				base += norm(x[h])
				lost += norm(difference)
				continue
			}
			all, left := 0.0, 0.0
			for t := range count {
				all += energy(h, t)
				if t >= i {
					left += energy(h, t)
				}
			}
			if strings.HasSuffix(metric, "sqrt_sum") {
				all, left = math.Sqrt(all), math.Sqrt(left)
			}
			base += all
			lost += all - left
		}
		return lost / base
	}
	for i := count - 1; i > 0; i-- {
		if loss(i) <= threshold {
			return i
		}
	}
	return 0
}

var allMetrics = slices.Concat(normMetrics, energyMetrics)

func TestMatrixMetricsEqualReference(t *testing.T) {
	s := model.Shape{Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 8}
	for _, n := range []int{2, 5, 8, 9, 10, 17, 36} {
		p, queries := queryPrefix(1, s, n)
		for layer := range s.Layers {
			window := 8
			if n <= 8 {
				window = 1
			}
			x, order := make([][][]float64, s.Heads), make([][]int, s.Heads)
			for h := range s.Heads {
				for _, row := range refAttention(p, queries[layer][h], layer, h/2, true)[:n-window] {
					x[h] = append(x[h], row[:n-window])
				}
				var scores []float64
				for key := range n - window {
					scores = append(scores, refScore(p, layer, h, key, window))
					order[h] = append(order[h], key)
				}
				scores = refPool(scores, 7, false)
				sort.SliceStable(order[h], func(a, b int) bool { return scores[order[h][a]] < scores[order[h][b]] })
			}
			for _, metric := range allMetrics {
				for _, threshold := range []float64{0, 0.01, 0.1, 0.3, 0.6, 0.9, 1} {
					cut := refMatrixCut(x, order, metric, threshold)
					text := fmt.Sprintf("refreekv ranking=snapkv frozen_layers= metric=%s threshold=%g", metric, threshold)
					for h, list := range mustSelect(t, text, p)[layer] {
						want := listOf(func(pos int) bool { return pos >= n-window || slices.Index(order[h], pos) >= cut }, n)
						if diff := cmp.Diff(want, list); diff != "" {
							t.Fatalf("%s, %d tokens, layer %d, head %d (-reference +got):\n%s", text, n, layer, h, diff)
						}
					}
				}
			}
		}
	}
}

// What a higher threshold keeps a lower one keeps too, the choice does not
// depend on threads, and what is not a number is refused.
func TestMatrixMetricsProperties(t *testing.T) {
	defer tensor.SetThreads(tensor.Threads())
	s := shapes[1]
	p, _ := queryPrefix(2, s, 80)
	for _, metric := range allMetrics {
		var before [][][]int32
		for _, threshold := range []float64{0, 1e-3, 0.05, 0.2, 0.5, 1, 2} {
			text := fmt.Sprintf("refreekv ranking=snapkv metric=%s threshold=%g", metric, threshold)
			tensor.SetThreads(1)
			keep := mustSelect(t, text, p)
			tensor.SetThreads(3)
			if !reflect.DeepEqual(keep, mustSelect(t, text, p)) {
				t.Errorf("%s: three threads choose otherwise", text)
			}
			now := lists(keep, s)
			for l := range before {
				for h := range now[l] {
					if extra := without(now[l][h], before[l][h]); len(extra) > 0 {
						t.Fatalf("%s, layer %d, head %d keeps %v, which a lower threshold dropped", text, l, h, extra)
					}
				}
			}
			before = now
			if threshold >= 1 && len(now[3][0]) != 9 {
				t.Errorf("%s keeps %d, want the window and one", text, len(now[3][0]))
			}
			if threshold == 0 && keep.Budget(80) != 1 {
				t.Errorf("%s: budget %g", text, keep.Budget(80))
			}
		}
		bad, _ := queryPrefix(2, s, 40)
		bad.SetQuery(2, 4, 20, slices.Repeat([]float32{float32(math.NaN())}, s.HeadDim))
		if _, err := mustNew(t, "refreekv ranking=snapkv metric="+metric).Select(bad); err == nil || !strings.Contains(err.Error(), "layer 2, head 4") {
			t.Errorf("%s with a query that is not a number: %v", metric, err)
		}
	}
	if _, err := mustNew(t, "refreekv ranking=snapkv metric=norm1").Select(attentionPrefix(1, softmaxRows, s, 40)); err == nil || !strings.Contains(err.Error(), "Needs") {
		t.Errorf("without queries: %v", err)
	}
}

// refCutOf is ReFreeKV's default rule on given rows, [heads][tokens].
func refCutOf(rows [][]float64, n int, threshold float64) []int32 {
	weights := make([][]float64, len(rows))
	for h, row := range rows {
		weights[h] = row[4:]
	}
	_, r := lossRatios(weights, nil, "candidates", "mean")
	cut := refCut(r, threshold, weights)
	return listOf(func(pos int) bool { return pos < 4 || pos >= 4+cut }, n)
}

// A share of the prompt is that many last rows, at least one; the plain sum of
// them is what normalize=false weighs.
func TestRowShare(t *testing.T) {
	s := shapes[1]
	for _, n := range []int{6, 12, 64, 130} {
		p := attentionPrefix(3, softmaxRows, s, n)
		for _, share := range []float64{0.001, 0.1, 0.4} {
			rows := max(1, int(float64(n)*share))
			for _, o := range []string{"", " threshold=0.1 norm_scope=all", " normalize=false threshold=0.05"} {
				text := fmt.Sprintf("refreekv row_share=%g", share) + o
				if diff := cmp.Diff(mustSelect(t, fmt.Sprintf("refreekv last_rows=%d", rows)+o, p), mustSelect(t, text, p)); diff != "" {
					t.Errorf("%s, %d tokens (-as last_rows=%d +got):\n%s", text, n, rows, diff)
				}
			}
			for _, threshold := range []float64{0.01, 0.1, 0.4} {
				sums := make([][]float64, s.Heads)
				for h := range sums {
					for key := range n {
						sums[h] = append(sums[h], refScore(p, 3, h, key, rows))
					}
				}
				text := fmt.Sprintf("refreekv row_share=%g normalize=false threshold=%g", share, threshold)
				if diff := cmp.Diff(refCutOf(sums, n, threshold), mustSelect(t, text, p)[3][0]); diff != "" {
					t.Errorf("%s, %d tokens (-reference +got):\n%s", text, n, diff)
				}
			}
		}
	}
	if got, want := mustNew(t, "refreekv row_share=0.05").Needs(), (model.Needs{LastRows: 1, RowShare: 0.05}); got != want {
		t.Errorf("needs %+v, want %+v", got, want)
	}
}

// Without a mask the last rows see newer keys too, and a share of less than one
// row takes all rows (spec 3.2). A constant factor does not move the cut.
func TestRowsWithoutMask(t *testing.T) {
	s := shapes[1]
	for _, n := range []int{6, 12, 60} {
		p, queries := queryPrefix(4, s, n)
		for _, o := range []struct {
			text string
			rows int
		}{
			{"", 1}, {"last_rows=5", 5}, {"row_share=0.5", n / 2}, {"row_share=0.01", n}, {"row_share=0.5 normalize=false", n / 2},
		} {
			for layer := range s.Layers {
				sums := make([][]float64, s.Heads)
				for h := range sums {
					sums[h] = make([]float64, n)
					for _, row := range refAttention(p, queries[layer][h], layer, h/s.Group(), false)[n-o.rows:] {
						for key, a := range row {
							sums[h][key] += a
						}
					}
				}
				for _, threshold := range []float64{0, 0.01, 0.1, 0.4} {
					text := fmt.Sprintf("refreekv frozen_layers= rows_mask=none threshold=%g ", threshold) + o.text
					if diff := cmp.Diff(refCutOf(sums, n, threshold), mustSelect(t, text, p)[layer][0]); diff != "" {
						t.Errorf("%s, %d tokens, layer %d (-reference +got):\n%s", text, n, layer, diff)
					}
				}
			}
		}
	}
	// The last token sees every key, mask or not.
	m := openTiny(t, "tiny-m")
	prompt, _ := recallPrompt(rand.New(rand.NewPCG(1, 2)), 30)
	p := prefillText(t, m, prompt, model.Needs{LastRows: 1, Queries: true})
	if diff := cmp.Diff(mustSelect(t, "refreekv threshold=0.05", p), mustSelect(t, "refreekv threshold=0.05 rows_mask=none", p)); diff != "" {
		t.Errorf("one row (-masked +not):\n%s", diff)
	}
	if _, err := mustNew(t, "refreekv rows_mask=none").Select(attentionPrefix(1, softmaxRows, s, 40)); err == nil || !strings.Contains(err.Error(), "Needs") {
		t.Errorf("without queries: %v", err)
	}
}
