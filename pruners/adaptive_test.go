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
)

// These tests hold the methods without a budget, ReFreeKV aside, to their
// definitions in plain loops and to what must be true of each.

// settingsOf resolves a method's settings.
func settingsOf(t testing.TB, text string) refSettings {
	t.Helper()
	_, settings := mustResolve(t, text)
	return refSettings(settings)
}

// scoresOf are the scores that the settings of a method that builds on one
// choose.
func scoresOf(t testing.TB, o refSettings, p *model.Prefix, layer int) [][]float64 {
	t.Helper()
	sc, err := options(o).scorer()
	if err != nil {
		t.Fatal(err)
	}
	scores, err := sc.score(p, layer, newScratch(p.Shape().Heads, p.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return scores
}

// refThresholdFree is ReFreeKV's rule along ascending scores.
func refThresholdFree(t testing.TB, text string, p *model.Prefix, layer int) model.LayerKeep {
	o := settingsOf(t, text)
	n, heads := p.Len(), p.Shape().Heads
	if slices.Contains(o["frozen_layers"].([]int), layer) {
		return model.LayerKeep{listOf(func(int) bool { return true }, n)}
	}
	scores := scoresOf(t, o, p, layer)
	candidates := n
	for _, list := range scores {
		count := 0
		for _, x := range list {
			if !math.IsInf(x, 1) {
				count++
			}
		}
		candidates = min(candidates, count)
	}
	order, weights, fixed := make([][]int, heads), make([][]float64, heads), make([][]float64, heads)
	for h := range heads {
		list := scores[h/(heads/len(scores))]
		for pos := range n {
			order[h] = append(order[h], pos)
		}
		sort.SliceStable(order[h], func(a, b int) bool { return list[order[h][a]] < list[order[h][b]] })
		for i, pos := range order[h] {
			a := float64(p.Row(layer, h, 0)[pos])
			if i < candidates {
				weights[h] = append(weights[h], a)
			} else {
				fixed[h] = append(fixed[h], a)
			}
		}
	}
	scope, agg, threshold := o["norm_scope"].(string), o["head_agg"].(string), o.number("threshold")
	_, together := lossRatios(weights, fixed, scope, agg)
	out := model.LayerKeep{}
	for h := range heads {
		cut := refCut(together, threshold, weights)
		if agg == "per_head" {
			_, own := lossRatios(weights[h:h+1], fixed[h:h+1], scope, agg)
			cut = refCut(own, threshold, weights[h:h+1])
		}
		if agg == "per_head" || h%(heads/len(scores)) == 0 {
			out = append(out, listOf(func(pos int) bool { return slices.Index(order[h], pos) >= cut }, n))
		}
	}
	return out
}

var thresholdFreeScores = []string{
	"", "score.window=1", "score.heads=kv score.pooling=avg", "score=h2o score.rows=all", "score=h2o score.heads=kv score.group=max",
	"score=tova", "score=knorm", "score=scissorhands", "score=attn", "score=vatp", "score=cake", "score=random",
}

func TestThresholdFreeEqualsReference(t *testing.T) {
	turn := 0
	for _, kind := range allKinds {
		for shape := range shapes {
			for _, n := range []int{1, 2, 8, 9, 20, 45} {
				p := attentionPrefix(uint64(shape), kind, shapes[shape], n)
				for _, score := range thresholdFreeScores {
					turn++
					text := fmt.Sprintf("threshold_free threshold=%s head_agg=%s norm_scope=%s frozen_layers=%s %s",
						[]string{"0", "0.01", "0.09", "0.47", "1"}[turn%5], []string{"mean", "joint", "per_head"}[turn%3],
						[]string{"candidates", "all", "candidates", "mixed"}[turn%4], []string{"", "0"}[turn%2], score)
					for layer, got := range mustSelect(t, text, p) {
						if diff := cmp.Diff(refThresholdFree(t, text, p, layer), got); diff != "" {
							t.Fatalf("%s on %s rows, %+v, %d tokens, layer %d (-reference +got):\n%s", text, kind, shapes[shape], n, layer, diff)
						}
					}
				}
			}
		}
	}
}

// With ReFreeKV's other rankings the composite is ReFreeKV: the H2O score of the
// last 8 rows protects the same window and ranks alike.
func TestThresholdFreeIsReFreeKV(t *testing.T) {
	for _, n := range []int{9, 40, 150} {
		p := attentionPrefix(3, softmaxRows, shapes[1], n)
		for _, o := range []string{"", " threshold=0.1", " threshold=0.3 head_agg=per_head", " frozen_layers= head_agg=joint threshold=0.05"} {
			want, got := mustSelect(t, "refreekv ranking=attention"+o, p), mustSelect(t, "threshold_free score=h2o"+o, p)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d tokens%s (-refreekv +threshold_free):\n%s", n, o, diff)
			}
		}
	}
}

// adaptiveSteps are methods with settings from the mildest to the harshest:
// what a harsher one keeps, a milder one keeps too.
func adaptiveSteps() map[string][]string {
	steps := map[string][]string{}
	for _, score := range thresholdFreeScores {
		for _, agg := range []string{"mean", "joint", "per_head"} {
			name := fmt.Sprintf("threshold_free frozen_layers= head_agg=%s %s", agg, score)
			for _, threshold := range []string{"0", "1e-4", "0.01", "0.1", "0.5", "1"} {
				steps[name] = append(steps[name], name+" threshold="+threshold)
			}
		}
	}
	for _, o := range []string{"", " window=9", " heads=kv"} {
		for _, p := range []string{"1", "0.99", "0.9", "0.5", "0.1", "0.001"} {
			steps["twilight"+o] = append(steps["twilight"+o], "twilight p="+p+o)
		}
	}
	return steps
}

func TestAdaptiveBudgetsFall(t *testing.T) {
	s := shapes[2]
	for name, steps := range adaptiveSteps() {
		for _, kind := range allKinds {
			p := attentionPrefix(5, kind, s, 90)
			first, last := mustSelect(t, steps[0], p), mustSelect(t, steps[len(steps)-1], p)
			if budget := first.Budget(90); kind == softmaxRows && budget != 1 {
				t.Errorf("%s: budget %g, want everything", steps[0], budget)
			}
			if budget := last.Budget(90); kind == softmaxRows && budget > 0.4 {
				t.Errorf("%s: budget %g", steps[len(steps)-1], budget)
			}
			before := lists(first, s)
			for _, text := range steps[1:] {
				now := lists(mustSelect(t, text, p), s)
				for l := range now {
					for h := range now[l] {
						if extra := without(now[l][h], before[l][h]); len(extra) > 0 {
							t.Fatalf("%s: %s on %s rows, layer %d, head %d keeps %v, which a milder setting dropped", name, text, kind, l, h, extra)
						}
					}
				}
				before = now
			}
		}
	}
}

// The heads' order tells nothing.
func TestAdaptiveHeadOrder(t *testing.T) {
	checkHeadOrder(t, []string{
		"threshold_free", "threshold_free threshold=0.1 head_agg=joint", "threshold_free threshold=0.1 head_agg=per_head score=h2o", "threshold_free score=tova threshold=0.1",
		"twilight", "twilight p=0.5 window=4",
	})
}

// What is not a number is refused by place; settings that make no sense, and a
// prefix without what is needed, by name.
func TestAdaptiveRefusals(t *testing.T) {
	s := shapes[1]
	for _, text := range []string{"threshold_free score=knorm", "threshold_free", "twilight", "twilight window=5"} {
		p := attentionPrefix(1, softmaxRows, s, 40)
		p.Row(2, 5, 0)[3] = float32(math.NaN())
		if keep, err := mustNew(t, text).Select(p); err == nil || !strings.Contains(err.Error(), "layer 2, head 5") || keep != nil {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := mustNew(t, text).Select(model.NewPrefix(s, 40, model.Needs{})); err == nil || !strings.Contains(err.Error(), "Needs") {
			t.Errorf("%s without needs: %v", text, err)
		}
	}
	nan := attentionPrefix(1, softmaxRows, s, 40)
	nan.SetKeyValue(2, 1, 7, slices.Repeat([]float32{float32(math.NaN())}, s.HeadDim), make([]float32, s.HeadDim))
	if _, err := mustNew(t, "threshold_free score=knorm").Select(nan); err == nil || !strings.Contains(err.Error(), "layer 2, list 1: the score of position 7") {
		t.Errorf("a key that is not a number: %v", err)
	}
	if _, err := mustNew(t, "gvote").Select(model.NewPrefix(s, 40, model.Needs{LastRows: 1})); err == nil || !strings.Contains(err.Error(), "Needs") {
		t.Errorf("gvote without moments: %v", err)
	}
	for text, want := range map[string]string{
		"threshold_free threshold=-0.1":                          "threshold -0.1 is no share",
		"threshold_free threshold=inf":                           "threshold +Inf is no share",
		"threshold_free score.window=0":                          "window 0 is below 1",
		"twilight p=0":                                           "p 0 is no share above 0",
		"twilight p=1.1":                                         "p 1.1 is no share",
		"twilight window=0":                                      "window 0 is below 1",
		"gvote p=-1":                                             "p -1 is no share",
		"gvote samples=0":                                        "samples 0 is below 1",
		"refreekv metric=norm1":                                  "goes with ranking=snapkv",
		"refreekv row_share=2":                                   "row_share 2 is no share",
		"refreekv row_share=-0.1":                                "row_share -0.1 is no share",
		"refreekv row_share=0.1 last_rows=2":                     "give one",
		"refreekv ranking=snapkv rows_mask=none":                 "go with ranking=position only",
		"refreekv ranking=snapkv metric=norm_inf head_agg=joint": "head_agg=mean only",
		"refreekv ranking=attention metric=row_sqrt_sum threshold=0.001": "goes with ranking=snapkv",
	} {
		spec, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if _, err := New(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestTwilightByHand(t *testing.T) {
	s := model.Shape{Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 2}
	p := model.NewPrefix(s, 5, model.Needs{LastRows: 2})
	copy(p.Row(0, 0, 0), []float32{0.5, 0.0625, 0.25, 0.125, 0.0625})
	copy(p.Row(0, 1, 0), []float32{0, 0.25, 0, 0, 0.75})
	copy(p.Row(0, 0, 1), []float32{0, 0, 0, 1, 0})
	copy(p.Row(0, 1, 1), []float32{1, 0, 0, 0, 0})
	for text, want := range map[string]model.LayerKeep{
		"twilight p=0.5":           {{0}, {4}},
		"twilight p=0.75":          {{0, 2}, {4}},
		"twilight p=0.76":          {{0, 2, 3}, {1, 4}},
		"twilight p=0.9":           {{0, 1, 2, 3}, {1, 4}},
		"twilight p=0.95":          {{0, 1, 2, 3, 4}, {1, 4}},
		"twilight p=1":             {{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}},
		"twilight p=0.76 heads=kv": {{0, 1, 2, 3, 4}},
		"twilight p=0.75 heads=kv": {{0, 2, 4}},
		"twilight p=0.5 window=2":  {{3}, {0}},
	} {
		if diff := cmp.Diff(model.Keep{want}, mustSelect(t, text, p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// A head keeps the share of its attention that it is told to and could not do
// with an entry less.
func TestTwilightKeepsTheShare(t *testing.T) {
	for _, kind := range allKinds[:3] {
		for _, s := range shapes {
			for _, n := range []int{1, 2, 7, 90} {
				p := attentionPrefix(11, kind, s, n)
				for _, share := range []float64{0.1, 0.5, 0.85, 0.95, 0.999} {
					for l, layer := range mustSelect(t, fmt.Sprintf("twilight p=%g window=3", share), p) {
						for h, list := range layer {
							total, kept, least, dropped := 0.0, 0.0, math.Inf(1), 0.0
							for pos := range n {
								a := refScore(p, l, h, pos, 3)
								total += a
								if slices.Contains(list, int32(pos)) {
									kept += a
									least = min(least, a)
								} else {
									dropped = max(dropped, a)
								}
							}
							if kept < share*total-1e-12 || kept-least >= share*total+1e-12 && len(list) > 1 || dropped > least {
								t.Fatalf("%s, %d tokens, p=%g, layer %d, head %d: %d entries hold %g of %g, the least %g, the best of the others %g", kind, n, share, l, h, len(list), kept, total, least, dropped)
							}
						}
					}
				}
			}
		}
	}
}

// joined is the union of the query heads' lists of every KV head.
func joined(keep model.Keep, s model.Shape) model.Keep {
	out := make(model.Keep, len(keep))
	for l, layer := range lists(keep, s) {
		for kv := range s.KVHeads {
			union := slices.Concat(layer[kv*s.Group() : (kv+1)*s.Group()]...)
			slices.Sort(union)
			out[l] = append(out[l], slices.Compact(union))
		}
	}
	return out
}

func TestUnionOfQueryHeads(t *testing.T) {
	p := attentionPrefix(4, softmaxRows, shapes[2], 120)
	want := joined(mustSelect(t, "twilight p=0.7", p), shapes[2])
	if diff := cmp.Diff(want, mustSelect(t, "twilight p=0.7 heads=kv", p)); diff != "" {
		t.Errorf("twilight (-union +heads=kv):\n%s", diff)
	}
	m := openTiny(t, "tiny-m")
	prompt, _ := recallPrompt(rand.New(rand.NewPCG(1, 1)), 20)
	q := prefillText(t, m, prompt, mustNew(t, "gvote").Needs())
	want = joined(mustSelect(t, "gvote p=0.7", q), q.Shape())
	if diff := cmp.Diff(want, mustSelect(t, "gvote p=0.7 heads=kv", q)); diff != "" {
		t.Errorf("gvote (-union +heads=kv):\n%s", diff)
	}
}

// refGVote draws the samples one by one and lets each vote over all keys, in
// float64. votes are the scores of every sample; count is how many each names.
func refGVote(p *model.Prefix, o refSettings, layer, head int) (votes [][]float64, count int) {
	n, d, share := p.Len(), p.Shape().HeadDim, o.number("p")
	row := make([]float64, n)
	for pos, a := range p.Row(layer, head, 0) {
		row[pos] = float64(a)
	}
	sorted := slices.Sorted(slices.Values(row))
	slices.Reverse(sorted)
	total, reached := 0.0, 0.0
	for _, a := range sorted {
		total += a
	}
	for count = 0; count == 0 || count < n && (share == 1 || reached < share*total); count++ {
		reached += sorted[count]
	}
	mean, variance := p.HiddenMoments(layer)
	rng := rand.New(rand.NewPCG(uint64(o.whole("seed")), uint64(layer)))
	for i := range o.whole("samples") {
		hidden := make([]float32, len(mean))
		for j := range hidden {
			hidden[j] = float32(mean[j] + rng.NormFloat64()*math.Sqrt(variance[j]))
		}
		projected := make([]float32, p.Shape().Heads*d)
		p.ProjectQueries(layer, hidden, projected)
		query := make([]float64, d)
		for j := range query {
			query[j] = float64(projected[head*d+j])
		}
		cos, sin := p.Rotation(layer, n+i)
		turned := slices.Clone(query)
		for j := range cos {
			turned[j] = query[j]*float64(cos[j]) - query[j+d/2]*float64(sin[j])
			turned[j+d/2] = query[j+d/2]*float64(cos[j]) + query[j]*float64(sin[j])
		}
		scores, key := make([]float64, n), make([]float32, d)
		for pos := range scores {
			p.Key(layer, head/p.Shape().Group(), pos, key)
			for j, k := range key {
				scores[pos] += turned[j] * float64(k)
			}
		}
		votes = append(votes, scores)
	}
	return votes, count
}

// mustBe tells of every entry whether it must be among the count best of scores,
// may be, or may not: entries within a tolerance of the last place may.
func mustBe(scores []float64, count int) (must, may []bool) {
	sorted := slices.Sorted(slices.Values(scores))
	last, slack := sorted[len(sorted)-count], 0.0
	if !math.IsInf(last, 0) {
		slack = 1e-5 * math.Abs(last)
	}
	must, may = make([]bool, len(scores)), make([]bool, len(scores))
	for i, x := range scores {
		must[i] = x > last+slack || count == len(scores)
		may[i] = x >= last-slack
	}
	return must, may
}

func TestGVoteEqualsReference(t *testing.T) {
	for _, name := range tinyModels {
		m := openTiny(t, name)
		rng := rand.New(rand.NewPCG(8, 8))
		for _, pairs := range []int{1, 2, 12, 60} {
			prompt, _ := recallPrompt(rng, pairs)
			p := prefillText(t, m, prompt, mustNew(t, "gvote").Needs())
			for _, text := range []string{"gvote", "gvote p=0.5 samples=3 seed=7", "gvote p=0.1 samples=1", "gvote p=1"} {
				o := settingsOf(t, text)
				for l, layer := range mustSelect(t, text, p) {
					for h, list := range layer {
						votes, count := refGVote(p, o, l, h)
						must, may := make([]bool, p.Len()), make([]bool, p.Len())
						for _, scores := range votes {
							m, can := mustBe(scores, count)
							for i := range m {
								must[i], may[i] = must[i] || m[i], may[i] || can[i]
							}
						}
						for pos := range p.Len() {
							if kept := slices.Contains(list, int32(pos)); kept && !may[pos] || !kept && must[pos] {
								t.Fatalf("%s, %d tokens, %s, layer %d, head %d: position %d is kept: %t", name, p.Len(), text, l, h, pos, kept)
							}
						}
					}
				}
			}
		}
	}
}

func TestGVoteProperties(t *testing.T) {
	m := openTiny(t, "tiny-m")
	prompt, _ := recallPrompt(rand.New(rand.NewPCG(9, 9)), 40)
	needs := mustNew(t, "gvote").Needs()
	p := prefillText(t, m, prompt, needs)
	s := p.Shape()
	for _, steps := range [][]string{
		{"gvote p=1", "gvote p=0.99", "gvote", "gvote p=0.8", "gvote p=0.3", "gvote p=0.001"},
		{"gvote samples=50 p=0.8", "gvote samples=20 p=0.8", "gvote samples=8 p=0.8", "gvote samples=1 p=0.8"},
	} {
		before := mustSelect(t, steps[0], p)
		for _, text := range steps[1:] {
			now := mustSelect(t, text, p)
			if now.Budget(p.Len()) >= before.Budget(p.Len()) {
				t.Errorf("%s: budget %g, want less than %g", text, now.Budget(p.Len()), before.Budget(p.Len()))
			}
			for l := range now {
				for h := range now[l] {
					if extra := without(now[l][h], lists(before, s)[l][h]); len(extra) > 0 {
						t.Fatalf("%s, layer %d, head %d keeps %v, which a milder setting dropped", text, l, h, extra)
					}
				}
			}
			before = now
		}
	}
	if budget := mustSelect(t, "gvote p=1", p).Budget(p.Len()); budget != 1 {
		t.Errorf("p=1: budget %g", budget)
	}
	if reflect.DeepEqual(mustSelect(t, "gvote p=0.5", p), mustSelect(t, "gvote p=0.5 seed=1", p)) {
		t.Error("two seeds choose the same")
	}
	// The shortest prompts have no statistics: all stays.
	ids := encoded(t, m.Tokenizer, prompt, false)
	for n := 1; n <= 6; n++ {
		p, err := m.Prefill(t.Context(), ids[:n], needs)
		if err != nil {
			t.Fatal(err)
		}
		if keep := mustSelect(t, "gvote p=0.1", p); n <= model.MomentsFrom && keep.Budget(n) != 1 {
			t.Errorf("%d tokens: budget %g", n, keep.Budget(n))
		}
	}
}

// A query turns by pairs half the turned part apart; values beyond stay.
func TestRotate(t *testing.T) {
	x := []float32{1, 2, 3, 4, 5}
	rotate(x, []float32{0, 1}, []float32{1, 0})
	if diff := cmp.Diff([]float32{-3, 2, 1, 4, 5}, x); diff != "" {
		t.Error(diff)
	}
	rotate(x, nil, nil)
	if x[0] != -3 {
		t.Error("no rotation turned a value")
	}
}
