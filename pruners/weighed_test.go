package pruners

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
	"refreekv/model/tensor"
)

// These tests hold attn, vatp, cake, criticalkv and expected_attention to their
// definitions in plain float64 loops.

// holdsBest fails unless a list is the count best of scores, where entries that
// tie with the last one but for rounding may stand for each other.
func holdsBest(t *testing.T, what string, list []int32, scores []float64, count int) {
	t.Helper()
	if len(list) != count {
		t.Fatalf("%s: keeps %d, want %d", what, len(list), count)
	}
	must, may := mustBe(scores, count)
	for pos := range scores {
		if kept := slices.Contains(list, int32(pos)); kept && !may[pos] || !kept && must[pos] {
			t.Fatalf("%s: position %d with score %g is kept: %t", what, pos, scores[pos], kept)
		}
	}
}

// groupMean averages lists of query heads for every KV head.
func groupMean(lists [][]float64, group int) [][]float64 {
	var out [][]float64
	for kv := 0; kv < len(lists); kv += group {
		mean := make([]float64, len(lists[kv]))
		for _, list := range lists[kv : kv+group] {
			for pos, x := range list {
				mean[pos] += x / float64(group)
			}
		}
		out = append(out, mean)
	}
	return out
}

func TestAttnEqualsReference(t *testing.T) {
	for _, kind := range allKinds {
		for _, s := range shapes {
			for _, n := range []int{1, 2, 8, 9, 50} {
				p := attentionPrefix(1, kind, s, n)
				for _, o := range []struct {
					text string
					rows int
					mean bool
					kv   bool
				}{
					{"", 1, true, false}, {"last_rows=12", 12, true, false}, {"row_share=0.2 normalize=false", max(1, n/5), false, false}, {"row_share=0.5 heads=kv", max(1, n/2), true, true},
				} {
					for _, budget := range []string{"0.1", "0.5", "0.9", "9", "3", "1"} {
						c := refCapacity(n, settingsOf(t, "attn budget="+budget).number("budget"))
						window := 8
						if c <= 8 {
							window = 1
						}
						text := fmt.Sprintf("attn budget=%s %s", budget, o.text)
						for l, layer := range mustSelect(t, text, p) {
							scores := make([][]float64, s.Heads)
							for h := range scores {
								means := refMeanRow(p, l, h, o.rows)
								for pos := range n {
									x := means[pos]
									if !o.mean {
										x = refScore(p, l, h, pos, o.rows)
									}
									if pos >= n-window {
										x = math.Inf(1)
									}
									scores[h] = append(scores[h], x)
								}
							}
							if o.kv {
								scores = groupMean(scores, s.Group())
							}
							for i, list := range layer {
								holdsBest(t, fmt.Sprintf("%s on %s rows, %d tokens, layer %d, list %d", text, kind, n, l, i), list, scores[i], c)
							}
						}
					}
				}
			}
		}
	}
	if got, want := mustNew(t, "attn budget=0.5 row_share=0.05").Needs(), (model.Needs{LastRows: 1, RowShare: 0.05}); got != want {
		t.Errorf("needs %+v, want %+v", got, want)
	}
}

func TestVATPEqualsReference(t *testing.T) {
	for _, kind := range allKinds {
		for _, s := range shapes {
			for _, n := range []int{1, 5, 27, 29, 90} {
				p := attentionPrefix(2, kind, s, n)
				value := make([]float32, s.HeadDim)
				for _, o := range []string{"", "sinks=0 window=1", "rows=window window=12 sinks=3", "heads=kv", "rows=window heads=kv"} {
					for _, budget := range []string{"0.4", "0.8", "29"} {
						text := fmt.Sprintf("vatp budget=%s %s", budget, o)
						set := settingsOf(t, text)
						c, window := refCapacity(n, set.number("budget")), set.whole("window")
						keep := mustSelect(t, text, p)
						for l, layer := range keep {
							for i, list := range layer {
								if len(list) != c {
									t.Fatalf("%s, %d tokens, layer %d, list %d keeps %d, want %d", text, n, l, i, len(list), c)
								}
							}
						}
						if c < min(n, window+set.whole("sinks")) || c == n {
							continue // not all that always stays fits, or all does
						}
						for l, layer := range keep {
							scores := make([][]float64, s.Heads)
							for h := range scores {
								for pos := range n {
									x := float64(p.ColumnSum(l, h)[pos])
									if set.is("rows", "window") {
										x = refScore(p, l, h, pos, window)
									}
									p.Value(l, h/s.Group(), pos, value)
									norm := 0.0
									for _, v := range value {
										norm += math.Abs(float64(v))
									}
									x *= norm
									if pos < set.whole("sinks") || pos >= n-window {
										x = math.Inf(1)
									}
									scores[h] = append(scores[h], x)
								}
							}
							if set.is("heads", "kv") {
								scores = groupMean(scores, s.Group())
							}
							for i, list := range layer {
								holdsBest(t, fmt.Sprintf("%s on %s rows, %d tokens, layer %d, list %d", text, kind, n, l, i), list, scores[i], c)
							}
						}
					}
				}
			}
		}
	}
}

// A large value outweighs attention; sinks need neither.
func TestVATPByHand(t *testing.T) {
	s := model.Shape{Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 2}
	p := model.NewPrefix(s, 6, model.Needs{ColumnSums: true})
	copy(p.ColumnSum(0, 0), []float32{0.1, 1, 2, 3, 1, 0})
	for pos, value := range [][]float32{{0, 0}, {3, -4}, {1, 1}, {0.5, 0.5}, {0, 1}, {9, 9}} {
		p.SetKeyValue(0, 0, pos, []float32{1, 1}, value)
	}
	for text, want := range map[string][]int32{
		"vatp budget=3 window=1 sinks=1": {0, 1, 5}, // 1·7 against 2·2, 3·1 and 1·1
		"vatp budget=4 window=1 sinks=1": {0, 1, 2, 5},
		"vatp budget=3 window=1 sinks=0": {1, 2, 5},
		"vatp budget=3 window=2 sinks=0": {1, 4, 5},
	} {
		if diff := cmp.Diff(model.Keep{{want}}, mustSelect(t, text, p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// refCAKE rates the entries of a layer and says what share of the budget it
// asks for.
func refCAKE(p *model.Prefix, layer, window int, o refSettings) ([][]float64, float64) {
	n, s := p.Len(), p.Shape()
	scores, entropy, changes := make([][]float64, s.Heads), 0.0, 0.0
	for h := range scores {
		for pos := range n - window {
			mean, variance := 0.0, 0.0
			for back := range window {
				a := float64(p.Row(layer, h, back)[pos])
				mean += a / float64(window)
				entropy -= a * math.Log(a+1e-10)
			}
			for back := range window {
				d := float64(p.Row(layer, h, back)[pos]) - mean
				variance += d * d / float64(window-1)
			}
			changes += variance
			scores[h] = append(scores[h], mean+o.number("gamma")*variance)
		}
		scores[h] = refPool(scores[h], o.whole("kernel"), true)
	}
	scores = groupMean(scores, s.Group())
	for kv := range scores {
		for range window {
			scores[kv] = append(scores[kv], math.Inf(1))
		}
	}
	return scores, math.Pow(entropy, 1/o.number("tau1")) * math.Pow(changes, 1/o.number("tau2"))
}

func TestCAKEEqualsReference(t *testing.T) {
	for _, kind := range []string{softmaxRows, quantisedRows} {
		for _, s := range shapes {
			for _, n := range []int{12, 50, 130} {
				p := attentionPrefix(3, kind, s, n)
				for _, o := range []string{"", "window=4", "window=9 gamma=0 kernel=1", "window=16 tau1=1.6 tau2=0.4", "window=3 tau1=0.5 tau2=3 kernel=7"} {
					for _, budget := range []string{"0.1", "0.3", "0.7", "0.97", "20"} {
						text := fmt.Sprintf("cake budget=%s %s", budget, o)
						set := settingsOf(t, text)
						c, window := refCapacity(n, set.number("budget")), set.whole("window")
						if c <= window {
							window = max(c/2, 1)
						}
						if c == n || window == 1 {
							continue
						}
						scores, preferences := make([][][]float64, s.Layers), make([]float64, s.Layers)
						for l := range scores {
							scores[l], preferences[l] = refCAKE(p, l, window, set)
						}
						sum := 0.0
						for _, x := range preferences {
							sum += x
						}
						keep, total := mustSelect(t, text, p), 0
						for l, layer := range keep {
							kept := len(layer[0])
							total += kept
							// Within the cap, a layer holds its share and its part of what is
							// handed out in the end.
							if share := preferences[l] / sum * float64((c-window)*s.Layers); kept-window < min(int(share), n-window) {
								t.Fatalf("%s on %s rows, %d tokens: layer %d keeps %d, its share alone is %g", text, kind, n, l, kept, share)
							}
							for kv, list := range layer {
								holdsBest(t, fmt.Sprintf("%s on %s rows, %d tokens, layer %d, list %d", text, kind, n, l, kv), list, scores[l][kv], kept)
							}
						}
						if total != c*s.Layers {
							t.Fatalf("%s on %s rows, %d tokens: all layers keep %d, want %d", text, kind, n, total, c*s.Layers)
						}
					}
				}
			}
		}
	}
}

// Where attention says nothing layers and entries are alike, and the shortest
// prompts and smallest budgets are met.
func TestCAKEEdges(t *testing.T) {
	for _, kind := range allKinds {
		for _, n := range []int{1, 2, 3, 33, 40} {
			p := attentionPrefix(4, kind, shapes[1], n)
			for _, budget := range []string{"0.001", "1", "2", "0.5", "32", "33", "100"} {
				want := refCapacity(n, settingsOf(t, "cake budget="+budget).number("budget"))
				keep := mustSelect(t, "cake budget="+budget, p)
				total := 0
				for _, layer := range keep {
					total += len(layer[0])
				}
				if total != want*shapes[1].Layers {
					t.Errorf("%s rows, %d tokens, budget %s: %d entries in all layers, want %d", kind, n, budget, total, want*shapes[1].Layers)
				}
			}
		}
	}
	p := attentionPrefix(4, zeroRows, shapes[1], 80)
	for l, layer := range mustSelect(t, "cake budget=40 window=8", p) {
		if diff := cmp.Diff(span(span(nil, 0, 32), 72, 80), layer[2]); diff != "" {
			t.Errorf("no attention, layer %d (-want +got):\n%s", l, diff)
		}
	}
}

func TestShareOut(t *testing.T) {
	for _, c := range []struct {
		total, most int
		shares      []float64
		want        []int
	}{
		{10, 4, []float64{8, 1, 1}, []int{4, 3, 3}},
		{10, 10, []float64{1, 1, 1}, []int{4, 3, 3}},
		{7, 7, []float64{5, 3, 2, 0}, []int{4, 2, 1, 0}},
		{10, 5, []float64{0, 0, 0, 0}, []int{3, 3, 2, 2}},
		{9, 3, []float64{100, 1, 1}, []int{3, 3, 3}},
		{20, 9, []float64{98, 1, 1, 0}, []int{9, 5, 3, 3}},
		{0, 5, []float64{1, 2}, []int{0, 0}},
	} {
		if diff := cmp.Diff(c.want, shareOut(c.total, c.most, c.shares)); diff != "" {
			t.Errorf("%d among %v, at most %d (-want +got):\n%s", c.total, c.shares, c.most, diff)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		shares, most := make([]float64, 1+rng.IntN(30)), rng.IntN(100)
		for i := range shares {
			shares[i] = math.Exp(5 * rng.NormFloat64())
		}
		total := rng.IntN(most*len(shares) + 1)
		sum := 0
		for _, x := range shareOut(total, most, shares) {
			sum += x
			if x < 0 || x > most {
				t.Fatalf("%d among %v, at most %d: a part of %d", total, shares, most, x)
			}
		}
		if sum != total {
			t.Fatalf("%d among %v, at most %d: %d in all", total, shares, most, sum)
		}
	}
}

// refCritical are the scores of CriticalKV's second stage and those that its
// first stage chose.
func refCritical(p *model.Prefix, layer, c int, scores [][]float64, o refSettings) [][]float64 {
	s := p.Shape()
	out := make([][]float64, max(len(scores), s.KVHeads))
	for i := range out {
		list := scores[i*len(scores)/len(out)]
		heads := s.Heads / len(out)
		norms := make([]float64, p.Len())
		for h := i * heads; h < (i+1)*heads; h++ {
			own := make([]float64, p.Len())
			p.OutputNorms(layer, h, allPositions(p.Len()), own)
			for pos, x := range own {
				norms[pos] += x / float64(heads)
			}
		}
		first := int(float64(c) * o.number("first_stage"))
		if first == 0 && o.number("first_stage") > 0 {
			first = 1
		}
		order := refOrder(list)
		for pos, x := range list {
			if slices.Index(order, pos) < first || math.IsInf(x, 1) {
				out[i] = append(out[i], math.Inf(1))
			} else {
				out[i] = append(out[i], (x+o.number("epsilon"))*norms[pos])
			}
		}
	}
	return out
}

func TestCriticalKVEqualsReference(t *testing.T) {
	for _, name := range tinyModels {
		m := openTiny(t, name)
		rng := rand.New(rand.NewPCG(3, 3))
		for _, pairs := range []int{1, 2, 12, 40} {
			prompt, _ := recallPrompt(rng, pairs)
			p := prefillText(t, m, prompt, everyRow)
			n := p.Len()
			for _, o := range []string{
				"score.window=1", "score.window=4 score.heads=kv", "score=knorm", "score=knorm first_stage=0.1", "score=tova", "score=knorm first_stage=0",
				"score=observed_attention first_stage=0.25 epsilon=0.01", "score=observed_attention first_stage=1", "score=h2o score.window=2",
			} {
				for _, budget := range []string{"0.05", "0.2", "0.5", "0.9", "7", "1"} {
					text := fmt.Sprintf("criticalkv budget=%s %s", budget, o)
					set := settingsOf(t, text)
					c := refCapacity(n, set.number("budget"))
					keep := mustSelect(t, text, p)
					if c == n {
						continue
					}
					for l, layer := range keep {
						scores := refCritical(p, l, c, scoresOf(t, set, p, l), set)
						if len(layer) != len(scores) {
							t.Fatalf("%s: %d lists, want %d", text, len(layer), len(scores))
						}
						for i, list := range layer {
							holdsBest(t, fmt.Sprintf("%s, %s, %d tokens, layer %d, list %d", name, text, n, l, i), list, scores[i], c)
						}
					}
				}
			}
		}
	}
}

// refExpected is the score of Expected Attention with whole matrices: the mean
// rotation R as a matrix, R·μ and R·Σ·Rᵀ.
func refExpected(p *model.Prefix, layer int, o refSettings) [][]float64 {
	n, s := p.Len(), p.Shape()
	d := s.HeadDim
	if n <= 4 {
		return slices.Repeat([][]float64{slices.Repeat([]float64{math.Inf(1)}, n)}, s.KVHeads)
	}
	turn := make([][]float64, d)
	for i := range turn {
		turn[i] = make([]float64, d)
	}
	for t := range o.whole("future") {
		cos, sin := p.Rotation(layer, n+t)
		for i := range d {
			c, si := float64(cos[i%(d/2)]), float64(sin[i%(d/2)])
			turn[i][i] += c / float64(o.whole("future"))
			if i < d/2 {
				turn[i][i+d/2] -= si / float64(o.whole("future"))
			} else {
				turn[i][i-d/2] += si / float64(o.whole("future"))
			}
		}
	}
	scores, key, value := make([][]float64, s.Heads), make([]float32, d), make([]float32, d)
	for h := range scores {
		mean, covariance := p.QueryMoments(layer, h)
		mu, sigma := make([]float64, d), make([]float64, d*d)
		for i := range d {
			for j := range d {
				mu[i] += turn[i][j] * mean[j]
				for a := range d {
					for b := range d {
						sigma[i*d+j] += turn[i][a] * covariance[a*d+b] * turn[j][b]
					}
				}
			}
		}
		logits, sum := make([]float64, n), 0.0
		for pos := 4; pos < n; pos++ {
			p.Key(layer, h/s.Group(), pos, key)
			x := 0.0
			for i := range d {
				x += mu[i] * float64(key[i]) / math.Sqrt(float64(d))
				if o["covariance"].(bool) {
					for j := range d {
						x += float64(key[i]) * sigma[i*d+j] * float64(key[j]) / float64(d) / 2
					}
				}
			}
			logits[pos] = math.Exp(x)
			sum += logits[pos]
		}
		for pos := range logits {
			logits[pos] /= sum
		}
		scores[h] = logits
	}
	scores = groupMean(scores, s.Group())
	for kv, list := range scores {
		for pos := range list {
			p.Value(layer, kv, pos, value)
			if o["value_norm"].(bool) {
				list[pos] = (list[pos] + o.number("epsilon")) * math.Sqrt(sumSquares(value))
			}
			if pos < 4 {
				list[pos] = math.Inf(1)
			}
		}
	}
	return scores
}

func TestExpectedAttentionEqualsReference(t *testing.T) {
	for _, name := range tinyModels {
		m := openTiny(t, name)
		rng := rand.New(rand.NewPCG(4, 4))
		for _, pairs := range []int{1, 2, 30, 60} {
			prompt, _ := recallPrompt(rng, pairs)
			p := prefillText(t, m, prompt, mustNew(t, "expected_attention budget=1").Needs())
			n := p.Len()
			for _, o := range []string{"", "future=7", "covariance=false", "value_norm=false", "epsilon=0.02 future=1"} {
				set := settingsOf(t, "expected_attention budget=1 "+o)
				sc, err := newExpectedAttention(options(set))
				if err != nil {
					t.Fatal(err)
				}
				for l := range p.Shape().Layers {
					want := refExpected(p, l, set)
					// Products in float32 of logits far from 0 cost up to 1e-4 in each.
					// Twice, to see that the prefix's moments are left alone.
					for range 2 {
						got, err := sc.score(p, l, newScratch(p.Shape().Heads, n))
						if err != nil {
							t.Fatal(err)
						}
						for kv, list := range want {
							for pos, x := range list {
								if !math.IsInf(x, 1) && !(math.Abs(got[kv][pos]-x) <= 1e-3*x) || math.IsInf(x, 1) != math.IsInf(got[kv][pos], 1) {
									t.Fatalf("%s, %d tokens, %s, layer %d, KV head %d, position %d: %g, want %g", name, n, o, l, kv, pos, got[kv][pos], x)
								}
							}
						}
					}
				}
			}
		}
		ids := encoded(t, m.Tokenizer, "ab12 cd", false)
		for n := 1; n <= 6; n++ {
			p, err := m.Prefill(t.Context(), ids[:n], model.Needs{QueryMoments: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, budget := range []string{"1", "0.5", "2"} {
				mustSelect(t, "expected_attention budget="+budget, p)
			}
		}
	}
}

// The same choice on any number of threads; what is not a number is refused by
// place, settings that make no sense and missing records by name.
func TestWeighedRefusals(t *testing.T) {
	defer tensor.SetThreads(tensor.Threads())
	m := openTiny(t, "tiny-m")
	prompt, _ := recallPrompt(rand.New(rand.NewPCG(5, 5)), 40)
	p := prefillText(t, m, prompt, everyRow.Union(model.Needs{QueryMoments: true, HiddenMoments: true}))
	for _, text := range []string{
		"attn budget=0.3", "vatp budget=0.3", "cake budget=0.3 window=8", "criticalkv budget=0.3", "expected_attention budget=0.3", "gvote p=0.6", "twilight p=0.8", "threshold_free threshold=0.2",
		"adakv score=expected_attention budget=0.3", "adakv score=cake budget=0.3", "threshold_free score=expected_attention threshold=0.3",
	} {
		tensor.SetThreads(1)
		want := mustSelect(t, text, p)
		if budget := want.Budget(p.Len()); budget > 0.95 {
			t.Errorf("%s: budget %g, want it to prune", text, budget)
		}
		tensor.SetThreads(3)
		if !reflect.DeepEqual(want, mustSelect(t, text, p)) {
			t.Errorf("%s: three threads choose otherwise", text)
		}
	}
	for text, want := range map[string]string{
		"attn budget=0.5":                         "layer 2, head 5",
		"vatp budget=0.5":                         "layer 2, head 5",
		"cake budget=0.5":                         "layer 2, head 5",
		"attn budget=0":                           "budget 0 keeps nothing",
		"attn budget=1.5":                         "budget 1.5 is neither",
		"attn budget=0.5 window=0":                "window 0 is below 1",
		"attn budget=0.5 last_rows=0":             "last_rows 0 is below 1",
		"attn budget=0.5 last_rows=3 row_share=1": "give one",
		"vatp budget=0.5 sinks=-1":                "sinks -1 is negative",
		"vatp budget=0.5 window=0":                "window 0 is below 1",
		"cake budget=0.5 window=1":                "window 1 is below 2",
		"cake budget=0.5 kernel=4":                "kernel 4 is not odd",
		"cake budget=0.5 gamma=-1":                "gamma -1",
		"cake budget=0.5 tau1=0":                  "must be above 0",
		"cake budget=0.5 tau2=-1":                 "must be above 0",
		"criticalkv budget=0.5 first_stage=1.5":   "first_stage 1.5 is no share",
		"criticalkv budget=0.5 epsilon=inf":       "epsilon +Inf is not finite",
		"expected_attention budget=0.5 future=0":  "future 0 is below 1",
		"expected_attention budget=1 epsilon=-1":  "epsilon -1",
	} {
		bad := attentionPrefix(1, softmaxRows, shapes[1], 60)
		bad.Row(2, 5, 0)[7], bad.ColumnSum(2, 5)[7] = float32(math.NaN()), float32(math.NaN())
		spec, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		pruner, err := New(spec)
		if err == nil {
			_, err = pruner.Select(bad)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"attn budget=0.5", "vatp budget=0.5", "cake budget=0.5", "criticalkv budget=0.5", "expected_attention budget=0.5"} {
		if _, err := mustNew(t, text).Select(model.NewPrefix(shapes[1], 60, model.Needs{})); err == nil || !strings.Contains(err.Error(), "Needs") {
			t.Errorf("%s without records: %v", text, err)
		}
	}
}

// Of the tiny model's answers little is lost with a fifth of the cache where
// attention chooses well, or with what the stopping rule leaves. The seed is
// fixed; of 20 prompts 20 are seen right for each, and 6 for streamingllm.
func TestWeighedRecall(t *testing.T) {
	const prompts = 20
	m := openTiny(t, "tiny-m")
	rng := rand.New(rand.NewPCG(1, 32))
	specs := []string{"criticalkv budget=0.2", "cake budget=0.2", "threshold_free frozen_layers=", "streamingllm budget=0.2"}
	right, budget := make([]int, len(specs)), 0.0
	for range prompts {
		prompt, answer := recallPrompt(rng, 32)
		p := prefillText(t, m, prompt, model.Needs{LastRows: 32})
		var keeps []model.Keep
		for _, text := range specs {
			keeps = append(keeps, mustSelect(t, text, p))
		}
		budget += keeps[2].Budget(p.Len()) / prompts
		for i, g := range generate(t, m, p, keeps, 4) {
			if m.Tokenizer.Decode(g.Tokens, true) == answer {
				right[i]++
			}
		}
	}
	t.Logf("right of %d: %v of %q; %s at a budget of %.3f", prompts, right, specs, specs[2], budget)
	for i, text := range specs[:3] {
		if right[i] < 17 || right[i] < right[3]+8 {
			t.Errorf("%s answers %d of %d, streamingllm %d", text, right[i], prompts, right[3])
		}
	}
	if budget > 0.75 {
		t.Errorf("%s keeps %.3f of the cache, want it to prune", specs[2], budget)
	}
}
