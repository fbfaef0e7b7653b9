package pruners

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
)

// These tests hold the methods to numbers worked out by hand.

// small is a layer of a few tokens: keys and values per KV head and token, two
// channels each; rows per query head, newest first; column sums per query head.
type small struct {
	keys, values [][][2]float32
	rows         [][][]float32
	sums         [][]float32
}

func (m small) prefix(n, heads, kvHeads int) *model.Prefix {
	rows := 0
	if m.rows != nil {
		rows = len(m.rows[0])
	}
	p := model.NewPrefix(model.Shape{Layers: 1, Heads: heads, KVHeads: kvHeads, HeadDim: 2}, n, model.Needs{LastRows: rows, ColumnSums: m.sums != nil})
	for kv, head := range m.keys {
		for pos, key := range head {
			value := key
			if m.values != nil {
				value = m.values[kv][pos]
			}
			p.SetKeyValue(0, kv, pos, key[:], value[:])
		}
	}
	for h, head := range m.rows {
		for back, row := range head {
			copy(p.Row(0, h, back), row)
		}
	}
	for h, sums := range m.sums {
		copy(p.ColumnSum(0, h), sums)
	}
	return p
}

// checkHandScores holds a method's scores to numbers; +Inf is an entry that stays.
func checkHandScores(t *testing.T, text string, p *model.Prefix, want [][]float64) {
	t.Helper()
	m, settings := mustResolve(t, text)
	sc, err := m.scorer(settings)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sc.score(p, 0, newScratch(p.Shape().Heads, p.Len()))
	if err != nil {
		t.Fatal(err)
	}
	same := func(a, b float64) bool { return a == b || math.Abs(a-b) < 5e-5 }
	if diff := cmp.Diff(want, got, cmp.Comparer(same)); diff != "" {
		t.Errorf("%s: scores (-want +got):\n%s", text, diff)
	}
}

func checkKept(t *testing.T, text string, p *model.Prefix, want model.LayerKeep) {
	t.Helper()
	if diff := cmp.Diff(want, mustSelect(t, text, p)[0]); diff != "" {
		t.Errorf("%s: kept (-want +got):\n%s", text, diff)
	}
}

func TestKnormByHand(t *testing.T) {
	p := small{keys: [][][2]float32{{{3, 4}, {1, 0}, {0, 2}, {5, 12}}, {{0, 0}, {8, 6}, {0, 1}, {0, -1}}}}.prefix(4, 2, 2)
	checkHandScores(t, "knorm budget=2", p, [][]float64{{-5, -1, -2, -13}, {0, -10, -1, -1}})
	checkKept(t, "knorm budget=2", p, model.LayerKeep{{1, 2}, {0, 2}})
	checkKept(t, "knorm budget=0.75", p, model.LayerKeep{{0, 1, 2}, {0, 2, 3}})
}

// The mean is over all query heads, whatever KV head they share; the last token
// stays with the least attention.
func TestTOVAByHand(t *testing.T) {
	p := small{rows: [][][]float32{
		{{0.5, 0.125, 0.125, 0.25, 0}},
		{{0.125, 0.25, 0.25, 0.25, 0.125}},
	}}.prefix(5, 2, 1)
	checkHandScores(t, "tova budget=2", p, [][]float64{{0.3125, 0.1875, 0.1875, 0.25, math.Inf(1)}})
	checkKept(t, "tova budget=0.2", p, model.LayerKeep{{4}})
	checkKept(t, "tova budget=2", p, model.LayerKeep{{0, 4}})
	checkKept(t, "tova budget=4", p, model.LayerKeep{{0, 1, 3, 4}})
}

// Mean direction (3/4, 1/4): lengths of keys do not count.
func TestKeyDiffByHand(t *testing.T) {
	p := small{keys: [][][2]float32{{{1, 0}, {4, 0}, {0, 3}, {0.5, 0}}}}.prefix(4, 1, 1)
	along, across := -3/math.Sqrt(10), -1/math.Sqrt(10)
	checkHandScores(t, "keydiff budget=2", p, [][]float64{{along, along, across, along}})
	checkKept(t, "keydiff budget=2", p, model.LayerKeep{{0, 2}})
}

// A key of zeros has no direction.
func TestKeyDiffZeroKeys(t *testing.T) {
	p := small{keys: [][][2]float32{{{0, 0}, {4, 0}, {0, 0}}, {{0, 0}, {0, 0}, {0, 0}}}}.prefix(3, 2, 2)
	checkHandScores(t, "keydiff budget=2", p, [][]float64{{0, -1, 0}, {0, 0, 0}})
}

// Chunks of two tokens. Keys: the second chunk's bounds are 0…2 and 0…4, so that
// the first chunk's tokens become (1/2, 1/4) and (1, 0), of deviations 0.1768 and
// 0.7071. Values: bounds 0…1, (0, 1) and (1/2, 1/2), 0.7071 and 0. The mean of
// the softmaxes is 0.5201 and 0.4799.
func TestLagKVByHand(t *testing.T) {
	p := small{
		keys:   [][][2]float32{{{1, 1}, {2, 0}, {0, 0}, {2, 4}, {9, 9}}},
		values: [][][2]float32{{{0, 1}, {0.5, 0.5}, {0, 0}, {1, 1}, {9, 9}}},
	}.prefix(5, 1, 1)
	inf := math.Inf(1)
	checkHandScores(t, "lagkv sinks=0 lag=2 cross_scoring=true budget=3", p, [][]float64{{0.5201, 0.4799, 1.6, 1.8, inf}})
	checkHandScores(t, "lagkv sinks=0 lag=2 budget=3", p, [][]float64{{0.5, 0, 1.6, 1.8, inf}})
	checkKept(t, "lagkv sinks=0 lag=2 budget=4", p, model.LayerKeep{{0, 2, 3, 4}})
	checkKept(t, "lagkv sinks=0 lag=2 budget=2", p, model.LayerKeep{{3, 4}}) // the newest of what would stay
	checkKept(t, "lagkv sinks=1 lag=3 budget=2", p, model.LayerKeep{{0, 4}}) // too short for two chunks
}

// A chunk that repeats one token gives no scale: nothing stands out against it.
func TestLagKVRepeatedToken(t *testing.T) {
	p := small{keys: [][][2]float32{{{1, 2}, {3, 4}, {5, 5}, {5, 5}, {6, 6}}}}.prefix(5, 1, 1)
	checkHandScores(t, "lagkv sinks=0 lag=2 cross_scoring=true budget=3", p, [][]float64{{0.5, 0.5, 1.6, 1.8, math.Inf(1)}})
}

// Squared norms of keys 1, 3, 4, 4 and of values 2, 2, 1, 3.
func TestCURByHand(t *testing.T) {
	r := func(x float64) float32 { return float32(math.Sqrt(x)) }
	p := small{
		keys:   [][][2]float32{{{1, 0}, {r(3), 0}, {0, 2}, {2, 0}}},
		values: [][][2]float32{{{1, 1}, {r(2), 0}, {0, 1}, {1, r(2)}}},
	}.prefix(4, 1, 1)
	for text, want := range map[string][]float64{
		"cur sinks=0 window=2 budget=2":                  {0.125, 0.375, 0.125, 0.375},
		"cur sinks=0 window=2 budget=2 leverage=key":     {0.125, 0.375, 0.25, 0.25},
		"cur sinks=0 window=2 budget=2 leverage=value":   {0.25, 0.25, 0.125, 0.375},
		"cur sinks=0 window=2 budget=2 leverage=mean":    {0.1875, 0.3125, 0.1875, 0.3125},
		"cur sinks=0 window=0 budget=2 leverage=key":     {1.0 / 12, 3.0 / 12, 4.0 / 12, 4.0 / 12},
		"cur sinks=0 window=0 budget=2 leverage=mean":    {0.15, 0.25, 0.25, 0.35},
		"cur sinks=0 window=3 budget=2 leverage=key":     {1.0 / 16, 3.0 / 16, 4.0 / 16, 8.0 / 16},
		"cur sinks=1 window=2 budget=2":                  {math.Inf(1), 0.375, 0.125, 0.375},
		"cur sinks=9 window=2 budget=2 leverage=product": {math.Inf(1), math.Inf(1), math.Inf(1), math.Inf(1)},
	} {
		checkHandScores(t, text, p, [][]float64{want})
	}
	checkKept(t, "cur sinks=0 window=2 budget=2", p, model.LayerKeep{{1, 3}})
	checkKept(t, "cur sinks=1 window=2 budget=2 leverage=key", p, model.LayerKeep{{0, 1}})
}

// Three, two and one queries see the keys; two query heads share the KV head.
func TestObservedAttentionByHand(t *testing.T) {
	p := small{sums: [][]float32{{2, 0.5, 0.5}, {1, 1.25, 0.75}}}.prefix(3, 2, 1)
	checkHandScores(t, "observed_attention budget=2", p, [][]float64{{0.5, 0.4375, 0.625}})
	checkKept(t, "observed_attention budget=2", p, model.LayerKeep{{0, 2}})
}

// Even shares are 1/4 for the last query and 1/3 for the one before, which does
// not see the last token.
func TestScissorhandsByHand(t *testing.T) {
	p := small{rows: [][][]float32{
		{{0.3, 0.1, 0.2, 0.4}, {0.3, 0.5, 0.2, 0}},
		{{0.25, 0.25, 0.25, 0.25}, {1.0 / 3, 1.0 / 3, 1.0 / 3, 0}},
	}}.prefix(4, 2, 1)
	checkHandScores(t, "scissorhands window=2 recent=0 budget=2", p, [][]float64{{-1, -1, -2, 0}})
	checkHandScores(t, "scissorhands window=1 recent=0 budget=2", p, [][]float64{{0, -1, -1, 0}})
	checkHandScores(t, "scissorhands window=2 recent=2 budget=2", p, [][]float64{{-1, -1, math.Inf(1), math.Inf(1)}})
	checkKept(t, "scissorhands window=2 recent=0 budget=2", p, model.LayerKeep{{0, 3}})
	checkKept(t, "scissorhands window=2 recent=2 budget=3", p, model.LayerKeep{{0, 2, 3}})
}

// Layers, heads and seeds draw for themselves, evenly; prompts do not matter.
func TestRandomDraws(t *testing.T) {
	s, n := model.Shape{Layers: 6, Heads: 8, KVHeads: 4, HeadDim: 2}, 400
	p, other := attentionPrefix(1, softmaxRows, s, n), attentionPrefix(2, equalRows, s, n)
	hits := make([]int, n)
	var seen [][]int32
	for _, seed := range []string{"0", "1", "-1"} {
		keep := mustSelect(t, "random budget=0.3 seed="+seed, p)
		if diff := cmp.Diff(keep, mustSelect(t, "random budget=0.3 seed="+seed, other)); diff != "" {
			t.Errorf("seed %s draws otherwise for another prompt:\n%s", seed, diff)
		}
		for _, layer := range keep {
			if len(layer) != s.KVHeads {
				t.Fatalf("%d lists, want one for each of %d KV heads", len(layer), s.KVHeads)
			}
			for _, list := range layer {
				for _, before := range seen {
					if slices.Equal(before, list) {
						t.Error("two layers, heads or seeds draw the same")
					}
				}
				seen = append(seen, list)
				for _, pos := range list {
					hits[pos]++
				}
			}
		}
	}
	// 72 draws of 120 of 400: a quarter of the prompt gets 2,160 hits, give or take 33.
	for quarter := range 4 {
		sum := 0
		for _, hit := range hits[quarter*100 : (quarter+1)*100] {
			sum += hit
		}
		if sum < 2000 || sum > 2320 {
			t.Errorf("quarter %d of the prompt is drawn %d times, want about 2,160", quarter, sum)
		}
	}
}

// Two heads, a budget of two each: one entry is safe in each, the other two go
// where the scores are best.
func TestAdaKVByHand(t *testing.T) {
	p := small{keys: [][][2]float32{{{1, 0}, {2, 0}, {3, 0}, {4, 0}}, {{0.4, 0}, {0.3, 0}, {0.2, 0}, {0.1, 0}}}}.prefix(4, 2, 2)
	checkKept(t, "adakv score=knorm budget=2", p, model.LayerKeep{{0}, {1, 2, 3}})
	checkKept(t, "adakv score=knorm budget=2 safeguard=1", p, model.LayerKeep{{0, 1}, {2, 3}})
	checkKept(t, "adakv score=knorm budget=3 safeguard=0.7", p, model.LayerKeep{{0, 1}, {0, 1, 2, 3}})
	checkKept(t, "adakv score=knorm budget=0.25", p, model.LayerKeep{{0}, {3}})
}

// A layer holds its budget to the entry, every list its safeguard, also where
// more entries stay in any case than the budget holds: then the heads share it.
func TestAdaKVBudget(t *testing.T) {
	n := 200
	for _, s := range shapes {
		for _, kind := range allKinds {
			p := attentionPrefix(3, kind, s, n)
			for _, c := range []struct {
				text string
				c    int
				safe int
			}{
				{"adakv budget=0.2", 40, 8}, {"adakv budget=0.2 safeguard=0", 40, 1}, {"adakv budget=0.2 safeguard=1", 40, 40},
				{"adakv budget=3", 3, 3}, {"adakv budget=1 safeguard=0.5", n, n}, {"adakv budget=0.1 score.window=50", 20, 20},
				{"adakv budget=50 score=knorm", 50, 10}, {"adakv budget=50 score=scissorhands", 50, 10}, {"adakv budget=0.3 score=tova", 60, 60},
				{"adakv budget=5 score=cur safeguard=0.5", 5, 4},
			} {
				for l, layer := range mustSelect(t, c.text, p) {
					total := 0
					for h, list := range layer {
						total += len(list)
						if len(list) < c.safe {
							t.Fatalf("%s, %s rows, layer %d, list %d keeps %d, want at least %d", c.text, kind, l, h, len(list), c.safe)
						}
					}
					if total != len(layer)*c.c {
						t.Fatalf("%s, %s rows: layer %d keeps %d in %d lists, want %d each on average", c.text, kind, l, total, len(layer), c.c)
					}
				}
			}
		}
	}
}

// Spec 4.5 for the released code and KVCache-Factory; kvpress's are what its
// version 0.5.5 gives.
func TestPyramidKVBudgets(t *testing.T) {
	for _, c := range []struct {
		schedule  string
		n         int
		budget    float64
		beta      int
		window    int
		wantFirst []int
		layers    int
	}{
		{"released", 1000, 0.2, 20, 8, []int{383, 292, 201, 110}, 4},
		{"factory", 1000, 0.2, 20, 8, []int{383, 261, 139, 17}, 4},
		{"released", 1000, 0.2, 20, 8, []int{383, 372, 361}, 32},
		{"released", 1000, 0.9, 20, 8, []int{900, 900, 900, 900}, 4}, // plain SnapKV above about half
		{"factory", 1000, 0.9, 20, 8, []int{900, 900, 900, 900}, 4},
		{"released", 1000, 508, 100, 8, []int{1000, 754, 508, 262}, 4}, // the first layer keeps everything
		{"released", 100, 0.58, 20, 8, []int{100, 79, 58, 37}, 4},
		{"released", 1000, 8, 20, 8, []int{8, 8}, 2},
		{"released", 1000, 9, 20, 8, []int{10, 9}, 2},
		{"factory", 1000, 9, 20, 8, []int{10, 8}, 2},
		{"factory", 1000, 0.2, 20, 8, []int{383}, 1},
		{"released", 100, 10, 20, 0, []int{20, 10}, 2}, // a score without a window
		{"factory", 100, 10, 20, 0, []int{20, 1}, 2},   // a cache cannot be empty
		{"released", 100, 5, 20, 10, []int{5, 5}, 2},   // less than the score keeps in any case
		{"kvpress", 1000, 0.5, 20, 64, []int{936, 645, 355, 64}, 4},
		{"kvpress", 1000, 500, 20, 64, []int{936, 645, 355, 64}, 4},
		{"kvpress", 1000, 0.25, 20, 64, []int{250, 250, 250, 250}, 4},
		{"kvpress", 1000, 0.75, 20, 64, []int{936, 843, 750, 657, 564}, 5},
		{"kvpress", 999, 0.5, 20, 8, []int{974, 500, 25}, 3},
		{"kvpress", 4096, 0.125, 5, 8, []int{922, 758, 594, 430, 266, 102}, 6},
		{"kvpress", 200, 0.5, 20, 64, []int{136, 64}, 2},
		{"kvpress", 777, 0.375, 1, 3, []int{291, 291, 291, 291}, 4},
		{"kvpress", 100, 0.5, 20, 8, []int{92}, 1},
		{"kvpress", 50, 0.015625, 20, 1, []int{1, 1}, 2},
	} {
		got := pyramidKV{budget: c.budget, schedule: c.schedule, beta: c.beta}.budgets(c.n, c.window, c.layers)
		if diff := cmp.Diff(c.wantFirst, got[:len(c.wantFirst)]); diff != "" || len(got) != c.layers {
			t.Errorf("%+v (-want +got):\n%s", c, diff)
		}
	}
	all := pyramidKV{budget: 0.2, schedule: "released", beta: 20}.budgets(1000, 8, 32)
	sum := 0
	for _, count := range all {
		sum += count
	}
	if mean := float64(sum) / 32; all[31] != 42 || mean != 212.5 {
		t.Errorf("last of 32 layers keeps %d, mean %g; the spec says 42 and 212.5", all[31], mean)
	}
}

// Where all layers keep the same, PyramidKV is the method whose score it takes.
func TestPyramidKVFallsBack(t *testing.T) {
	p := attentionPrefix(4, softmaxRows, shapes[1], 150)
	for text, same := range map[string]string{
		"pyramidkv budget=0.9":                                             "snapkv budget=0.9",
		"pyramidkv budget=0.7 score.heads=kv score.pooling=avg":            "snapkv budget=0.7 heads=kv pooling=avg",
		"pyramidkv budget=4 schedule=factory beta=1":                       "snapkv budget=4",
		"pyramidkv budget=30 beta=1":                                       "snapkv budget=30",
		"pyramidkv budget=0.9 score=h2o score.rows=all":                    "h2o budget=0.9 rows=all",
		"pyramidkv budget=0.25 schedule=kvpress score.window=20":           "snapkv budget=38 window=20",
		"pyramidkv budget=0.3 score=knorm beta=1":                          "knorm budget=0.3",
		"pyramidkv budget=0.9 score=observed_attention schedule=factory":   "observed_attention budget=0.9",
		"pyramidkv budget=1 score.window=64":                               "full",
		"pyramidkv budget=900 schedule=kvpress score=keydiff":              "full",
		"pyramidkv budget=0.3 schedule=kvpress score=scissorhands beta=1":  "scissorhands budget=0.3",
		"pyramidkv budget=0.001 schedule=kvpress score=tova score.decode=": "",
	} {
		if same == "" {
			if _, err := Parse(text); err == nil {
				t.Errorf("%s: an option that only the score's own method has was taken", text)
			}
			continue
		}
		if diff := cmp.Diff(mustSelect(t, same, p), mustSelect(t, text, p)); diff != "" {
			t.Errorf("%s (-%s +got):\n%s", text, same, diff)
		}
	}
}

// Norms 4 4 | 1 1 | 9 and 1 1 | 2 2 | 0.5: chunks score -5, -3 and -9.5.
func TestChunkKVByHand(t *testing.T) {
	p := small{keys: [][][2]float32{{{4, 0}, {4, 0}, {0, 1}, {1, 0}, {9, 0}}, {{1, 0}, {0, 1}, {2, 0}, {2, 0}, {0.5, 0}}}}.prefix(5, 2, 2)
	checkKept(t, "chunkkv score=knorm chunk=2 budget=0.5", p, model.LayerKeep{{2, 3}})
	checkKept(t, "chunkkv score=knorm chunk=2 budget=0.7", p, model.LayerKeep{{0, 1, 2, 3}})
	checkKept(t, "chunkkv score=knorm chunk=2 budget=3", p, model.LayerKeep{{2, 3}}) // one whole chunk in three tokens
	checkKept(t, "chunkkv score=knorm chunk=2 budget=4", p, model.LayerKeep{{0, 1, 2, 3}})
	checkKept(t, "chunkkv score=knorm chunk=2 budget=5", p, model.LayerKeep{{0, 1, 2, 3, 4}})
	checkKept(t, "chunkkv score=knorm chunk=2 budget=0.01", p, model.LayerKeep{{2, 3}})
	checkKept(t, "chunkkv score=knorm chunk=5 budget=0.5", p, model.LayerKeep{{0, 1, 2, 3, 4}}) // one chunk is the least
	checkKept(t, "chunkkv score=knorm chunk=6 budget=2", p, model.LayerKeep{{2, 3}, {0, 4}})    // less than a chunk: by entries
	checkKept(t, "chunkkv score=tova chunk=2 budget=2", small{rows: [][][]float32{{{0.5, 0.25, 0.25, 0, 0}}}}.prefix(5, 1, 1), model.LayerKeep{{4}})
}

// Of the last row the first token and two recent ones count, not the last token
// itself: 0.75 and 0.5 of the attention, 0.625 on average.
func TestSimLayerKVByHand(t *testing.T) {
	p := small{rows: [][][]float32{
		{{0.375, 0.0625, 0.0625, 0.125, 0.25, 0.125}},
		{{0.25, 0.125, 0.125, 0.125, 0.125, 0.25}},
	}}.prefix(6, 2, 1)
	all := model.LayerKeep{{0, 1, 2, 3, 4, 5}}
	checkKept(t, "simlayerkv sinks=1 recent=2 threshold=0.62", p, model.LayerKeep{{0, 5}})
	checkKept(t, "simlayerkv sinks=1 recent=2 threshold=0.625", p, all) // not above
	checkKept(t, "simlayerkv sinks=0 recent=2 threshold=0.3", p, model.LayerKeep{{5}})
	checkKept(t, "simlayerkv sinks=0 recent=2 threshold=0.32", p, all)
	checkKept(t, "simlayerkv sinks=2 recent=3 threshold=0", p, all) // six tokens are too few
	checkKept(t, "simlayerkv sinks=1 recent=2 threshold=1", p, all)
}

// Layers decide for themselves.
func TestSimLayerKVByLayer(t *testing.T) {
	s, n := shapes[1], 100
	p := attentionPrefix(5, equalRows, s, n)
	for h := range s.Heads {
		row := p.Row(2, h, 0)
		clear(row)
		row[0] = 1
	}
	all, lazy := model.LayerKeep{span(nil, 0, n)}, model.LayerKeep{span(span(nil, 0, 4), n-19, n)}
	want := model.Keep{all, all, lazy, all}
	if diff := cmp.Diff(want, mustSelect(t, "simlayerkv recent=20", p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// topK: of more entries than fit that stay in any case, the newest stay.
func TestTopKAlways(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		scores []float64
		k      int
		want   []int32
	}{
		{[]float64{inf, inf, 1, inf}, 2, []int32{1, 3}},
		{[]float64{inf, inf, 1, inf}, 3, []int32{0, 1, 3}},
		{[]float64{inf, 1, 1, 1, inf}, 3, []int32{0, 1, 4}},
		{[]float64{inf, inf, inf}, 1, []int32{2}},
		{[]float64{1, 1, 1}, 1, []int32{0}},
		{[]float64{-inf, -inf, inf}, 2, []int32{0, 2}},
	} {
		if diff := cmp.Diff(c.want, topK(nil, c.scores, c.k, make([]float64, len(c.scores)))); diff != "" {
			t.Errorf("the best %d of %v (-want +got):\n%s", c.k, c.scores, diff)
		}
	}
}
