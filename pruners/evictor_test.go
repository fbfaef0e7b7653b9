package pruners

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
)

// evictRun is one run of testdata/oracle_evict.py.
type evictRun struct {
	Model  string
	IDs    []int32
	Spec   string
	Greedy []int32
	Margin float64     `json:"smallest_margin"` // between the two best logits of any step
	Gap    float64     `json:"smallest_gap"`    // between the two lowest scores of any eviction
	Keep   [][][]int32 // [layers][query heads], after prefill
	Held   [][][]int32 // the same at the end
}

// Eviction while decoding and positions inside the cache follow the papers: the
// tokens, the entries chosen from the prompt and those held at the end are those
// of a plain loop over cache entries. Where two scores are nearer than rounding
// the held entries may differ; the tokens may not.
func TestEvictOracle(t *testing.T) {
	models, compared := map[string]*model.Model{}, 0
	for _, want := range readEvictRuns(t) {
		m := models[want.Model]
		if m == nil {
			m = openTiny(t, want.Model)
			models[want.Model] = m
		}
		got := runEvicting(t, m, want)
		if want.Margin < 1e-3 {
			t.Fatalf("%s: a margin of %g cannot tell tokens apart", want.Spec, want.Margin)
		}
		name := want.Model + " " + want.Spec
		if diff := cmp.Diff(want.Greedy, got.Greedy); diff != "" {
			t.Errorf("%s, %d tokens: greedy tokens (-want +got):\n%s", name, len(want.IDs), diff)
		}
		if diff := cmp.Diff(want.Keep, got.Keep); diff != "" {
			t.Errorf("%s, %d tokens: kept of the prompt (-want +got):\n%s", name, len(want.IDs), diff)
		}
		if got.Held == nil || want.Gap < 1e-5 {
			continue
		}
		compared++
		if diff := cmp.Diff(want.Held, got.Held); diff != "" {
			t.Errorf("%s, %d tokens: held at the end (-want +got):\n%s", name, len(want.IDs), diff)
		}
	}
	if compared < 30 {
		t.Errorf("held entries were compared in %d runs, want at least 30", compared)
	}
}

func readEvictRuns(t *testing.T) []evictRun {
	t.Helper()
	f, err := os.Open("testdata/evict.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var runs []evictRun
	if err := json.NewDecoder(unpacked).Decode(&runs); err != nil {
		t.Fatal(err)
	}
	return runs
}

func runEvicting(t *testing.T, m *model.Model, want evictRun) evictRun {
	t.Helper()
	pruner := mustNew(t, want.Spec)
	p, err := m.Prefill(context.Background(), want.IDs, pruner.Needs())
	if err != nil {
		t.Fatal(err)
	}
	v, err := Apply(pruner, p)
	if err != nil {
		t.Fatalf("%s: %v", want.Spec, err)
	}
	s := p.Shape()
	got := evictRun{Keep: make([][][]int32, s.Layers)}
	for l := range got.Keep {
		for h := range s.Heads {
			got.Keep[l] = append(got.Keep[l], v.Keep[l].Head(h, s))
		}
	}
	if evict := v.Evict; evict != nil {
		v.Evict = func() func(*model.Step) error {
			drop := evict()
			return func(step *model.Step) error {
				err := drop(step)
				got.Held = held(t, step, s)
				return err
			}
		}
	}
	out, err := m.DecodeVariants(context.Background(), p, []model.Variant{v}, model.DecodeOptions{MaxNewTokens: len(want.Greedy)})
	if err != nil {
		t.Fatal(err)
	}
	got.Greedy = out[0].Tokens
	return got
}

// held lists what every query head's list holds and checks the count.
func held(t *testing.T, step *model.Step, s model.Shape) [][][]int32 {
	out := make([][][]int32, step.Layers())
	for l := range out {
		for h := range s.Heads {
			list := h * step.Lists(l) / s.Heads
			var at []int32
			for pos := range step.Len() {
				if step.Holds(l, list, pos) {
					at = append(at, int32(pos))
				}
			}
			if len(at) != step.Held(l, list) {
				t.Errorf("layer %d, list %d holds %d entries and says %d", l, list, len(at), step.Held(l, list))
			}
			out[l] = append(out[l], at)
		}
	}
	return out
}

// Evicting variants do not disturb each other or those that do not evict.
func TestEvictLockstep(t *testing.T) {
	runs := readEvictRuns(t)
	m := openTiny(t, "tiny-m")
	var same []evictRun
	needs := model.Needs{}
	for _, run := range runs {
		if run.Model == "tiny-m" && len(run.IDs) > 50 {
			same = append(same, run)
			needs = needs.Union(mustNew(t, run.Spec).Needs())
		}
	}
	p, err := m.Prefill(context.Background(), same[0].IDs, needs)
	if err != nil {
		t.Fatal(err)
	}
	var variants []model.Variant
	for _, run := range same {
		v, err := Apply(mustNew(t, run.Spec), p)
		if err != nil {
			t.Fatal(err)
		}
		variants = append(variants, v)
	}
	out, err := m.DecodeVariants(context.Background(), p, variants, model.DecodeOptions{MaxNewTokens: len(same[0].Greedy)})
	if err != nil {
		t.Fatal(err)
	}
	for i, run := range same {
		if diff := cmp.Diff(run.Greedy, out[i].Tokens); diff != "" {
			t.Errorf("%s among %d variants (-want +got):\n%s", run.Spec, len(same), diff)
		}
	}
}
