package pruners

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
)

// capacity rounds as Python's round(n*b) does; the wanted numbers are Python's,
// raised to 1.
func TestCapacity(t *testing.T) {
	for _, c := range []struct {
		n      int
		budget float64
		want   int
	}{
		{5, 0.5, 2}, {7, 0.5, 4}, {3, 0.5, 2}, {1, 0.5, 1}, {2, 0.75, 2}, {6, 0.75, 4}, {10, 0.25, 2}, {18, 0.25, 4},
		{15, 0.1, 2}, {25, 0.1, 2}, {35, 0.1, 4}, {45, 0.1, 4}, {35, 0.3, 10}, {145, 0.7, 102}, {50, 0.05, 2}, {90, 0.05, 4},
		{49, 0.01, 1}, {50, 0.01, 1}, {150, 0.01, 2}, {1000, 0.2, 200}, {13, 0.9, 12}, {8, 0.2, 2}, {12, 1, 12},
		{100, 2, 2}, {100, 99, 99}, {100, 100, 100}, {100, 101, 100}, {1, 1000, 1}, {100, 1e-300, 1},
	} {
		if got := capacity(c.n, c.budget); got != c.want {
			t.Errorf("capacity(%d, %g) = %d, want %d", c.n, c.budget, got, c.want)
		}
	}
}

// Prompts shorter than the window, the sinks or the budget, down to one token,
// and budgets of a single entry. Rows rise with position, so that of older keys
// the newest score best.
func TestShortPrompts(t *testing.T) {
	s := model.Shape{Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 4}
	for _, c := range []struct {
		text string
		n    int
		want []int32
	}{
		{"full", 1, []int32{0}},
		{"refreekv threshold=1 frozen_layers=", 1, []int32{0}},
		{"refreekv threshold=-0.5 frozen_layers=", 1, []int32{0}},
		{"refreekv threshold=1 frozen_layers= ranking=attention", 1, []int32{0}},
		{"refreekv threshold=1 frozen_layers= ranking=snapkv", 1, []int32{0}},
		{"h2o budget=0.2", 1, []int32{0}},
		{"h2o budget=0.2 rows=all split=half", 1, []int32{0}},
		{"snapkv budget=0.2 window=32", 1, []int32{0}},
		{"streamingllm budget=0.2", 1, []int32{0}},
		// Spec 2.6: up to four tokens there is one candidate, which stays.
		{"refreekv threshold=1 frozen_layers=", 2, []int32{0, 1}},
		{"refreekv threshold=1 frozen_layers=", 4, []int32{0, 1, 2, 3}},
		{"refreekv threshold=1 frozen_layers=", 5, []int32{0, 1, 2, 3, 4}},
		{"refreekv threshold=1 frozen_layers=", 6, []int32{0, 1, 2, 3, 5}},
		{"refreekv threshold=1 frozen_layers= sinks=0", 6, []int32{5}},
		{"refreekv threshold=1 frozen_layers= sinks=100", 6, []int32{0, 1, 2, 3, 4, 5}},
		{"refreekv threshold=1 frozen_layers= budget=0.5", 6, []int32{0, 1, 5}},
		{"refreekv threshold=1 frozen_layers= budget=0.1", 6, []int32{5}},
		{"refreekv threshold=-0.1 frozen_layers= sinks=0", 6, []int32{5}},
		{"refreekv threshold=-0.5 frozen_layers=", 3, []int32{0, 1}},
		// Up to eight tokens the rankings protect one token only.
		{"refreekv threshold=1 frozen_layers= ranking=attention", 2, []int32{0, 1}},
		{"refreekv threshold=1 frozen_layers= ranking=attention", 8, []int32{6, 7}},
		{"refreekv threshold=1 frozen_layers= ranking=snapkv", 8, []int32{6, 7}},
		{"refreekv threshold=1 frozen_layers= ranking=attention", 9, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"refreekv threshold=1 frozen_layers= ranking=attention", 10, []int32{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		// A budget up to the window makes the window one token.
		{"h2o budget=0.5", 2, []int32{1}},
		{"h2o budget=0.5", 16, []int32{8, 9, 10, 11, 12, 13, 14, 15}},
		{"h2o budget=1000", 3, []int32{0, 1, 2}},
		{"h2o budget=0.001", 16, []int32{15}},
		{"h2o budget=0.001 rows=all split=half", 16, []int32{15}},
		{"snapkv budget=0.5 window=1000 kernel=1", 6, []int32{3, 4, 5}},
		{"snapkv budget=0.5 window=1000", 6, []int32{1, 2, 5}}, // pooling makes 1 to 4 equal
		{"snapkv budget=2 window=1000 kernel=1", 6, []int32{4, 5}},
		{"snapkv budget=0.001 kernel=1001", 16, []int32{15}},
		{"streamingllm budget=0.5", 2, []int32{1}},
		{"streamingllm budget=0.5", 3, []int32{0, 2}},
		{"streamingllm budget=4", 9, []int32{0, 1, 2, 8}},
		{"streamingllm budget=5", 9, []int32{0, 1, 2, 3, 8}},
		{"streamingllm budget=6", 9, []int32{0, 1, 2, 3, 7, 8}},
		{"streamingllm budget=0.001", 9, []int32{8}},
		{"streamingllm budget=3 sinks=100", 9, []int32{0, 1, 8}},
		{"streamingllm budget=3 sinks=0", 9, []int32{6, 7, 8}},
		// Keys and values are zeros here: to those that look at them all is equal, and
		// the oldest stay.
		{"knorm budget=0.2", 1, []int32{0}},
		{"knorm budget=2", 4, []int32{0, 1}},
		{"keydiff budget=0.2", 1, []int32{0}},
		{"keydiff budget=2", 4, []int32{0, 1}},
		{"cur budget=0.2", 1, []int32{0}},
		{"cur budget=6", 9, []int32{0, 1, 2, 3, 4, 5}},
		{"cur budget=2 sinks=0 window=100", 4, []int32{0, 1}},
		{"cur budget=2", 4, []int32{2, 3}}, // of more sinks than fit the newest stay
		{"cur budget=2 sinks=100", 4, []int32{2, 3}},
		{"lagkv budget=0.2", 1, []int32{0}},
		{"lagkv budget=0.001", 9, []int32{8}},
		{"lagkv budget=6", 9, []int32{0, 1, 2, 3, 7, 8}},
		{"lagkv budget=6 sinks=100", 9, []int32{3, 4, 5, 6, 7, 8}},
		{"lagkv budget=5 sinks=0 lag=2", 9, []int32{1, 3, 6, 7, 8}}, // of equal ones a chunk's last ranks first
		{"random budget=0.2", 1, []int32{0}},
		{"tova budget=0.2", 1, []int32{0}},
		{"tova budget=0.001", 16, []int32{15}},
		{"tova budget=3", 6, []int32{3, 4, 5}},
		{"observed_attention budget=0.2", 1, []int32{0}},
		{"observed_attention budget=2", 4, []int32{2, 3}},
		{"scissorhands budget=0.2", 1, []int32{0}},
		{"scissorhands budget=3", 6, []int32{3, 4, 5}},
		{"scissorhands budget=3 window=100 recent=1", 6, []int32{0, 1, 5}}, // no weight is below an even share
		{"adakv budget=0.2", 1, []int32{0}},
		{"adakv budget=0.001", 16, []int32{15}},
		{"adakv budget=2", 16, []int32{14, 15}},
		{"adakv budget=2 score.window=1000", 6, []int32{4, 5}},
		{"pyramidkv budget=0.2", 1, []int32{0}},
		{"pyramidkv budget=0.001", 16, []int32{15}},
		{"pyramidkv budget=0.001 score=h2o score.window=1000 schedule=factory", 16, []int32{15}},
		{"pyramidkv budget=3 score.window=1000 schedule=kvpress", 6, []int32{3, 4, 5}},
		{"chunkkv budget=0.2", 1, []int32{0}},
		{"chunkkv budget=2 score=tova", 3, []int32{1, 2}},
		{"chunkkv budget=0.5 score=tova chunk=4", 10, []int32{8, 9}},
		{"chunkkv budget=8 score=tova chunk=4", 10, []int32{4, 5, 6, 7, 8, 9}},
		{"chunkkv budget=0.001 score=knorm chunk=4", 10, []int32{0, 1, 2, 3}},
		{"simlayerkv threshold=0", 1, []int32{0}},
		{"simlayerkv threshold=0 sinks=1 recent=3", 5, []int32{0, 1, 2, 3, 4}},
		{"simlayerkv threshold=0 sinks=1 recent=3", 6, []int32{0, 4, 5}},
		{"simlayerkv threshold=0 sinks=1 recent=3 last_rows=2", 7, []int32{0, 6}},
	} {
		p := model.NewPrefix(s, c.n, everyRow)
		for h := range s.Heads {
			for pos := range c.n {
				for back := range p.Needs().LastRows {
					p.Row(0, h, back)[pos] = float32(pos + 1)
				}
				p.ColumnSum(0, h)[pos] = float32(pos + 1)
			}
		}
		for h, list := range lists(mustSelect(t, c.text, p), s)[0] {
			if diff := cmp.Diff(c.want, list); diff != "" {
				t.Errorf("%s, %d tokens, head %d (-want +got):\n%s", c.text, c.n, h, diff)
			}
		}
	}
}

// What is not a number is refused by name wherever a pruner reads it.
func TestNotFinite(t *testing.T) {
	s, n := shapes[2], 40
	columns := -1
	for _, c := range []struct {
		text string
		back []int // rows that the pruner reads
	}{
		{"refreekv", []int{0}},
		{"refreekv threshold=-0.5", []int{0}},
		{"refreekv last_rows=3", []int{0, 1, 2}},
		{"refreekv ranking=attention", []int{0, 1, 7}},
		{"refreekv ranking=snapkv", []int{0, 1, 7, 8}},
		{"h2o budget=0.5", []int{0, 1, 7}},
		{"h2o budget=0.5 heads=kv", []int{0, 7}},
		{"h2o budget=0.5 rows=all", []int{columns}},
		{"snapkv budget=0.5 window=12", []int{0, 5, 11}},
		{"snapkv budget=0.5 pooling=avg", []int{0, 7}},
		{"tova budget=0.5", []int{0}},
		{"observed_attention budget=0.5", []int{columns}},
		{"scissorhands budget=0.5 window=12", []int{0, 5, 9}},
		{"adakv budget=0.5", []int{0, 1, 7}},
		{"adakv budget=0.5 score=h2o score.rows=all", []int{columns}},
		{"pyramidkv budget=0.5", []int{0, 1, 7}},
		{"pyramidkv budget=3", []int{0}},
		{"chunkkv budget=0.5", []int{0, 7}},
		{"simlayerkv recent=8 last_rows=3", []int{0, 1, 2}},
	} {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for _, back := range c.back {
				for _, pos := range []int{0, 20, 30} {
					p := attentionPrefix(1, softmaxRows, s, n)
					if back == columns {
						p.ColumnSum(2, 5)[pos] = float32(bad)
					} else {
						p.Row(2, 5, back)[pos] = float32(bad)
					}
					keep, err := mustNew(t, c.text).Select(p)
					if err == nil || !strings.Contains(err.Error(), "layer 2, head 5") || keep != nil {
						t.Errorf("%s: %g in row %d back at key %d: %v", c.text, bad, back, pos, err)
					}
				}
			}
		}
	}
}

// So are keys and values.
func TestNotANumberInKeys(t *testing.T) {
	s, n, nan := shapes[2], 40, float32(math.NaN())
	for text, inValues := range map[string]bool{
		"knorm budget=0.5": false, "keydiff budget=0.5": false,
		"lagkv budget=0.9 lag=8": true, "lagkv budget=0.9 lag=8 cross_scoring=true": true, "cur budget=0.5": true,
		"adakv budget=0.5 score=knorm": false, "pyramidkv budget=0.5 score=cur": true, "chunkkv budget=0.5 score=keydiff": false,
	} {
		for _, pos := range []int{6, 20, 30} {
			for _, inKey := range []bool{true, false} {
				if !inKey && !inValues {
					continue
				}
				p := attentionPrefix(1, softmaxRows, s, n)
				key, value := make([]float32, s.HeadDim), make([]float32, s.HeadDim)
				p.Key(2, 1, pos, key)
				p.Value(2, 1, pos, value)
				if inKey {
					key[3] = nan
				} else {
					value[3] = nan
				}
				p.SetKeyValue(2, 1, pos, key, value)
				keep, err := mustNew(t, text).Select(p)
				if err == nil || !strings.Contains(err.Error(), "layer 2, list 1: the score of position") || keep != nil {
					t.Errorf("%s: not a number at position %d, in the key: %t: %v", text, pos, inKey, err)
				}
			}
		}
	}
}

// Two faults are reported as one, the lower layer's, every time.
func TestNotFiniteFirstLayer(t *testing.T) {
	for range 20 {
		p := attentionPrefix(1, softmaxRows, shapes[1], 40)
		p.Row(3, 0, 0)[0] = float32(math.NaN())
		p.Row(2, 4, 0)[0] = float32(math.NaN())
		_, err := mustNew(t, "snapkv budget=0.5").Select(p)
		if err == nil || !strings.Contains(err.Error(), "layer 2, head 4") {
			t.Fatal(err)
		}
	}
}

// A prefix that lacks what a pruner reads is refused, not read beyond its end.
func TestMissingNeeds(t *testing.T) {
	for _, c := range []struct {
		text string
		has  model.Needs
	}{
		{"refreekv", model.Needs{}},
		{"refreekv last_rows=4", model.Needs{LastRows: 3}},
		{"refreekv ranking=snapkv", model.Needs{LastRows: 8}},
		{"h2o budget=0.5", model.Needs{LastRows: 7, ColumnSums: true}},
		{"h2o budget=0.5 rows=all", model.Needs{LastRows: 8}},
		{"snapkv budget=0.5 window=32", model.Needs{LastRows: 8}},
		{"tova budget=0.5", model.Needs{ColumnSums: true}},
		{"observed_attention budget=0.5", model.Needs{LastRows: 50}},
		{"scissorhands budget=0.5", model.Needs{LastRows: 49}},
		{"adakv budget=0.5 score.window=32", model.Needs{LastRows: 31}},
		{"pyramidkv budget=0.5 score=observed_attention", model.Needs{LastRows: 50}},
		{"chunkkv budget=0.5", model.Needs{LastRows: 7}},
		{"simlayerkv last_rows=4", model.Needs{LastRows: 3}},
	} {
		pruner := mustNew(t, c.text)
		if _, err := pruner.Select(model.NewPrefix(shapes[0], 50, c.has)); err == nil || !strings.Contains(err.Error(), "Needs") {
			t.Errorf("%s with %+v: %v", c.text, c.has, err)
		}
		if _, err := pruner.Select(model.NewPrefix(shapes[0], 50, c.has.Union(pruner.Needs()))); err != nil {
			t.Errorf("%s with what it needs: %v", c.text, err)
		}
	}
}

// Needs ask for what Select reads and no more.
func TestNeeds(t *testing.T) {
	for text, want := range map[string]model.Needs{
		"full":                                        {},
		"streamingllm budget=0.5":                     {},
		"refreekv":                                    {LastRows: 1},
		"refreekv last_rows=5":                        {LastRows: 5},
		"refreekv ranking=attention":                  {LastRows: 8},
		"refreekv ranking=snapkv":                     {LastRows: 9},
		"h2o budget=0.5":                              {LastRows: 8},
		"h2o budget=0.5 window=3":                     {LastRows: 3},
		"h2o budget=0.5 rows=all window=3":            {ColumnSums: true},
		"snapkv budget=0.5 window=32":                 {LastRows: 32},
		"knorm budget=0.5":                            {},
		"keydiff budget=0.5":                          {},
		"lagkv budget=0.5":                            {},
		"cur budget=0.5":                              {},
		"random budget=0.5":                           {},
		"tova budget=0.5":                             {LastRows: 1},
		"observed_attention budget=0.5":               {ColumnSums: true},
		"scissorhands budget=0.5":                     {LastRows: 64},
		"adakv budget=0.5":                            {LastRows: 8},
		"adakv budget=0.5 score=knorm":                {},
		"pyramidkv budget=0.5 score=tova":             {LastRows: 1},
		"chunkkv budget=0.5 score=h2o score.rows=all": {ColumnSums: true},
		"simlayerkv last_rows=32":                     {LastRows: 32},
	} {
		if diff := cmp.Diff(want, mustNew(t, text).Needs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// Selecting leaves the recorded attention as it was: all variants share it.
func TestSelectReadsOnly(t *testing.T) {
	s := shapes[1]
	p := attentionPrefix(3, softmaxRows, s, 70)
	before := permuteHeads(p, allInts(s.Heads))
	for _, text := range equalSpecs() {
		mustSelect(t, text, p)
	}
	for l := range s.Layers {
		for h := range s.Heads {
			for back := range p.Needs().LastRows {
				if !cmp.Equal(before.Row(l, h, back), p.Row(l, h, back)) {
					t.Fatalf("layer %d, head %d, %d back: the row was written to", l, h, back)
				}
			}
			if !cmp.Equal(before.ColumnSum(l, h), p.ColumnSum(l, h)) {
				t.Fatalf("layer %d, head %d: the column sums were written to", l, h)
			}
		}
	}
}

// A config written for a deeper model names layers in vain: an error says so.
func TestFrozenLayersOfAnotherModel(t *testing.T) {
	p := attentionPrefix(1, softmaxRows, model.Shape{Layers: 3, Heads: 2, KVHeads: 1, HeadDim: 4}, 20)
	for _, text := range []string{"refreekv frozen_layers=0,1,31", "refreekv frozen_layers=3", "threshold_free frozen_layers=5", "streamingllm budget=0.5 frozen_layers=3"} {
		_, err := mustNew(t, text).Select(p)
		if err == nil || !strings.Contains(err.Error(), "no layer") || !strings.Contains(err.Error(), "3 layers") {
			t.Errorf("%s: error %v, want one that names the layer and the model's 3 layers", text, err)
		}
	}
}
