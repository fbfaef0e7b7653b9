package pruners

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
	"refreekv/model/tensor"
)

// lists writes a Keep as one list per layer and query head.
func lists(keep model.Keep, s model.Shape) [][][]int32 {
	out := make([][][]int32, len(keep))
	for l, layer := range keep {
		for h := range s.Heads {
			out[l] = append(out[l], layer.Head(h, s))
		}
	}
	return out
}

// Whatever the method, a budget of 100 % is the full cache.
func TestFullBudgetKeepsEverything(t *testing.T) {
	specs := []string{
		"full",
		"refreekv budget=1 threshold=0", "refreekv budget=1 threshold=0 sinks=0 norm_scope=all last_rows=5",
		"refreekv threshold=0 head_agg=joint", "refreekv threshold=0 head_agg=per_head", "refreekv budget=1 norm_scope=mixed",
		"refreekv threshold=0 ranking=attention", "refreekv threshold=0 ranking=snapkv",
		"refreekv threshold=-1 with_replacement=false",
		"h2o budget=1", "h2o budget=1 rows=all split=half", "h2o budget=1 heads=kv", "h2o budget=400", "h2o budget=1 window=64",
		"snapkv budget=1", "snapkv budget=1 heads=kv group=max", "snapkv budget=1 window=32 kernel=5 pooling=avg", "snapkv budget=900",
		"streamingllm budget=1", "streamingllm budget=1 sinks=500", "streamingllm budget=400",
		"knorm budget=1", "tova budget=400", "keydiff budget=1", "lagkv budget=1 lag=16", "cur budget=1", "observed_attention budget=900",
		"scissorhands budget=1", "random budget=1", "simlayerkv threshold=1 recent=16",
		"adakv budget=1", "adakv budget=1 safeguard=0 score=knorm", "adakv budget=400 score.heads=kv",
		"pyramidkv budget=1", "pyramidkv budget=400 schedule=factory", "pyramidkv budget=1 schedule=kvpress score.window=64",
		"chunkkv budget=1", "chunkkv budget=400 chunk=7 score=knorm",
	}
	for _, s := range shapes {
		for _, n := range []int{1, 2, 4, 5, 8, 9, 100, 400} {
			p := attentionPrefix(1, softmaxRows, s, n)
			for _, text := range specs {
				keep := mustSelect(t, text, p)
				if keep.Budget(n) != 1 {
					t.Errorf("%s, %+v, %d tokens: budget %g", text, s, n, keep.Budget(n))
				}
			}
		}
	}
}

// Sinks and the newest tokens stay, however little the attention gives them.
func TestProtectedTokens(t *testing.T) {
	s := shapes[1]
	for _, c := range []struct {
		text          string
		first, newest int
	}{
		{"refreekv threshold=1", 4, 1},
		{"refreekv threshold=1 sinks=11", 11, 1},
		{"refreekv threshold=1 norm_scope=all head_agg=per_head", 4, 1},
		{"refreekv threshold=1 budget=0.3", 4, 1},
		{"refreekv threshold=1 ranking=attention", 0, 8},
		{"refreekv threshold=1 ranking=snapkv", 0, 8},
		{"refreekv threshold=-0.1", 4, 0},
		{"refreekv threshold=-0.1 ranking=attention", 0, 8},
		{"h2o budget=0.2", 0, 8},
		{"h2o budget=0.2 window=17 rows=all", 0, 17},
		{"h2o budget=0.2 split=half", 0, 10},
		{"snapkv budget=0.2", 0, 8},
		{"snapkv budget=0.2 window=13 heads=kv", 0, 13},
		{"streamingllm budget=0.2", 4, 16},
		{"streamingllm budget=0.2 sinks=7", 7, 13},
		{"tova budget=0.2", 0, 1},
		{"lagkv budget=0.9 lag=16", 4, 16},
		{"cur budget=0.2", 4, 0},
		{"scissorhands budget=0.2", 0, 10},
		{"adakv budget=0.2", 0, 8},
		{"adakv budget=0.5 score=cur score.sinks=9", 9, 0},
		{"pyramidkv budget=0.2", 0, 8},
		{"pyramidkv budget=0.3 schedule=kvpress score.window=13", 0, 13},
		{"chunkkv budget=0.2 chunk=5", 0, 8},
		{"simlayerkv threshold=0 recent=20", 4, 19},
	} {
		for _, kind := range allKinds {
			n := 100
			p := attentionPrefix(2, kind, s, n)
			for l := range s.Layers {
				for h := range s.Heads {
					for back := range p.Needs().LastRows {
						row := p.Row(l, h, back)
						clear(row[:c.first])
						clear(row[n-max(c.newest, 1):])
					}
					clear(p.ColumnSum(l, h)[:c.first])
					clear(p.ColumnSum(l, h)[n-max(c.newest, 1):])
				}
			}
			for l, layer := range lists(mustSelect(t, c.text, p), s) {
				for h, list := range layer {
					want := slices.Concat(span(nil, 0, c.first), span(nil, n-c.newest, n))
					for _, pos := range want {
						if !slices.Contains(list, pos) {
							t.Fatalf("%s on %s rows, layer %d, head %d: position %d went", c.text, kind, l, h, pos)
						}
					}
				}
			}
		}
	}
}

// refreekvModes are the rules whose cut depends on a threshold.
var refreekvModes = []string{
	"", "norm_scope=all", "norm_scope=mixed", "head_agg=joint", "head_agg=per_head", "last_rows=7", "sinks=0", "budget=0.6",
	"ranking=attention", "ranking=attention head_agg=per_head", "ranking=snapkv", "ranking=snapkv head_agg=joint",
}

// What a higher threshold keeps, a lower one keeps too.
func TestKeptFallsWithThreshold(t *testing.T) {
	s := shapes[1]
	for _, mode := range refreekvModes {
		for _, kind := range allKinds {
			p := attentionPrefix(3, kind, s, 150)
			var before [][][]int32
			fell := false
			for _, threshold := range []float64{0, 1e-6, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.3, 0.6, 0.9, 1, 2} {
				text := fmt.Sprintf("refreekv frozen_layers= threshold=%g %s", threshold, mode)
				now := lists(mustSelect(t, text, p), s)
				for l := range before {
					for h := range before[l] {
						fell = fell || len(now[l][h]) < len(before[l][h])
						if extra := without(now[l][h], before[l][h]); len(extra) > 0 {
							t.Fatalf("%s on %s rows, layer %d, head %d keeps %v, which a lower threshold dropped", text, kind, l, h, extra)
						}
					}
				}
				before = now
			}
			if !fell && kind != zeroRows {
				t.Errorf("%s on %s rows: no threshold dropped anything", mode, kind)
			}
		}
	}
}

func without(list, other []int32) []int32 {
	var out []int32
	for _, pos := range list {
		if _, found := slices.BinarySearch(other, pos); !found {
			out = append(out, pos)
		}
	}
	return out
}

// T = 0 drops the leading candidates that no head attends to, nothing else.
func TestThresholdZero(t *testing.T) {
	s := shapes[1]
	rng := rand.New(rand.NewPCG(4, 4))
	for range 50 {
		n := 6 + rng.IntN(60)
		p := attentionPrefix(rng.Uint64(), quantisedRows, s, n)
		l := rng.IntN(s.Layers)
		zeros := rng.IntN(n - 5)
		own := make([]int, s.Heads)
		for h := range s.Heads {
			row := p.Row(l, h, 0)
			clear(row[4 : 4+zeros])
			row[n-1] = 1
			own[h] = 4
			for row[own[h]] == 0 {
				own[h]++
			}
		}
		shared := slices.Min(own)
		for _, mode := range []string{"", "head_agg=joint", "norm_scope=all"} {
			want := model.LayerKeep{span(span(nil, 0, 4), shared, n)}
			if diff := cmp.Diff(want, mustSelect(t, "refreekv frozen_layers= threshold=0 "+mode, p)[l]); diff != "" {
				t.Errorf("%d tokens, %s (-want +got):\n%s", n, mode, diff)
			}
		}
		per := mustSelect(t, "refreekv frozen_layers= threshold=0 head_agg=per_head", p)[l]
		for h, first := range own {
			if diff := cmp.Diff(span(span(nil, 0, 4), first, n), per[h]); diff != "" {
				t.Errorf("%d tokens, head %d on its own (-want +got):\n%s", n, h, diff)
			}
		}
	}
}

// A weight so small that it does not change the norm is still no zero.
func TestThresholdZeroSmallWeights(t *testing.T) {
	s, n := shapes[0], 60
	p := attentionPrefix(1, zeroRows, s, n)
	for l := range s.Layers {
		for h := range s.Heads {
			for back := range p.Needs().LastRows {
				row := p.Row(l, h, back)[:n-back]
				for i := range row {
					row[i] = 1e-12
				}
				if len(row) > 40 {
					row[40] = 1
				}
			}
		}
	}
	for _, mode := range []string{"", "head_agg=joint", "head_agg=per_head", "norm_scope=all", "ranking=attention", "ranking=snapkv"} {
		if keep := mustSelect(t, "refreekv frozen_layers= threshold=0 "+mode, p); keep.Budget(n) != 1 {
			t.Errorf("%s: budget %g, want 1", mode, keep.Budget(n))
		}
		if keep := mustSelect(t, "refreekv frozen_layers= threshold=0.001 "+mode, p); keep.Budget(n) > 0.5 {
			t.Errorf("T = 0.001 %s: budget %g, want the small ones to go", mode, keep.Budget(n))
		}
	}
}

// T >= 1 keeps the sinks and the newest token.
func TestThresholdOne(t *testing.T) {
	for _, threshold := range []string{"1", "1.5", "100"} {
		for _, mode := range []string{"", "norm_scope=all", "norm_scope=mixed", "head_agg=joint", "head_agg=per_head", "last_rows=3"} {
			for _, n := range []int{2, 5, 6, 90} {
				p := attentionPrefix(5, softmaxRows, shapes[2], n)
				m := min(4, n-1)
				for l, layer := range lists(mustSelect(t, "refreekv frozen_layers= threshold="+threshold+" "+mode, p), shapes[2]) {
					for h, list := range layer {
						if diff := cmp.Diff(append(span(nil, 0, m), int32(n-1)), list); diff != "" {
							t.Fatalf("T=%s %s, %d tokens, layer %d, head %d (-want +got):\n%s", threshold, mode, n, l, h, diff)
						}
					}
				}
			}
		}
	}
}

// permuteHeads is p with query head h's attention moved to head to[h].
func permuteHeads(p *model.Prefix, to []int) *model.Prefix {
	out := model.NewPrefix(p.Shape(), p.Len(), p.Needs())
	for l := range p.Shape().Layers {
		for h, target := range to {
			for back := range p.Needs().LastRows {
				copy(out.Row(l, target, back), p.Row(l, h, back))
			}
			copy(out.ColumnSum(l, target), p.ColumnSum(l, h))
		}
	}
	return out
}

// permuteKVHeads moves KV heads with the query heads that read them.
func permuteKVHeads(p *model.Prefix, to []int) *model.Prefix {
	s := p.Shape()
	heads := make([]int, s.Heads)
	for h := range heads {
		heads[h] = to[h/s.Group()]*s.Group() + h%s.Group()
	}
	out := permuteHeads(p, heads)
	key, value := make([]float32, s.HeadDim), make([]float32, s.HeadDim)
	for l := range s.Layers {
		for kv, target := range to {
			for pos := range p.Len() {
				p.Key(l, kv, pos, key)
				p.Value(l, kv, pos, value)
				out.SetKeyValue(l, target, pos, key, value)
			}
		}
	}
	return out
}

// The same for KV heads and the methods that look at keys or choose per KV head.
func TestKVHeadOrder(t *testing.T) {
	s := shapes[1]
	rng := rand.New(rand.NewPCG(7, 7))
	for _, text := range []string{
		"h2o budget=0.3 heads=kv", "snapkv budget=0.3 heads=kv group=max",
		"knorm budget=0.3", "keydiff budget=0.3", "lagkv budget=0.6 lag=8", "cur budget=0.3", "tova budget=0.3", "observed_attention budget=0.3",
		"scissorhands budget=0.3", "adakv budget=0.3", "adakv budget=0.3 score=keydiff", "pyramidkv budget=0.3", "pyramidkv budget=0.3 score=cur",
		"chunkkv budget=0.3 chunk=5", "chunkkv budget=0.3 score=knorm", "simlayerkv recent=20 threshold=0.7",
	} {
		for range 2 {
			p := attentionPrefix(rng.Uint64(), softmaxRows, s, 120)
			to := rng.Perm(s.KVHeads)
			got := lists(mustSelect(t, text, permuteKVHeads(p, to)), s)
			for l, layer := range lists(mustSelect(t, text, p), s) {
				for h, list := range layer {
					moved := got[l][to[h/s.Group()]*s.Group()+h%s.Group()]
					if !slices.Equal(list, moved) {
						t.Fatalf("%s, layer %d: KV heads moved to %v, and head %d chooses otherwise (-before +after):\n%s", text, l, to, h, cmp.Diff(list, moved))
					}
				}
			}
		}
	}
}

// The heads' order tells nothing: a cut for all heads does not move, and heads
// that choose for themselves take their choice along.
func TestHeadOrder(t *testing.T) {
	checkHeadOrder(t, []string{
		"refreekv", "refreekv threshold=0.1 norm_scope=all", "refreekv head_agg=joint", "refreekv norm_scope=mixed threshold=0.9",
		"refreekv head_agg=per_head", "refreekv ranking=attention", "refreekv ranking=snapkv threshold=0.1",
		"h2o budget=0.3", "h2o budget=0.3 rows=all split=half", "snapkv budget=0.3", "snapkv budget=0.3 pooling=avg",
	})
}

// One cut per layer serves all heads, unless every head has its own.
func TestOneCut(t *testing.T) {
	s := shapes[2]
	p := attentionPrefix(7, softmaxRows, s, 200)
	counts := func(text string) (forms []int, differ bool) {
		for _, layer := range mustSelect(t, text, p) {
			forms = append(forms, len(layer))
			for _, list := range layer {
				differ = differ || len(list) != len(layer[0])
			}
		}
		return forms, differ
	}
	for _, c := range []struct {
		text   string
		lists  int
		differ bool
	}{
		{"refreekv threshold=0.1", 1, false},
		{"refreekv threshold=0.1 head_agg=joint", 1, false},
		{"refreekv threshold=0.1 ranking=attention", s.Heads, false},
		{"refreekv threshold=0.1 ranking=snapkv", s.Heads, false},
		{"refreekv threshold=0.1 head_agg=per_head", s.Heads, true},
		{"refreekv threshold=0.1 head_agg=per_head ranking=attention", s.Heads, true},
		{"h2o budget=0.3", s.Heads, false},
		{"h2o budget=0.3 heads=kv", s.KVHeads, false},
		{"snapkv budget=0.3 heads=kv group=sum", s.KVHeads, false},
		{"streamingllm budget=0.3", 1, false},
		{"knorm budget=0.3", s.KVHeads, false},
		{"keydiff budget=0.3", s.KVHeads, false},
		{"lagkv budget=0.3", s.KVHeads, false},
		{"cur budget=0.3", s.KVHeads, false},
		{"observed_attention budget=0.3", s.KVHeads, false},
		{"scissorhands budget=0.3", s.KVHeads, false},
		{"random budget=0.3", s.KVHeads, false},
		{"tova budget=0.3", 1, false},
		{"adakv budget=0.3", s.Heads, true},
		{"adakv budget=0.3 score=knorm", s.KVHeads, true},
		{"pyramidkv budget=0.3", s.Heads, false},
		{"chunkkv budget=0.3", 1, false},
		{"simlayerkv recent=20", 1, false},
	} {
		forms, differ := counts(c.text)
		if want := []int{1, 1, c.lists}; strings.HasPrefix(c.text, "refreekv") && !slices.Equal(forms, want) {
			t.Errorf("%s: lists per layer %v, want %v", c.text, forms, want)
		}
		if forms[2] != c.lists || differ != c.differ {
			t.Errorf("%s: %d lists, lengths differ: %t; want %d, %t", c.text, forms[2], differ, c.lists, c.differ)
		}
	}
}

// Every fixed budget is met to the entry, in every layer and head.
func TestBudgetIsMet(t *testing.T) {
	n := 137
	for _, s := range shapes {
		for _, kind := range allKinds {
			p := attentionPrefix(8, kind, s, n)
			for _, c := range []struct {
				budget string
				want   int
			}{{"0.001", 1}, {"0.02", 3}, {"0.07", 10}, {"0.5", 68}, {"0.99", 136}, {"5", 5}, {"100", 100}, {"138", 137}} {
				for _, method := range []string{"h2o", "h2o heads=kv", "h2o rows=all split=half", "snapkv", "snapkv heads=kv", "snapkv window=32", "streamingllm", "streamingllm sinks=40",
					"knorm", "tova", "keydiff", "lagkv", "lagkv lag=16", "cur", "observed_attention", "scissorhands", "random", "adakv safeguard=1"} {
					for l, layer := range mustSelect(t, method+" budget="+c.budget, p) {
						for h, list := range layer {
							if len(list) != c.want {
								t.Fatalf("%s budget=%s, %s rows, layer %d, list %d keeps %d, want %d", method, c.budget, kind, l, h, len(list), c.want)
							}
						}
					}
				}
			}
		}
	}
}

// The same prompt gives the same choice every time, whatever the number of
// threads and whoever else selects with the same pruner.
func TestDeterminism(t *testing.T) {
	defer tensor.SetThreads(tensor.Threads())
	p := attentionPrefix(9, quantisedRows, shapes[1], 300)
	other := attentionPrefix(10, softmaxRows, shapes[2], 90)
	for _, text := range []string{
		"refreekv", "refreekv head_agg=per_head", "refreekv ranking=attention", "refreekv ranking=snapkv threshold=0.1",
		"refreekv threshold=-0.5", "h2o budget=0.4", "h2o budget=0.4 heads=kv rows=all", "snapkv budget=0.4", "streamingllm budget=0.4",
		"knorm budget=0.4", "tova budget=0.4", "keydiff budget=0.4", "lagkv budget=0.4 lag=16", "cur budget=0.4", "observed_attention budget=0.4",
		"scissorhands budget=0.4", "random budget=0.4", "adakv budget=0.4", "pyramidkv budget=0.4", "chunkkv budget=0.4", "simlayerkv recent=20 threshold=0.5",
	} {
		pruner := mustNew(t, text)
		want := mustSelect(t, text, p)
		for threads := 1; threads <= 5; threads++ {
			tensor.SetThreads(threads)
			var wg sync.WaitGroup
			got := make([]model.Keep, 3)
			for i := range got {
				wg.Go(func() {
					pruner.Select(other)
					got[i], _ = pruner.Select(p)
				})
			}
			wg.Wait()
			for i := range got {
				if !reflect.DeepEqual(want, got[i]) {
					t.Fatalf("%s, %d threads, run %d chooses otherwise", text, threads, i)
				}
			}
		}
	}
}

// The random control keeps the share it is told to, in every head its own,
// whatever the attention says.
func TestRandomControl(t *testing.T) {
	s, n := model.Shape{Layers: 6, Heads: 8, KVHeads: 2, HeadDim: 8}, 404
	p := attentionPrefix(11, softmaxRows, s, n)
	for _, share := range []float64{0.1, 0.29, 0.5, 0.99, 1} {
		text := fmt.Sprintf("refreekv threshold=%g", -share)
		with, without := mustSelect(t, text, p), mustSelect(t, text+" with_replacement=false", p)
		for l := range 2 {
			if len(with[l]) != 1 || len(with[l][0]) != n {
				t.Errorf("%s: frozen layer %d is pruned", text, l)
			}
		}
		kept, hits := 0, make([]int, n)
		for l := 2; l < s.Layers; l++ {
			if len(with[l]) != s.Heads {
				t.Fatalf("%s: %d lists, want one per query head", text, len(with[l]))
			}
			for h, list := range with[l] {
				kept += len(list) - 4
				for _, pos := range without[l][h] {
					hits[pos]++
				}
				if want := 4 + int(400*share); len(without[l][h]) != want {
					t.Errorf("%s without replacement: layer %d, head %d keeps %d, want %d", text, l, h, len(without[l][h]), want)
				}
			}
		}
		// Spec 3.4: about 1-exp(-|T|) of the candidates stay with replacement; over
		// 32 draws of 400 the share's deviation is below half a percent.
		heads := float64((s.Layers - 2) * s.Heads)
		if got, want := float64(kept)/(400*heads), 1-math.Exp(-math.Floor(400*share)/400); math.Abs(got-want) > 0.02 {
			t.Errorf("%s keeps %.3f of the candidates, want about %.3f", text, got, want)
		}
		for pos, hit := range hits[:4] {
			if hit != int(heads) {
				t.Errorf("%s: sink %d went", text, pos)
			}
		}
		// Early, middle and late candidates are drawn alike.
		for third := range 3 {
			sum := 0
			for _, hit := range hits[4+third*133 : 4+(third+1)*133] {
				sum += hit
			}
			if got := float64(sum) / (133 * heads); math.Abs(got-share) > 0.05 {
				t.Errorf("%s draws %.3f of the candidates of third %d", text, got, third)
			}
		}
	}
}

func TestRandomControlSeeds(t *testing.T) {
	s := shapes[1]
	p, other := attentionPrefix(12, softmaxRows, s, 200), attentionPrefix(13, spikeRows, s, 200)
	for _, replacement := range []string{"true", "false"} {
		text := "refreekv threshold=-0.5 with_replacement=" + replacement
		first := mustSelect(t, text, p)
		if !cmp.Equal(first, mustSelect(t, text+" seed=0", other)) {
			t.Errorf("%s: one seed, two choices", text)
		}
		seen := [][]int32{}
		for _, seed := range []string{"0", "1", "2", "-1"} {
			keep := mustSelect(t, text+" seed="+seed, p)
			for _, layer := range keep[2:] {
				seen = append(seen, layer...)
			}
		}
		for i, a := range seen {
			for _, b := range seen[:i] {
				if slices.Equal(a, b) {
					t.Errorf("%s: two seeds, layers or heads draw the same", text)
				}
			}
		}
	}
}
