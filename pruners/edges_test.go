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
		"full":                             {},
		"streamingllm budget=0.5":          {},
		"refreekv":                         {LastRows: 1},
		"refreekv last_rows=5":             {LastRows: 5},
		"refreekv ranking=attention":       {LastRows: 8},
		"refreekv ranking=snapkv":          {LastRows: 9},
		"h2o budget=0.5":                   {LastRows: 8},
		"h2o budget=0.5 window=3":          {LastRows: 3},
		"h2o budget=0.5 rows=all window=3": {ColumnSums: true},
		"snapkv budget=0.5 window=32":      {LastRows: 32},
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
